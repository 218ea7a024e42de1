/* state/file.h: what the files of the file backend share. Never: included outside backend_file*.c.
 */
#pragma once
#include "state/backend.h"

struct mio_file_backend {
    struct mio_backend base;
    char *dir;
    int fd;      /* of the folder; -1: it does not exist */
    int lock_fd; /* of the lock file while the lock is held; -1 else */
};

/* backend_file_lock.c */
enum mio_code mio_file_lock(struct mio_backend *b, struct mio_str note, struct mio_arena *a,
                            struct mio_str *held, struct mio_err *err);
void mio_file_unlock(struct mio_backend *b);
enum mio_code mio_file_holder(struct mio_backend *b, struct mio_arena *a, struct mio_str *note,
                              bool *live, struct mio_err *err);
enum mio_code mio_file_break_lock(struct mio_backend *b, struct mio_str id, struct mio_err *err);
/* backend_file_journal.c */
enum mio_code mio_file_journal_read(struct mio_backend *b, struct mio_arena *a,
                                    struct mio_journal_text *out, struct mio_err *err);
enum mio_code mio_file_journal_open(struct mio_backend *b, uint64_t keep, struct mio_sink **out,
                                    struct mio_err *err);
enum mio_code mio_file_journal_replace(struct mio_backend *b, struct mio_str text,
                                       struct mio_err *err);
enum mio_code mio_file_journal_drop(struct mio_backend *b, struct mio_err *err);

/* Writes a new file of the folder, synced and read back; a leftover of that name is removed first.
 */
enum mio_code mio_file_write_new(struct mio_file_backend *f, const char *name, struct mio_str text,
                                 struct mio_err *err);
/* Reads a file of the folder whole; *found false when absent. Errors: MIO_IO. */
enum mio_code mio_file_slurp(struct mio_file_backend *f, struct mio_arena *a, const char *name,
                             struct mio_str *out, bool *found, struct mio_err *err);
enum mio_code mio_file_fail(struct mio_file_backend *f, int errnum, const char *verb,
                            const char *name, struct mio_err *err);
