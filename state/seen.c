/* state/seen.c: what this machine saw last of a state, so that an older one put back is noticed.
 *
 * One small file a lineage in a folder that is not the state's own; absent means never seen. */
#include "providers/sdk/buf.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include "state/store_impl.h"

/* Lineages are ours, but a state can say anything: only a plain name becomes a path. */
static bool path_of(const struct mio_store *s, struct mio_str lineage, char *out, size_t size)
{
    if (!s->seen_dir || lineage.n == 0 || lineage.n > 64)
        return false;
    for (size_t i = 0; i < lineage.n; i++)
        if (!strchr("0123456789abcdef-", lineage.p[i]))
            return false;
    return (size_t)snprintf(out, size, "%s/%.*s.json", s->seen_dir, MIO_FMT(lineage)) < size;
}

/* The note, 0 when there is none: a lost note is no reason to stop, it is the second line of
 * defence. */
static uint64_t read_note(const struct mio_store *s, struct mio_arena *a, struct mio_str lineage,
                          struct mio_str *digest)
{
    char path[4096];
    struct mio_str text;
    struct mio_value v;
    struct mio_err unreadable = {0};
    uint64_t serial = 0;
    bool found = false;
    if (!path_of(s, lineage, path, sizeof path) ||
        mio_fs_read(a, path, 4096, &text, &found, &unreadable) || !found ||
        mio_json_read(a, text, NULL, &v, &unreadable) ||
        !mio_str_u64(mio_get_str(v, "serial"), &serial))
        return 0;
    *digest = mio_get_str(v, "digest");
    return serial;
}

uint64_t mio_store_seen(const struct mio_store *s, struct mio_str lineage)
{
    struct mio_arena a;
    struct mio_str digest;
    mio_arena_init(&a);
    uint64_t serial = read_note(s, &a, lineage, &digest);
    mio_arena_free(&a);
    return serial;
}

enum mio_code mio_store_check_seen(struct mio_store *s, const struct mio_state *state,
                                   struct mio_err *err)
{
    struct mio_arena a;
    struct mio_str digest = {0};
    enum mio_code rc = MIO_OK;
    mio_arena_init(&a);
    uint64_t serial = read_note(s, &a, state->lineage, &digest);
    if (serial > state->serial)
        rc = mio_fail(
            err, MIO_STATE,
            "serial %lu, but this machine has seen serial %lu: an older state was put back",
            (unsigned long)state->serial, (unsigned long)serial);
    else if (serial && serial == state->serial && !mio_str_eq(digest, state->digest))
        rc = mio_fail(err, MIO_STATE, "serial %lu differs from the one that this machine has seen",
                      (unsigned long)serial);
    if (rc)
        mio_err_hint(
            err, "If that is what you did and want, say so with -accept-rollback; if not, put the "
                 "newer state back.");
    mio_arena_free(&a);
    return rc;
}

void mio_store_note_seen(struct mio_store *s, const struct mio_state *state)
{
    char path[4096];
    struct mio_err ignored = {0}; /* a note that cannot be written costs nothing but the check */
    struct mio_str old;
    bool found = false;
    if (!path_of(s, state->lineage, path, sizeof path))
        return;
    MIO_AUTO_BUF b = {0};
    mio_buf_printf(&b, "{\"serial\":%lu,\"digest\":\"%.*s\"}\n", (unsigned long)state->serial,
                   MIO_FMT(state->digest));
    struct mio_arena a;
    mio_arena_init(&a);
    bool same = mio_fs_read(&a, path, 4096, &old, &found, &ignored) == MIO_OK && found &&
                mio_str_eq(old, mio_buf_view(&b));
    mio_arena_free(&a);
    mio_err_clear(&ignored);
    if (!same && mio_fs_mkdirs(s->seen_dir, 0700, &ignored) == MIO_OK)
        (void)mio_fs_replace(path, mio_buf_view(&b), 0600, &ignored);
}
