/* providers/environment/layer.c: cells into layers. */
#include "providers/environment/layer.h"
#include "providers/environment/sources.h"
#include "providers/sdk/fs.h"
#include <errno.h>
#include <unistd.h>

static int by_size(const void *x, const void *y)
{
    const struct mio_env_layer *a = x, *b = y;
    if (a->size != b->size)
        return a->size > b->size ? -1 : 1;
    return mio_str_cmp(a->title, b->title);
}

static void add_cell(struct mio_arena *a, struct mio_env_layer *l, const struct mio_env_cell *c)
{
    MIO_PUSH(a, l->cells, l->n, l->cap) = c;
    l->size += c->size;
}

void mio_env_layer_cut(struct mio_arena *a, const struct mio_env_cell *cells, size_t n,
                       unsigned budget, struct mio_env_layer **out, size_t *count)
{
    struct mio_env_layer *groups = MIO_NEW_N(a, struct mio_env_layer, n + 1);
    struct mio_index index;
    size_t k = 0;
    mio_index_init(&index, a, n);
    for (size_t i = 0; i < n; i++) {
        uintptr_t at = k;
        if (mio_index_add(&index, cells[i].group, k))
            groups[k++].title = cells[i].group;
        else
            mio_index_get(&index, cells[i].group, &at);
        add_cell(a, &groups[at], &cells[i]);
    }
    qsort(groups, k, sizeof *groups, by_size);
    size_t own = k < budget ? k : budget - 1;
    struct mio_env_layer *layers = MIO_NEW_N(a, struct mio_env_layer, own + 1);
    layers[0].title = MIO_STR("other packages");
    mio_index_init(&index, a, n);
    for (size_t i = 0; i < own; i++) {
        layers[i + 1] = groups[i];
        mio_index_add(&index, groups[i].title, 1);
    }
    for (size_t i = 0; i < n; i++) {
        uintptr_t ignored;
        if (!mio_index_get(&index, cells[i].group, &ignored))
            add_cell(a, &layers[0], &cells[i]);
    }
    bool rest = layers[0].n > 0;
    *out = rest ? layers : layers + 1;
    *count = own + rest;
}

/* layers/KEY: plain digest, packed digest and both sizes, the digest of KEY and these, and the
 * blob's stamp: on one line. */
static struct mio_str facts_of(struct mio_arena *a, const struct mio_env_sums *sums)
{
    return mio_arena_printf(a, "%.*s %.*s %llu %llu", MIO_FMT(sums->plain), MIO_FMT(sums->packed),
                            (unsigned long long)sums->plain_size,
                            (unsigned long long)sums->packed_size);
}

static struct mio_str seal_of(struct mio_arena *a, const char *path,
                              const struct mio_env_sums *sums)
{
    return mio_env_sha256(a,
                          mio_arena_printf(a, "%.*s %.*s", MIO_FMT(mio_path_base(mio_str_z(path))),
                                           MIO_FMT(facts_of(a, sums))));
}

static enum mio_code write_known(struct mio_arena *a, const struct mio_env_store *s,
                                 const char *path, const struct mio_env_sums *sums,
                                 struct mio_err *err)
{
    struct mio_str stamp = mio_env_stamp(a, mio_env_store_blob(a, s, sums->packed));
    return mio_fs_replace(path,
                          mio_arena_printf(a, "%.*s %.*s %.*s\n", MIO_FMT(facts_of(a, sums)),
                                           MIO_FMT(seal_of(a, path, sums)), MIO_FMT(stamp)),
                          0644, err);
}

/* Whether the layer is known, and its blob still what it was. */
static bool read_known(struct mio_arena *a, const struct mio_env_store *s, const char *path,
                       struct mio_env_sums *out)
{
    struct mio_str text, word[6];
    bool found = false;
    struct mio_err ignored = {0};
    if (mio_fs_read(a, path, 4096, &text, &found, &ignored) || !found)
        return false;
    for (size_t i = 0; i < 6; i++)
        if (!mio_env_word(&text, &word[i]))
            return false;
    struct mio_env_sums sums = {.plain = word[0], .packed = word[1]};
    if (!mio_str_u64(word[2], &sums.plain_size) || !mio_str_u64(word[3], &sums.packed_size) ||
        !mio_str_eq(word[4], seal_of(a, path, &sums)))
        return false;
    struct mio_str stamp = word[5];
    if (!mio_env_unchanged(a, mio_env_store_blob(a, s, sums.packed), sums.packed, &stamp))
        return false;
    if (!mio_str_eq(word[5], stamp))
        write_known(a, s, path, &sums, &ignored);
    *out = sums;
    return true;
}

static enum mio_code write_layer(const struct mio_env_layer *l, struct mio_env_sink *sink,
                                 struct mio_err *err)
{
    for (size_t i = 0; i < l->n; i++)
        if (mio_env_sink_append(sink, l->cells[i]->path, err))
            return err->code;
    return mio_env_tar_end(sink, err);
}

enum mio_code mio_env_layer_make(struct mio_arena *a, const struct mio_env_store *s,
                                 enum mio_codec codec, struct mio_env_layer *layer,
                                 struct mio_err *err)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    mio_buf_printf(&b, "layer %d %d\n", MIO_ENV_CELL_FORMAT, (int)codec);
    for (size_t i = 0; i < layer->n; i++)
        mio_buf_printf(&b, "%.*s\n", MIO_FMT(layer->cells[i]->key));
    struct mio_str key = mio_env_sha256(a, mio_buf_view(&b));
    const char *known = mio_arena_printf(a, "%s/layers/%.*s", s->root, MIO_FMT(key)).p;
    if (read_known(a, s, known, &layer->sums))
        return MIO_OK;
    const char *tmp = mio_env_store_tmp(a, s);
    struct mio_env_sink *sink;
    if (mio_env_sink_open(tmp, codec, true, &sink, err))
        return err->code;
    enum mio_code code = write_layer(layer, sink, err);
    if (code)
        mio_env_sink_drop(sink);
    else
        code = mio_env_sink_close(sink, a, &layer->sums, err);
    if (!code && rename(tmp, mio_env_store_blob(a, s, layer->sums.packed)))
        code = mio_fail_sys(err, errno, "cannot move a layer into the store");
    if (code) {
        unlink(tmp);
        return code;
    }
    return write_known(a, s, known, &layer->sums, err);
}
