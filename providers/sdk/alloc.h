/* providers/sdk/alloc.h: allocation that ends the process when memory runs out.
 *
 * A crash is safe (the journal makes it so), a half-handled failure is not. Exit status 71. */
#pragma once
#include <stddef.h>

/* Never return NULL; sizes of 0 give a valid pointer. The caller frees with free(). */
void *mio_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mio_zalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
void *mio_realloc(void *p, size_t n, size_t size) __attribute__((returns_nonnull));
char *mio_strdup(const char *s) __attribute__((malloc, returns_nonnull));

/* Prints one line to standard error and ends the process with status 71. */
_Noreturn void mio_alloc_die(size_t size);

/* Cleanup attributes for locals: MIO_AUTO_FREE char *p = ...; hand over with MIO_STEAL(p). */
void mio_auto_free(void *pp);
void mio_auto_close(const int *fd);
#define MIO_AUTO_FREE __attribute__((cleanup(mio_auto_free)))
#define MIO_AUTO_CLOSE __attribute__((cleanup(mio_auto_close)))
#define MIO_STEAL(p)                     \
    ({                                   \
        __typeof__(p) mio_stolen_ = (p); \
        (p) = NULL;                      \
        mio_stolen_;                     \
    })
