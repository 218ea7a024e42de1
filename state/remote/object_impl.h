/* state/remote/object_impl.h: what the files of the backend on objects share. */
#pragma once
#include "state/remote/object.h"
#include <pthread.h>

struct object_backend {
    struct mio_backend base;
    struct mio_backend_ops ops; /* with the type's own name */
    struct mio_objects *o;
    pthread_mutex_t mutex; /* the journal's sink is called from other threads */
    char *rescue;          /* local file, or NULL */
    char lock_id[65];
    bool waited;         /* the lock was somebody else's when it was tried last */
    unsigned long parts; /* of the journal as it was read last */
    size_t last_part;    /* bytes of the last of them */
};

/* The place, one call at a time, from any thread; as in struct mio_objects. */
enum mio_code mio_ob_get(struct object_backend *b, struct mio_arena *a, const char *name,
                         struct mio_str *text, struct mio_str *tag, bool *found,
                         struct mio_err *err);
/* A put that seems lost is compared with what lies there: an answer that got lost on the way must
 * not look like another writer. */
enum mio_code mio_ob_put(struct object_backend *b, struct mio_arena *a, const char *name,
                         struct mio_str text, const char *if_tag, struct mio_str *tag, bool *lost,
                         struct mio_err *err);
enum mio_code mio_ob_del(struct object_backend *b, const char *name, struct mio_err *err);
enum mio_code mio_ob_list(struct object_backend *b, struct mio_arena *a, const char *prefix,
                          struct mio_str **names, size_t *n, struct mio_err *err);

/* The journal's functions of struct mio_backend_ops. */
enum mio_code mio_ob_journal_read(struct mio_backend *base, struct mio_arena *a,
                                  struct mio_journal_text *out, struct mio_err *err);
enum mio_code mio_ob_journal_open(struct mio_backend *base, uint64_t keep, struct mio_sink **out,
                                  struct mio_err *err);
enum mio_code mio_ob_journal_drop(struct mio_backend *base, struct mio_err *err);
enum mio_code mio_ob_journal_replace(struct mio_backend *base, struct mio_str text,
                                     struct mio_err *err);
