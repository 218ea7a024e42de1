/* state/model.c: rows by address, put and remove. See model.h; the bytes are codec.c's and
 * record.c's. */
#include "state/model.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/digest.h"
#include "state/codec.h"

/* The index cannot forget a key: a removed row's key leads here. */
static const uintptr_t gone = UINTPTR_MAX;

void mio_state_init(struct mio_state *s, struct mio_arena *a, struct mio_str stage)
{
    *s = (struct mio_state){.arena = a, .stage = mio_arena_str(a, stage)};
    uint8_t salt[MIO_SHA256_LEN];
    mio_random(salt, sizeof salt);
    char *hex = mio_arena_alloc(a, MIO_SHA256_HEX + 1);
    mio_hex(salt, sizeof salt, hex);
    s->salt = (struct mio_str){hex, MIO_SHA256_HEX};
    mio_index_init(&s->index, a, 0);
}

/* The address for a current object, address "\1" deposed for a deposed one. */
static struct mio_str key_of(struct mio_arena *a, struct mio_str address, struct mio_str deposed)
{
    if (deposed.n == 0)
        return address;
    return mio_arena_printf(a, "%.*s\1%.*s", MIO_FMT(address), MIO_FMT(deposed));
}

static bool lookup(const struct mio_state *s, struct mio_str address, struct mio_str deposed,
                   uintptr_t *at)
{
    if (deposed.n == 0)
        return mio_index_get(&s->index, address, at) && *at != gone;
    struct mio_arena_mark m = mio_arena_mark(s->arena);
    bool found = mio_index_get(&s->index, key_of(s->arena, address, deposed), at) && *at != gone;
    mio_arena_rewind(s->arena, m);
    return found;
}

struct mio_row *mio_state_find(const struct mio_state *s, struct mio_str address,
                               struct mio_str deposed)
{
    uintptr_t at;
    return lookup(s, address, deposed, &at) ? &s->rows[at] : NULL;
}

static int row_cmp(const void *x, const void *y)
{
    const struct mio_row *a = x, *b = y;
    int c = mio_str_natcmp(a->address, b->address);
    return c ? c : mio_str_cmp(a->deposed, b->deposed);
}

bool mio_state_reindex(struct mio_state *s, size_t *twice)
{
    mio_index_init(&s->index, s->arena, s->nrows);
    for (size_t i = 0; i < s->nrows; i++)
        if (!mio_index_add(&s->index, key_of(s->arena, s->rows[i].address, s->rows[i].deposed),
                           i)) {
            *twice = i;
            return false;
        }
    return true;
}

void mio_state_sort(struct mio_state *s)
{
    size_t i = 1;
    while (i < s->nrows && row_cmp(&s->rows[i - 1], &s->rows[i]) < 0)
        i++;
    if (i >= s->nrows)
        return;
    qsort(s->rows, s->nrows, sizeof *s->rows, row_cmp);
    size_t twice;
    mio_state_reindex(s, &twice);
}

enum mio_code mio_state_put(struct mio_state *s, const struct mio_record *r, struct mio_err *err)
{
    if (!mio_record_storable(r, s->keeps)) {
        mio_fail(err, MIO_BUG, "a value that must not be stored (unknown, or sensitive in clear)");
        return mio_err_address(err, r->address);
    }
    MIO_AUTO_BUF b = {0};
    mio_record_write(&b, r, s->keeps);
    if (!mio_str_utf8(mio_buf_view(&b))) { /* else the state could be written and not be read */
        mio_fail(err, MIO_PROVIDER, "an attribute that is not UTF-8 text cannot be recorded");
        return mio_err_address(err, r->address);
    }
    struct mio_row row = {0};
    if (!mio_row_scan(s->arena, mio_arena_str(s->arena, mio_buf_view(&b)), &row)) {
        mio_fail(err, MIO_BUG, "the recorded form of a resource cannot be read back");
        return mio_err_address(err, r->address);
    }
    s->dirty = true;
    struct mio_str key = key_of(s->arena, row.address, row.deposed);
    uintptr_t at;
    if (mio_index_get(&s->index, key, &at) && at != gone) {
        s->rows[at] = row;
        return MIO_OK;
    }
    mio_index_set(&s->index, key, s->nrows);
    MIO_PUSH(s->arena, s->rows, s->nrows, s->cap) = row;
    return MIO_OK;
}

bool mio_state_remove(struct mio_state *s, struct mio_str address, struct mio_str deposed)
{
    uintptr_t at;
    if (!lookup(s, address, deposed, &at))
        return false;
    struct mio_row out = s->rows[at], *last = &s->rows[s->nrows - 1];
    if (at != s->nrows - 1) {
        s->rows[at] = *last;
        mio_index_set(&s->index, key_of(s->arena, last->address, last->deposed), at);
    }
    mio_index_set(&s->index, key_of(s->arena, out.address, out.deposed), gone);
    s->nrows--;
    s->dirty = true;
    return true;
}

static int output_cmp(const void *x, const void *y)
{
    const struct mio_state_output *a = x, *b = y;
    return mio_str_cmp(a->name, b->name);
}

/* Equal as they would be written. */
static bool same_outputs(const struct mio_state_output *a, const struct mio_state_output *b,
                         size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!mio_str_eq(a[i].name, b[i].name) || a[i].sensitive != b[i].sensitive ||
            !mio_equal(a[i].value, b[i].value))
            return false;
    return true;
}

void mio_state_set_outputs(struct mio_state *s, struct mio_state_output *outputs, size_t n)
{
    if (n)
        qsort(outputs, n, sizeof *outputs, output_cmp);
    if (n == s->noutputs && same_outputs(outputs, s->outputs, n))
        return;
    s->outputs = outputs;
    s->noutputs = n;
    s->dirty = true;
}
