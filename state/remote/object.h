/* state/remote/object.h: a backend on any place that stores named objects and can compare before it
 * writes.
 *
 * Names used: state, generations/<time>-<digest>, lock, journal/<number>, history.jsonl, probe. A
 * place needs the functions up to `close` and nothing else; object.c makes the backend of them. */
#pragma once
#include "state/backend.h"

struct mio_objects {
    const char *where;
    /* Absent is *found false. The tag names this version of the object. */
    enum mio_code (*get)(struct mio_objects *o, struct mio_arena *a, const char *name,
                         struct mio_str *text, struct mio_str *tag, bool *found,
                         struct mio_err *err);
    /* if_tag NULL: whatever is there; "": only if it is absent; else only if it bears the tag.
     * *lost: it did not hold, nothing was written (and the code is MIO_OK). */
    enum mio_code (*put)(struct mio_objects *o, struct mio_arena *a, const char *name,
                         struct mio_str text, const char *if_tag, struct mio_str *tag, bool *lost,
                         struct mio_err *err);
    enum mio_code (*del)(struct mio_objects *o, const char *name,
                         struct mio_err *err); /* absent is fine */
    /* Names that begin with the prefix, in byte order, without what precedes `prefix` in the place.
     */
    enum mio_code (*list)(struct mio_objects *o, struct mio_arena *a, const char *prefix,
                          struct mio_str **names, size_t *n, struct mio_err *err);
    void (*close)(struct mio_objects *o);

    /* What follows only some places can.
     * Appends at offset `at`, which must be the object's end; 0: makes it, if it is absent. *lost:
     * it ends elsewhere, or cannot be appended to, and nothing was written. */
    enum mio_code (*append)(struct mio_objects *o, struct mio_arena *a, const char *name,
                            struct mio_str text, uint64_t at, bool *lost, struct mio_err *err);
    size_t append_max; /* bytes at a time */
    /* A lock of the place's own, with the note as the content of `name`; *lost: somebody has it.
     * NULL: the object is the lock. */
    enum mio_code (*lock)(struct mio_objects *o, struct mio_arena *a, const char *name,
                          struct mio_str note, const char *id, bool *lost, struct mio_err *err);
    void (*unlock)(struct mio_objects *o, const char *name);
    enum mio_code (*break_lock)(struct mio_objects *o, const char *name, struct mio_err *err);
};

/* Takes the objects over, also when it fails. */
enum mio_code mio_backend_objects(struct mio_objects *o, const char *type,
                                  const struct mio_backend_args *args, struct mio_backend **out,
                                  struct mio_err *err);

/* Settings: text, or an error that names the missing one; `dflt` NULL: it must be there. In the
 * arena. */
enum mio_code mio_setting(struct mio_arena *a, const struct mio_backend_args *args,
                          const char *name, const char *dflt, const char **out,
                          struct mio_err *err);
