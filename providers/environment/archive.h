/* providers/environment/archive.h: an archive that libarchive reads, closed at the end of its
 * scope. */
#pragma once
#include <archive.h>

static inline void mio_auto_archive(struct archive **a)
{
    if (*a)
        archive_read_free(*a);
}
#define MIO_AUTO_ARCHIVE __attribute__((cleanup(mio_auto_archive))) struct archive
