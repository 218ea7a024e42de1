/* planner/change/wanted.c: what is wanted, as digests: an unchanged resource then costs no
 * comparison. See planner.h. */
#include "planner/change/planner.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"

/* azureml:..., https://..., runs:/...: not a path of this machine. */
static bool is_local_path(struct mio_str s)
{
    if (s.n == 0 || mio_str_starts(s, "azureml:") || mio_str_starts(s, "runs:/"))
        return false;
    for (size_t i = 0; i + 2 < s.n && s.p[i] != '/'; i++)
        if (s.p[i] == ':' && s.p[i + 1] == '/' && s.p[i + 2] == '/')
            return false;
    return true;
}

int64_t mio_own_timeout_s(const struct mio_block *b, const char *verb)
{
    const struct mio_node *own = b->timeouts ? mio_node_get(b->timeouts, verb) : NULL;
    int64_t seconds;
    bool given =
        own && own->type == MIO_NODE_SCALAR && !own->expr && mio_duration_s(own->text, &seconds);
    return given && seconds > 0 ? seconds : 0;
}

struct content {
    struct mio_planner *p;
    const struct mio_inst *inst;
    struct mio_pair *pairs;
    size_t n, cap;
    struct mio_err *err;
};

static bool digest_one(struct content *c, struct mio_str path, struct mio_value v)
{
    struct mio_pair pair = {path, mio_unknown(MIO_STRING)};
    if (v.type == MIO_STRING) {
        struct mio_str text = mio_value_str(v), digest;
        if (mio_str_starts(text, "file:") && !mio_str_starts(text, "file://"))
            text = mio_str_sub(text, 5, text.n);
        if (!is_local_path(text))
            return true;
        struct mio_str full = mio_path_join(c->p->arena, c->inst->res->block->base_dir, text);
        if (mio_digest_path(c->p->arena, full.p, &digest, c->err)) {
            mio_err_wrap(c->err, "%.*s", MIO_FMT(path));
            mio_err_hint(c->err,
                         "Relative paths start at the folder of the file that holds the block.");
            const struct mio_node *n = mio_node_get(c->inst->res->block->body, path.p);
            mio_err_at(c->err, n ? n->pos : c->inst->res->block->pos);
            return false;
        }
        pair.value = mio_string(digest);
    } else if (v.type != MIO_UNKNOWN) {
        return true;
    }
    MIO_PUSH(c->p->arena, c->pairs, c->n, c->cap) = pair;
    return true;
}

/* A map of typed inputs ({NAME: {type, path}}): the paths that lead to something here. */
static bool digest_inputs(struct content *c, struct mio_str prefix, struct mio_value map)
{
    for (uint32_t i = 0; i < map.n; i++) {
        const struct mio_value *path = mio_get_z(map.pairs[i].value, "path");
        if (!path)
            continue;
        struct mio_str full =
            mio_path_join(c->p->arena, c->inst->res->block->base_dir, mio_value_str(*path));
        if (path->type == MIO_STRING && !mio_fs_exists(full.p))
            continue; /* the id of an asset, or the plugin says what is wrong with it */
        if (!digest_one(c,
                        mio_arena_printf(c->p->arena, "%.*s.%.*s.path", MIO_FMT(prefix),
                                         MIO_FMT(map.pairs[i].key)),
                        *path))
            return false;
    }
    return true;
}

/* A list of {source, target}. */
static bool digest_sources(struct content *c, struct mio_str prefix, struct mio_value list)
{
    for (uint32_t i = 0; i < list.n; i++) {
        const struct mio_value *source = mio_get_z(list.items[i], "source");
        if (source &&
            !digest_one(c, mio_arena_printf(c->p->arena, "%.*s.%u.source", MIO_FMT(prefix), i),
                        *source))
            return false;
    }
    return true;
}

static bool digest_field(struct content *c, struct mio_str path, struct mio_value v)
{
    if (v.type == MIO_MAP)
        return digest_inputs(c, path, v);
    return v.type == MIO_LIST ? digest_sources(c, path, v) : digest_one(c, path, v);
}

/* The lock file that goes with the block, where there is one. */
static bool digest_lock(struct content *c)
{
    const struct mio_res *r = c->inst->res;
    struct mio_str name = mio_arena_printf(c->p->arena, "%.*s.%.*s.lock.json",
                                           MIO_FMT(r->kind->name), MIO_FMT(r->block->name));
    if (!(r->kind->flags & MLOPS_KIND_LOCK) ||
        !mio_fs_exists(mio_path_join(c->p->arena, r->block->base_dir, name).p))
        return true;
    return digest_one(c, MIO_STR("lock"), mio_string(name));
}

static bool walk(struct content *c, const struct mio_field *object, struct mio_str prefix,
                 struct mio_value v)
{
    for (size_t i = 0; i < object->nfields; i++) {
        const struct mio_field *f = &object->fields[i];
        const struct mio_value *x = mio_get(v, f->name);
        if (!x)
            continue;
        struct mio_str path =
            prefix.n ? mio_arena_printf(c->p->arena, "%.*s.%.*s", MIO_FMT(prefix), MIO_FMT(f->name))
                     : f->name;
        if ((f->flags & MLOPS_CONTENT) && !digest_field(c, path, *x))
            return false;
        if (f->type == MLOPS_OBJECT && x->type == MIO_MAP && !walk(c, f, path, *x))
            return false;
    }
    return true;
}

enum mio_code mio_wanted_content(struct mio_planner *p, const struct mio_inst *inst,
                                 struct mio_value inputs, struct mio_value *out,
                                 struct mio_err *err)
{
    struct content c = {.p = p, .inst = inst, .err = err};
    *out = mio_map(NULL, 0);
    if (!inst->res->kind->has_content || p->no_paths)
        return MIO_OK;
    if (!walk(&c, &inst->res->kind->root, MIO_STR(""), inputs) || !digest_lock(&c))
        return err->code;
    *out = mio_map(c.pairs, c.n);
    return MIO_OK;
}

static void collect(struct mio_arena *a, const struct mio_inst *inst, struct mio_value **items,
                    size_t *n, size_t *cap)
{
    for (size_t i = 0; i < inst->deps.n; i++) {
        const struct mio_inst *d = inst->deps.items[i];
        if (d->res->block->is_data)
            collect(a, d, items, n, cap);
        else
            MIO_PUSH(a, *items, *n, *cap) = mio_string(d->address);
    }
}

static int by_text(const void *a, const void *b)
{
    const struct mio_value *x = a, *y = b;
    return mio_str_cmp(mio_value_str(*x), mio_value_str(*y));
}

struct mio_value mio_wanted_dependencies(struct mio_arena *a, const struct mio_inst *inst)
{
    struct mio_value *items = NULL;
    size_t n = 0, cap = 0, out = 0;
    collect(a, inst, &items, &n, &cap);
    if (n > 1)
        qsort(items, n, sizeof *items, by_text);
    for (size_t i = 0; i < n; i++)
        if (out == 0 || !mio_equal(items[out - 1], items[i]))
            items[out++] = items[i];
    return mio_list(items, out);
}

void mio_wanted_digest(struct mio_planner *p, const struct mio_inst *inst, struct mio_value inputs,
                       struct mio_value content, char out[MIO_SHA256_HEX + 1])
{
    struct mio_buf *b = &p->scratch;
    uint8_t digest[MIO_SHA256_LEN];
    if (mio_has_sensitive(inputs))
        inputs = mio_mask(p->arena, p->state->salt, inputs);
    mio_buf_reset(b);
    mio_json_write(b, inputs, MIO_JSON_MARKED);
    if (content.n)
        mio_json_write(b, content, MIO_JSON_MARKED);
    mio_buf_char(b, '\n');
    mio_buf_str(b, inst->res->kind->name);
    mio_buf_char(b, '\n');
    mio_buf_str(b, inst->provider);
    mio_buf_printf(b, "\n%u %d %d", inst->res->kind->schema_version,
                   inst->res->block->lifecycle.create_before_destroy,
                   inst->res->block->lifecycle.on_removed_forget);
    int64_t patience = mio_own_timeout_s(inst->res->block, "delete");
    if (patience)
        mio_buf_printf(b, "\n%ld s", (long)patience);
    if (inst->deps.n) {
        struct mio_value deps = mio_wanted_dependencies(p->arena, inst);
        mio_json_write(b, deps, MIO_JSON_PLAIN);
    }
    mio_sha256_start(p->sha);
    mio_sha256_add(p->sha, b->p, b->n);
    mio_sha256_end(p->sha, digest);
    mio_hex(digest, sizeof digest, out);
}
