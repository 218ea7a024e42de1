/* planner/template/module.c: `modules:`: calls of other template directories, loaded with them. */
#include "planner/template/load.h"
#include "providers/sdk/fs.h"

static bool is_local(struct mio_str s)
{
    return mio_str_starts(s, "./") || mio_str_starts(s, "../") || mio_str_is(s, ".") ||
           mio_str_is(s, "..");
}

static void too_many(struct mio_load *l, struct mio_pos pos)
{
    mio_tpl_error(l, pos, "use for_each on one call",
                  "more than %d module calls, or modules more than %d deep", MIO_TPL_MAX_MODULES,
                  MIO_TPL_MAX_DEPTH);
}

/* The chain of folders that leads back to `dir`, for the message. */
static void cycle(struct mio_load *l, struct mio_str dir, struct mio_pos pos)
{
    char chain[320] = "";
    size_t used = 0, i = 0;
    while (!mio_str_eq(l->open_dirs[i], dir))
        i++;
    for (; i < l->nopen && used < sizeof chain - 130; i++)
        used += (size_t)snprintf(chain + used, sizeof chain - used, "%.*s -> ",
                                 MIO_FMT(mio_str_sub(mio_path_base(l->open_dirs[i]), 0, 60)));
    snprintf(chain + used, sizeof chain - used, "%.*s",
             MIO_FMT(mio_str_sub(mio_path_base(dir), 0, 60)));
    mio_tpl_error(l, pos, chain, "this module calls itself");
}

static bool is_below(struct mio_str dir, struct mio_str root)
{
    return mio_str_eq(dir, root) ||
           (dir.n > root.n && !memcmp(dir.p, root.p, root.n) && dir.p[root.n] == '/');
}

/* The folder of a source; in *root the fetched tree that it must stay in, or "". */
static bool find_source(struct mio_scope_load *s, const struct mio_module_call *c,
                        struct mio_pos pos, struct mio_str *root, struct mio_str *dir)
{
    struct mio_str source = c->source;
    struct mio_load *l = s->load;
    struct mio_err err = {0};
    *root = l->confined;
    if (c->digest.n && !mio_str_starts(source, "https://")) {
        mio_tpl_error(l, pos, "what git fetches is held by the lock file",
                      "`digest` is for modules from https archives");
        return false;
    }
    if (is_local(source)) {
        *dir = mio_path_join(l->arena, s->t->dir, source);
        if (root->n && !is_below(*dir, *root)) {
            mio_tpl_error(l, pos, "a fetched module may call modules of its own repository alone",
                          "`%.*s` leaves the fetched module", MIO_FMT(source));
            return false;
        }
        return true;
    }
    bool known = mio_str_starts(source, "git::") || mio_str_starts(source, "https://");
    if (!known || !l->opts || !l->opts->module) {
        mio_tpl_error(l, pos,
                      "a source is `./NAME`, `../NAME`, `git::URL//FOLDER?ref=TAG` or "
                      "`https://HOST/NAME.tar.gz//FOLDER`",
                      "`%.*s` is no source of a module", MIO_FMT(mio_str_sub(source, 0, 200)));
        return false;
    }
    if (l->opts->module(l->opts->module_arg, source, c->digest, root, dir, &err) == MIO_OK)
        return true;
    mio_err_at(&err, pos);
    mio_diags_add(l->diags, MIO_ERROR, &err);
    return false;
}

/* What only the template that is run can say. */
static void warn_ignored(struct mio_load *l, const struct mio_template *t)
{
    const struct {
        const char *key;
        struct mio_pos pos;
        bool there;
    } keys[] = {
        {"providers", t->providers.n ? t->providers.items[0].pos : (struct mio_pos){0},
         t->providers.n > 0},
        {"import", t->imports.n ? t->imports.items[0].pos : (struct mio_pos){0}, t->imports.n > 0},
        {"notifications", t->notifications.n ? t->notifications.items[0].pos : (struct mio_pos){0},
         t->notifications.n > 0},
        {"mlops_iac.backend", t->backend ? t->backend->pos : (struct mio_pos){0},
         t->backend != NULL},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i].there)
            mio_diags_warn(l->diags, keys[i].pos, "say it in the template that is run",
                           "`%s` in a module has no effect", keys[i].key);
}

static struct mio_template *open_module(struct mio_scope_load *s, const struct mio_entry *e,
                                        const struct mio_module_call *c, struct mio_pos pos)
{
    struct mio_load *l = s->load;
    struct mio_str dir, root, outer = l->confined;
    if (!find_source(s, c, pos, &root, &dir))
        return NULL;
    if (l->nopen == MIO_TPL_MAX_DEPTH || ++l->nmodules > MIO_TPL_MAX_MODULES) {
        too_many(l, pos);
        return NULL;
    }
    for (size_t i = 0; i < l->nopen; i++) {
        if (!mio_str_eq(l->open_dirs[i], dir))
            continue;
        cycle(l, dir, pos);
        return NULL;
    }
    l->confined = root;
    struct mio_template *t = mio_tpl_dir(
        l, dir, mio_arena_printf(l->arena, "%.*smodule.%.*s.", MIO_FMT(s->prefix), MIO_FMT(e->key)),
        pos);
    l->confined = outer;
    if (t)
        warn_ignored(l, t);
    return t;
}

/* What is given must be a variable of the module. */
static void check_inputs(struct mio_load *l, const struct mio_module_call *c)
{
    struct mio_tpl_names names;
    uintptr_t at;
    if (!c->inputs || c->tpl->torn)
        return;
    mio_tpl_names_init(&names, l->arena, c->tpl->variables.n);
    for (size_t i = 0; i < c->tpl->variables.n; i++)
        mio_tpl_names_add(&names, l->arena, c->tpl->variables.items[i].name);
    for (size_t i = 0; i < c->inputs->n && !l->full; i++) {
        const struct mio_entry *in = &c->inputs->entries[i];
        if (!mio_index_get(&names.at, in->key, &at))
            mio_tpl_error(l, in->key_pos,
                          mio_tpl_names_hint(&names, l->arena, in->key,
                                             "its variables are declared in the module"),
                          "the module has no variable `%.*s`", MIO_FMT(in->key));
    }
}

static void call(struct mio_scope_load *s, const struct mio_entry *e)
{
    static const struct mio_tpl_key keys[] = {
        MIO_TPL_NEED(mio_module_call, "source", MIO_WANT_TEXT, source),
        MIO_TPL_KEY(mio_module_call, "digest", MIO_WANT_TEXT, digest),
        MIO_TPL_KEY(mio_module_call, "inputs", MIO_WANT_MAP, inputs),
        MIO_TPL_KEY(mio_module_call, "count", MIO_WANT_NODE, count),
        MIO_TPL_KEY(mio_module_call, "for_each", MIO_WANT_NODE, for_each),
        MIO_TPL_KEY(mio_module_call, "depends_on", MIO_WANT_REFS, depends_on),
    };
    struct mio_load *l = s->load;
    struct mio_str address = mio_arena_printf(l->arena, "module.%.*s", MIO_FMT(e->key));
    if (!mio_tpl_is_name(l, e, "module") || !mio_tpl_define(s, address, e->key_pos))
        return;
    struct mio_module_call c = {.name = e->key, .pos = e->key_pos};
    if (!mio_tpl_read(l, e->value, address.p, e->key_pos, keys, sizeof keys / sizeof *keys, &c))
        return;
    if (c.count && c.for_each)
        mio_tpl_error(l, c.for_each->pos, NULL, "%s has both `count` and `for_each`", address.p);
    c.tpl = open_module(s, e, &c, mio_node_get(e->value, "source")->pos);
    if (!c.tpl)
        return;
    check_inputs(l, &c);
    MIO_PUSH(l->arena, s->t->modules.items, s->t->modules.n, s->t->modules.cap) = c;
}

void mio_tpl_modules(struct mio_scope_load *s, const struct mio_entry *top)
{
    if (!mio_tpl_is_map(s->load, top->value, MIO_STR("`modules`")))
        return;
    for (size_t i = 0; i < top->value->n; i++)
        call(s, &top->value->entries[i]);
}
