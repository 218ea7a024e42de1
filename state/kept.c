/* state/kept.c: the states that a backend still has, and the difference of two of them. See fsck.h.
 */
#include "providers/sdk/buf.h"
#include "state/codec.h"
#include "state/fsck.h"
#include "state/store_impl.h"

static void look_at(struct mio_store *s, struct mio_arena *a, struct mio_kept *k)
{
    struct mio_arena scratch;
    struct mio_state state;
    struct mio_err why = {0};
    mio_arena_init(&scratch);
    k->good = mio_store_unwrap(s, a, k->text, &k->text, &why) == MIO_OK &&
              mio_state_read(&scratch, k->text, &state, &why) == MIO_OK;
    if (k->good) {
        k->serial = state.serial;
        k->rows = state.nrows;
    } else {
        snprintf(k->message, sizeof k->message, "%.*s", (int)sizeof k->message - 1, why.message);
        k->foreign = why.code == MIO_AUTH || mio_state_newer(k->text) || mio_seal_newer(k->text);
        snprintf(k->remedy, sizeof k->remedy, "%.*s", (int)sizeof k->remedy - 1, why.hint);
    }
    mio_arena_free(&scratch);
}

enum mio_code mio_store_kept(struct mio_store *s, struct mio_arena *a, struct mio_kept **out,
                             size_t *n, struct mio_err *err)
{
    struct mio_blob current;
    struct mio_generation *g;
    size_t older;
    enum mio_code rc = s->b->ops->read(s->b, a, &current, err);
    if (rc || (rc = s->b->ops->generations(s->b, a, &g, &older, err)))
        return rc;
    *n = 0;
    *out = MIO_NEW_N(a, struct mio_kept, older + 1);
    if (current.found)
        (*out)[(*n)++] = (struct mio_kept){.name = MIO_STR("current"), .text = current.text};
    for (size_t i = 0; i < older; i++) {
        rc = s->b->ops->generation_read(s->b, a, &g[i], err);
        if (rc)
            return rc;
        (*out)[(*n)++] = (struct mio_kept){.name = g[i].name, .when = g[i].when, .text = g[i].text};
    }
    for (size_t i = 0; i < *n; i++)
        look_at(s, a, &(*out)[i]);
    return MIO_OK;
}

enum mio_code mio_store_at(struct mio_store *s, struct mio_arena *a, uint64_t serial,
                           struct mio_state *out, struct mio_err *err)
{
    struct mio_kept *k;
    size_t n;
    enum mio_code rc = mio_store_kept(s, a, &k, &n, err);
    if (rc)
        return rc;
    MIO_AUTO_BUF known = {0};
    for (size_t i = 0; i < n; i++) {
        if (k[i].good && k[i].serial == serial)
            return mio_state_read(a, k[i].text, out, err);
        if (k[i].good)
            mio_buf_printf(&known, "%s%lu", known.n ? ", " : "", (unsigned long)k[i].serial);
    }
    mio_fail(err, MIO_USAGE, "no state with serial %lu is kept in %s", (unsigned long)serial,
             s->b->where);
    return mio_err_hint(err, "Kept are: %s.", known.n ? known.p : "none");
}

static int order(const struct mio_row *a, const struct mio_row *b)
{
    int c = mio_str_natcmp(a->address, b->address);
    return c ? c : mio_str_cmp(a->deposed, b->deposed);
}

void mio_state_diff(struct mio_arena *a, struct mio_state *from, struct mio_state *to,
                    struct mio_row_diff **out, size_t *n)
{
    size_t i = 0, j = 0, cap = 0;
    mio_state_sort(from);
    mio_state_sort(to);
    *out = NULL;
    *n = 0;
    while (i < from->nrows || j < to->nrows) {
        const struct mio_row *x = i < from->nrows ? &from->rows[i] : NULL;
        const struct mio_row *y = j < to->nrows ? &to->rows[j] : NULL;
        int c = !x ? 1 : !y ? -1 : order(x, y);
        i += c <= 0;
        j += c >= 0;
        if (c == 0 && mio_str_eq(x->line, y->line))
            continue;
        MIO_PUSH(a, *out, *n, cap) = (struct mio_row_diff){c <= 0 ? x : NULL, c >= 0 ? y : NULL};
    }
}
