/* providers/environment/build.c: lock to cells to layers to image. */
#include "providers/environment/dockerfile.h"
#include "providers/environment/conda.h"
#include "providers/environment/bytecode.h"
#include "providers/environment/fetch.h"
#include "providers/environment/python.h"
#include "providers/environment/sandbox.h"
#include "providers/environment/static.h"
#include "providers/environment/wheel.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include <pthread.h>
#include <unistd.h>

/* ---- work in parallel: numbered tasks, the first error wins and stops the rest ---- */

struct team {
    enum mio_code (*task)(void *arg, size_t i, struct mio_arena *a, struct mio_err *err);
    void *arg;
    size_t n, next;
    bool failed;
    pthread_mutex_t mu;
    struct mio_err *err;
};
struct worker {
    struct team *team;
    struct mio_arena arena;
    pthread_t thread;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    struct team *t = w->team;
    for (;;) {
        pthread_mutex_lock(&t->mu);
        size_t i = t->failed ? t->n : t->next++;
        pthread_mutex_unlock(&t->mu);
        if (i >= t->n)
            return NULL;
        struct mio_err err = {0};
        if (!t->task(t->arg, i, &w->arena, &err))
            continue;
        pthread_mutex_lock(&t->mu);
        if (!t->failed)
            *t->err = err;
        t->failed = true;
        pthread_mutex_unlock(&t->mu);
    }
}

/* The calling thread works too. */
static enum mio_code together(struct team *t, struct worker *workers, unsigned n)
{
    pthread_mutex_init(&t->mu, NULL);
    unsigned started = 0;
    for (unsigned i = 0; i < n; i++) {
        workers[i].team = t;
        if (i && !pthread_create(&workers[i].thread, NULL, work, &workers[i]))
            started = i;
        else if (i)
            break;
    }
    work(&workers[0]);
    for (unsigned i = 1; i <= started; i++)
        pthread_join(workers[i].thread, NULL);
    pthread_mutex_destroy(&t->mu);
    return t->err->code;
}

/* ---- fetching ---- */

enum mio_code mio_env_take_vendored(struct mio_arena *a, const struct mio_env_build_opts *o,
                                    struct mio_str sha256, struct mio_err *err)
{
    const char *path = mio_arena_printf(a, "%s/sha256/%.*s", o->vendor, MIO_FMT(sha256)).p;
    if (!mio_fs_exists(path))
        return MIO_OK;
    struct mio_env_fetch f = {.url = mio_arena_printf(a, "file:%s", path), .sha256 = sha256};
    return mio_env_fetch_all(a, o->store, &f, 1, err);
}

static enum mio_code missing(const struct mio_env_lock *lock, struct mio_str name,
                             struct mio_err *err)
{
    mio_fail(err, MIO_IO, "environment %.*s: %.*s is not in the store", MIO_FMT(lock->name),
             MIO_FMT(name));
    return mio_err_hint(err, "build without -offline, or name a folder with -vendor");
}

static enum mio_code fetch_debs(struct mio_arena *a, const struct mio_env_build_opts *o,
                                const struct mio_env_lock *lock, struct mio_err *err)
{
    struct mio_env_spec spec;
    struct mio_env_source *sources = NULL;
    struct mio_env_fetch *f = MIO_NEW_N(a, struct mio_env_fetch, lock->n_packages + 1);
    size_t n_sources = 0, n = 0;
    for (size_t i = 0; i < lock->n_packages; i++) {
        const struct mio_env_package *p = &lock->packages[i];
        if (o->vendor && mio_env_take_vendored(a, o, p->sha256, err))
            return err->code;
        if (mio_env_store_has(a, o->store, p->sha256, p->size))
            continue;
        if (o->offline)
            return missing(lock, p->name, err);
        if (!n_sources && (mio_env_spec_read(a, lock->name, lock->config, &spec, err) ||
                           mio_env_sources(a, &spec, &sources, &n_sources, err)))
            return err->code;
        size_t s = 0;
        while (s < n_sources && !mio_str_eq(sources[s].suite, p->suite))
            s++;
        if (s == n_sources)
            return mio_fail(err, MIO_IO, "no source for suite %.*s is known here",
                            MIO_FMT(p->suite));
        f[n++] = (struct mio_env_fetch){
            .url = mio_arena_printf(a, "%.*s/%.*s", MIO_FMT(sources[s].uri), MIO_FMT(p->path)),
            .sha256 = p->sha256,
            .size = p->size};
    }
    return mio_env_fetch_all(a, o->store, f, n, err);
}

enum mio_code mio_env_fetch_lock(struct mio_arena *a, const struct mio_env_build_opts *o,
                                 const struct mio_env_lock *lock, struct mio_err *err)
{
    const struct mio_value *bases = mio_get_z(lock->build, "bases");
    for (uint32_t i = 0; bases && bases->type == MIO_LIST && i < bases->n; i++)
        if (mio_env_base_fetch(a, o, lock->name, bases->items[i], err))
            return err->code;
    if (mio_env_base_fetch(a, o, lock->name, lock->image, err) || fetch_debs(a, o, lock, err))
        return err->code;
    for (size_t i = 0; i < lock->n_wheels; i++) {
        if (o->vendor && mio_env_take_vendored(a, o, lock->wheels[i].sha256, err))
            return err->code;
        const struct mio_env_wheel *w = &lock->wheels[i];
        if (o->offline && !mio_env_store_has(a, o->store, w->sha256, w->size))
            return missing(lock, w->name, err);
    }
    return mio_env_python_fetch(a, o->store, lock, o->dir, err);
}

/* ---- cells ---- */

struct shop {
    const struct mio_env_build_opts *o;
    const struct mio_env_lock *lock;
    struct mio_env_spec spec;
    struct mio_env_image *im;
    const size_t *order; /* of packages and wheels, biggest first */
    size_t n_base;       /* layers of an image below, each of one cell */
    enum mio_codec codec;
};

static enum mio_code cell_task(void *arg, size_t i, struct mio_arena *a, struct mio_err *err)
{
    struct shop *s = arg;
    size_t k = s->order[i];
    if (k < s->lock->n_packages)
        return mio_env_cell_deb(a, s->o->store, &s->lock->packages[k], &s->im->cells[k], err);
    const struct mio_env_wheel *w = &s->lock->wheels[k - s->lock->n_packages];
    return mio_env_is_conda(w)
               ? mio_env_cell_conda(a, s->o->store, s->lock, w, &s->im->cells[k], err)
               : mio_env_cell_wheel(a, s->o->store, s->lock, w, &s->im->cells[k], err);
}

/* ---- byte-code ---- */

struct compiling {
    struct shop *shop;
    struct mio_env_interpreter python;
    struct mio_env_cell *out; /* one for each cell */
    _Atomic bool missing;
};

static enum mio_code bytecode_task(void *arg, size_t i, struct mio_arena *a, struct mio_err *err)
{
    struct compiling *c = arg;
    bool missing = false;
    enum mio_code code = mio_env_cell_bytecode(a, c->shop->o->store, &c->python,
                                               &c->shop->im->cells[i], &c->out[i], &missing, err);
    if (missing)
        c->missing = true;
    return code;
}

/* Puts the byte-code of each cell behind it. What is cached needs no interpreter. */
static enum mio_code add_bytecode(struct mio_arena *a, struct shop *s, struct worker *workers,
                                  unsigned threads, struct mio_err *err)
{
    struct mio_env_image *im = s->im;
    struct compiling c = {.shop = s, .out = MIO_NEW_N(a, struct mio_env_cell, im->n_cells + 1)};
    bool conda = false;
    for (size_t i = 0; i < s->lock->n_wheels; i++)
        conda |= mio_env_is_conda(&s->lock->wheels[i]);
    struct mio_str prefix = conda ? mio_env_conda_prefix(s->lock->config) : (struct mio_str){0};
    if (mio_env_interpreter_find(a, im->cells, im->n_cells, s->spec.python_version, prefix,
                                 &c.python, err))
        return err->code;
    struct team team = {.task = bytecode_task, .arg = &c, .n = im->n_cells, .err = err};
    if (!c.python.path || together(&team, workers, threads))
        return err->code;
    if (c.missing && !mio_env_interpreter_make(a, s->o->store, &c.python, err)) {
        team.next = 0;
        together(&team, workers, threads);
    }
    mio_env_interpreter_free(&c.python);
    struct mio_env_cell *cells = MIO_NEW_N(a, struct mio_env_cell, 2 * im->n_cells + 1);
    size_t n = 0;
    for (size_t i = 0; i < im->n_cells; i++) {
        cells[n++] = im->cells[i];
        if (c.out[i].n)
            cells[n++] = c.out[i];
    }
    im->cells = cells;
    im->n_cells = n;
    return err->code;
}

static uint64_t size_of(const struct mio_env_lock *l, size_t i)
{
    return i < l->n_packages ? l->packages[i].size : l->wheels[i - l->n_packages].size;
}

static const size_t *biggest_first(struct mio_arena *a, const struct mio_env_lock *l, size_t n)
{
    size_t *order = MIO_NEW_N(a, size_t, n + 1);
    for (size_t i = 0; i < n; i++) {
        size_t k = i;
        for (; k && size_of(l, order[k - 1]) < size_of(l, i); k--)
            order[k] = order[k - 1];
        order[k] = i;
    }
    return order;
}

static enum mio_code layer_task(void *arg, size_t i, struct mio_arena *a, struct mio_err *err)
{
    struct shop *s = arg;
    if (s->im->layers[i].type.n) /* made by others */
        return MIO_OK;
    return mio_env_layer_make(a, s->o->store, s->codec, &s->im->layers[i], err);
}

/* Cells in the order of their layers, because a later one wins. */
static void lay(struct mio_arena *a, struct mio_env_image *im)
{
    struct mio_env_cell *cells = MIO_NEW_N(a, struct mio_env_cell, im->n_cells + 4);
    size_t n = 0;
    for (size_t i = 0; i < im->n_layers; i++)
        for (size_t k = 0; k < im->layers[i].n; k++) {
            cells[n] = *im->layers[i].cells[k];
            im->layers[i].cells[k] = &cells[n++];
        }
    im->cells = cells;
    im->n_cells = n;
}

static enum mio_code add_layer(struct mio_arena *a, struct mio_env_image *im, const char *title,
                               struct mio_env_cell cell)
{
    struct mio_env_layer *l = &im->layers[im->n_layers++];
    im->cells[im->n_cells] = cell;
    *l = (struct mio_env_layer){.title = mio_str_z(title), .size = cell.size};
    MIO_PUSH(a, l->cells, l->n, l->cap) = &im->cells[im->n_cells++];
    return MIO_OK;
}

static enum mio_code make_static(struct mio_arena *a, struct shop *s, struct mio_err *err)
{
    struct mio_env_view view;
    struct mio_env_tree made;
    struct mio_env_cell cell = {0};
    if (mio_env_view_init(&view, a, s->im->cells + s->n_base, s->im->n_cells - s->n_base, &s->spec,
                          err))
        return err->code;
    mio_env_tree_init(&made, a, s->o->store);
    if (!mio_env_static(&view, s->lock, &made, err)) {
        mio_env_tree_sort(&made);
        if (!mio_env_tree_check(&made, err))
            mio_env_cell_put(a, s->o->store, mio_env_tree_key(a, &made), &made, NULL, &cell, err);
    }
    mio_env_tree_free(&made);
    cell.name = cell.group = MIO_STR("configuration");
    return err->code || !cell.n ? err->code : add_layer(a, s->im, "configuration", cell);
}

static enum mio_code run_scripts(struct mio_arena *a, struct shop *s, struct mio_err *err)
{
    struct mio_env_cell cell = {0};
    if (mio_env_sandbox(a, s->o->store, s->lock, &s->spec, s->im, &cell, err))
        return err->code;
    cell.name = cell.group = MIO_STR("scripts");
    return add_layer(a, s->im, "scripts", cell);
}

/* What an older version of a wheel's package left in the image goes before the wheels come. */
static enum mio_code settle_on_base(struct mio_arena *a, struct shop *s, struct mio_err *err)
{
    struct mio_env_cell gone = {0};
    struct mio_env_image *im = s->im;
    if (mio_env_base_replaced(a, s->o->store, s->lock, im, s->n_base, &gone, err) || !gone.n)
        return err->code;
    add_layer(a, im, "replaced", gone);
    struct mio_env_layer last = im->layers[im->n_layers - 1];
    memmove(im->layers + s->n_base + 1, im->layers + s->n_base,
            (im->n_layers - s->n_base - 1) * sizeof last);
    im->layers[s->n_base] = last;
    lay(a, im);
    return MIO_OK;
}

static enum mio_code assemble(struct mio_arena *a, struct shop *s, struct worker *workers,
                              unsigned threads, struct mio_err *err)
{
    size_t n = s->lock->n_packages + s->lock->n_wheels;
    struct mio_env_image *im = s->im;
    im->cells = MIO_NEW_N(a, struct mio_env_cell, n + 1);
    s->order = biggest_first(a, s->lock, n);
    struct team cells = {.task = cell_task, .arg = s, .n = n, .err = err};
    if (together(&cells, workers, threads))
        return err->code;
    struct mio_env_layer *cut;
    im->n_cells = n;
    if (s->spec.bytecode && s->spec.scripts == MIO_SCRIPTS_STATIC &&
        add_bytecode(a, s, workers, threads, err))
        return err->code;
    struct mio_env_layer *base = NULL;
    mio_env_layer_cut(a, im->cells, im->n_cells, s->spec.budget, &cut, &im->n_layers);
    if (mio_env_base_layers(a, s->o->store, im->base, &base, &s->n_base, err))
        return err->code;
    im->layers = MIO_NEW_N(a, struct mio_env_layer, s->n_base + im->n_layers + 4);
    if (s->n_base)
        memcpy(im->layers, base, s->n_base * sizeof *base);
    memcpy(im->layers + s->n_base, cut, im->n_layers * sizeof *cut);
    im->n_cells += s->n_base;
    im->n_layers += s->n_base;
    lay(a, im);
    if (make_static(a, s, err))
        return err->code;
    if (s->spec.scripts == MIO_SCRIPTS_SANDBOX && run_scripts(a, s, err))
        return err->code;
    if (s->lock->files.type == MIO_LIST && s->lock->files.n) {
        struct mio_env_cell files = {0};
        if (mio_env_files(a, s->o, s->lock, &files, err))
            return err->code;
        add_layer(a, im, "files", files);
    }
    if (s->n_base && settle_on_base(a, s, err))
        return err->code;
    struct team layers = {.task = layer_task, .arg = s, .n = im->n_layers, .err = err};
    return together(&layers, workers, threads);
}

enum mio_code mio_env_seal_current(const struct mio_env_lock *lock, struct mio_err *err)
{
    int64_t builder = mio_get_i64(lock->sealed, "builder", 1);
    if (mio_is_null(lock->sealed) || builder == MIO_ENV_BUILDER)
        return MIO_OK;
    mio_fail(err, MIO_STATE,
             "the lock of environment %.*s was sealed by builder %lld; this is builder %d, which "
             "makes other bytes of the same packages",
             MIO_FMT(lock->name), (long long)builder, MIO_ENV_BUILDER);
    return mio_err_hint(err,
                        "run 'mlops-iac env lock %.*s' and 'mlops-iac env build %.*s' to seal it "
                        "anew",
                        MIO_FMT(lock->name), MIO_FMT(lock->name));
}

/* Content must be the same; the compressed bytes may differ when the encoder is another one. */
static enum mio_code check_seal(const struct mio_env_lock *lock, const struct mio_env_image *im,
                                struct mio_err *err)
{
    if (mio_is_null(lock->sealed))
        return MIO_OK;
    struct mio_str was = mio_get_str(lock->sealed, "config"),
                   is = mio_get_str(im->sealed, "config");
    if (!mio_str_eq(was, is)) {
        mio_fail(err, MIO_STATE,
                 "environment %.*s came out as %.*s, but its lock is sealed as %.*s",
                 MIO_FMT(lock->name), MIO_FMT(is), MIO_FMT(was));
        if (!mio_is_null(lock->build))
            return mio_err_hint(err, "its Dockerfile does not give the same every time: take the "
                                     "image from a registry (env pull), or lock and build it anew");
        return mio_err_hint(
            err, "a lock that was edited does that (git diff shows it), or a damaged store: "
                 "build into an empty one (-store=DIR); where that gives the same, "
                 "please report it, with the lock");
    }
    if (mio_is_null(lock->build) &&
        mio_str_eq(mio_get_str(lock->sealed, "encoder"), mio_get_str(im->sealed, "encoder")) &&
        !mio_equal(lock->sealed, im->sealed))
        return mio_fail(err, MIO_STATE,
                        "environment %.*s: same content, but other blobs by the same encoder",
                        MIO_FMT(lock->name));
    return MIO_OK;
}

void mio_env_image_free(struct mio_env_image *image)
{
    for (size_t i = 0; i < image->n_arenas; i++)
        mio_arena_free(image->arenas[i]);
    image->n_arenas = 0;
}

enum mio_code mio_env_build(struct mio_arena *a, const struct mio_env_build_opts *o,
                            const struct mio_env_lock *lock, struct mio_env_image *out,
                            struct mio_err *err)
{
    struct mio_env_image *im = MIO_NEW(a, struct mio_env_image);
    struct shop s = {.o = o, .lock = lock, .im = im};
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    /* One more than processors: now and then each waits for the disk. */
    unsigned threads = o->threads ? o->threads : (unsigned)(processors > 0 ? processors : 1) + 1;
    if (threads > 64)
        threads = 64;
    if (mio_env_seal_current(lock, err) ||
        mio_env_spec_read(a, lock->name, lock->config, &s.spec, err) ||
        mio_env_fetch_lock(a, o, lock, err))
        return err->code;
    im->base = lock->image;
    if (!mio_is_null(lock->build) && mio_env_dockerfile_build(a, o, lock, &s.spec, &im->base, err))
        return mio_err_wrap(err, "environment %.*s", MIO_FMT(lock->name));
    s.codec = s.spec.gzip ? MIO_CODEC_GZIP : MIO_CODEC_ZSTD;
    struct worker *workers = MIO_NEW_N(a, struct worker, threads);
    im->arenas = MIO_NEW_N(a, struct mio_arena *, threads);
    for (im->n_arenas = 0; im->n_arenas < threads; im->n_arenas++) {
        im->arenas[im->n_arenas] = &workers[im->n_arenas].arena;
        mio_arena_init(im->arenas[im->n_arenas]);
    }
    if (!assemble(a, &s, workers, threads, err) &&
        !mio_env_oci_describe(a, o->store, lock, im, err))
        check_seal(lock, im, err);
    if (err->code)
        mio_err_wrap(err, "environment %.*s", MIO_FMT(lock->name));
    *out = *im;
    return err->code;
}
