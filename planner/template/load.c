/* planner/template/load.c: one directory of YAML files to struct mio_template.
 *
 * In: *.yaml and *.yml of the folder, of modules it calls, of the stage. Owns: nothing; all lives
 * in the arena. */
#include "planner/template/load.h"
#include "planner/template/azureml.h"
#include "planner/template/yaml.h"
#include "providers/sdk/fs.h"

/* Files */

static struct mio_str shown_path(const struct mio_load *l, struct mio_str path)
{
    size_t n = l->shown_from.n;
    if (n && path.n > n && !memcmp(path.p, l->shown_from.p, n) && path.p[n] == '/')
        return mio_str_sub(path, n + 1, path.n);
    return path;
}

static struct mio_str name_of(const struct mio_load *l, struct mio_str path)
{
    return l->dir.n ? mio_path_relative(l->arena, l->dir, path) : MIO_STR("");
}

struct mio_tpl_file *mio_tpl_file(struct mio_load *l, struct mio_str path, struct mio_pos from,
                                  bool expand)
{
    uintptr_t known;
    if (mio_index_get(&l->files, path, &known))
        return (struct mio_tpl_file *)known;
    struct mio_err err = {0};
    struct mio_str text;
    struct mio_tpl_file *f = MIO_NEW(l->arena, struct mio_tpl_file);
    f->path = path;
    mio_index_set(&l->files, path, (uintptr_t)f);
    if (l->read.n == MIO_TPL_MAX_FILES) {
        mio_tpl_error(l, from, NULL, "more than %d files", MIO_TPL_MAX_FILES);
        return f;
    }
    if (mio_fs_read(l->arena, path.p, MIO_YAML_MAX_BYTES + 1, &text, NULL, &err) != MIO_OK) {
        mio_err_at(&err, from);
        mio_diags_add(l->diags, MIO_ERROR, &err);
        return f;
    }
    MIO_PUSH(l->arena, l->read.items, l->read.n, l->read.cap) = f;
    MIO_PUSH(l->arena, l->sources->items, l->sources->n, l->sources->cap) =
        (struct mio_source){.path = shown_path(l, path), .text = text, .name = name_of(l, path)};
    f->source = (uint32_t)l->sources->n;
    f->azureml = mio_azureml_text(text);
    f->root = mio_yaml_parse(l->arena, l->sources, f->source, expand || !f->azureml, l->diags);
    return f;
}

static bool is_yaml(struct mio_str name)
{
    return name.n && name.p[0] != '.' &&
           (mio_str_ends(name, ".yaml") || mio_str_ends(name, ".yml"));
}

static bool is_auto(struct mio_str name)
{
    return mio_str_ends(name, ".auto.yaml") || mio_str_ends(name, ".auto.yml");
}

/* Top-level keys */

static const struct mio_tpl_key top_keys[] = {
    MIO_TPL_ALSO("mlops_iac"), MIO_TPL_ALSO("variables"),     MIO_TPL_ALSO("locals"),
    MIO_TPL_ALSO("providers"), MIO_TPL_ALSO("resources"),     MIO_TPL_ALSO("data"),
    MIO_TPL_ALSO("outputs"),   MIO_TPL_ALSO("modules"),       MIO_TPL_ALSO("moved"),
    MIO_TPL_ALSO("import"),    MIO_TPL_ALSO("removed"),       MIO_TPL_ALSO("checks"),
    MIO_TPL_ALSO("policies"),  MIO_TPL_ALSO("notifications"), MIO_TPL_ALSO("include"),
    MIO_TPL_ALSO("set"),
};

static void add_set(struct mio_scope_load *s, const struct mio_entry *e)
{
    if (mio_tpl_is_map(s->load, e->value, MIO_STR("`set`")))
        MIO_PUSH(s->load->arena, s->sets.items, s->sets.n, s->sets.cap) = e->value;
}

/* Has it keys, and is none of them (nearly) one of a template? Then it was meant as something else:
 * values of variables, say. */
static bool is_other(const struct mio_node *map)
{
    struct mio_str names[sizeof top_keys / sizeof *top_keys];
    size_t n = sizeof names / sizeof *names;
    for (size_t i = 0; i < n; i++)
        names[i] = top_keys[i].name;
    for (size_t i = 0; i < map->n; i++)
        if (mio_str_nearest(map->entries[i].key, names, n).n)
            return false;
    return map->n > 0;
}

static void read_file(struct mio_scope_load *s, const struct mio_tpl_file *f)
{
    struct mio_str outer = s->base_dir;
    s->base_dir = mio_path_dir(f->path);
    if (!mio_tpl_is_map(s->load, f->root, MIO_STR("a template file")))
        return;
    if (!s->including && is_other(f->root)) {
        mio_tpl_error(
            s->load, f->root->entries[0].key_pos,
            "every *.yaml of this folder belongs to the template; others go into a folder "
            "below, those for -var-file too",
            "this file has no key of a template, but `%.*s`", MIO_FMT(f->root->entries[0].key));
        return;
    }
    for (size_t i = 0; i < f->root->n; i++) {
        const struct mio_entry *e = &f->root->entries[i];
        if (mio_tpl_is_declaration(e->key))
            mio_tpl_declarations(s, e);
        else if (mio_str_is(e->key, "resources") || mio_str_is(e->key, "data"))
            mio_tpl_blocks(s, e, mio_str_is(e->key, "data"));
        else if (mio_str_is(e->key, "modules"))
            mio_tpl_modules(s, e);
        else if (mio_str_is(e->key, "include"))
            mio_tpl_include(s, e);
        else if (mio_str_is(e->key, "set"))
            add_set(s, e);
        else
            mio_tpl_unknown(s->load, e, "a template", top_keys, sizeof top_keys / sizeof *top_keys);
    }
    s->base_dir = outer;
}

void mio_tpl_add_file(struct mio_scope_load *s, struct mio_tpl_file *f, struct mio_str stem,
                      struct mio_str prefix)
{
    if (!f->root || f->user == s->t)
        return;
    f->user = s->t;
    if (f->azureml)
        mio_tpl_document(s, f, stem, prefix);
    else
        read_file(s, f);
}

static void read_auto_variables(struct mio_scope_load *s, const struct mio_tpl_file *f)
{
    if (!mio_tpl_is_map(s->load, f->root, MIO_STR("a variable file")))
        return;
    if (mio_node_has_expr(f->root))
        mio_tpl_error(s->load, f->root->pos, "put computed values into `locals:`",
                      "a variable file holds plain values, no expressions");
    MIO_PUSH(s->load->arena, s->t->auto_vars.items, s->t->auto_vars.n, s->t->auto_vars.cap) =
        f->root;
}

/* Returns how many files of the directory are its own. */
static size_t read_files(struct mio_scope_load *s, const struct mio_str *names, size_t n)
{
    size_t seen = 0;
    for (size_t i = 0; i < n; i++) {
        struct mio_str path = mio_path_join(s->load->arena, s->t->dir, names[i]);
        if (!is_yaml(names[i]) || mio_fs_is_dir(path.p))
            continue;
        bool variables = is_auto(names[i]);
        if (variables && s->prefix.n)
            continue; /* of the directory as a root template */
        struct mio_tpl_file *f = mio_tpl_file(s->load, path, (struct mio_pos){0}, false);
        seen++;
        s->t->torn = s->t->torn || !f->root;
        if (f->root && variables)
            read_auto_variables(s, f);
        else
            mio_tpl_add_file(s, f, names[i], (struct mio_str){0});
    }
    return seen;
}

struct mio_template *mio_tpl_dir(struct mio_load *l, struct mio_str dir, struct mio_str prefix,
                                 struct mio_pos from)
{
    struct mio_err err = {0};
    struct mio_str *names;
    size_t n;
    const char *path = mio_arena_z(l->arena, dir);
    if (from.file && !mio_fs_is_dir(path)) {
        mio_tpl_error(l, from, "local sources begin at the folder of the template that calls them",
                      "there is no folder %s", path);
        return NULL;
    }
    if (mio_fs_list(l->arena, path, &names, &n, &err) != MIO_OK) {
        mio_err_at(&err, from);
        mio_diags_add(l->diags, MIO_ERROR, &err);
        return NULL;
    }
    struct mio_template *t = MIO_NEW(l->arena, struct mio_template);
    struct mio_scope_load s = {.load = l, .t = t, .prefix = prefix};
    t->dir = dir;
    mio_index_init(&s.addresses, l->arena, 64);
    struct mio_str *open = MIO_NEW_N(l->arena, struct mio_str, l->nopen + 1);
    const struct mio_str *outer = l->open_dirs;
    if (l->nopen)
        memcpy(open, outer, l->nopen * sizeof *open);
    open[l->nopen++] = dir;
    l->open_dirs = open;
    size_t files = read_files(&s, names, n);
    l->open_dirs = outer;
    l->nopen--;
    for (size_t i = 0; i < s.sets.n; i++)
        mio_tpl_set(l, t, s.sets.items[i]);
    if (!files)
        mio_tpl_error(l, from, "a template is one or more *.yaml files",
                      "the folder %.*s holds no template", MIO_FMT(dir));
    return t;
}

static void finish_blocks(struct mio_load *l, struct mio_template *t)
{
    mio_tpl_check_moved(l, t);
    for (size_t i = 0; i < t->blocks.n; i++)
        if (t->blocks.items[i].azureml)
            mio_tpl_finish_document(l, &t->blocks.items[i]);
        else
            mio_tpl_finish_block(l, &t->blocks.items[i]);
    for (size_t i = 0; i < t->modules.n; i++)
        finish_blocks(l, t->modules.items[i].tpl);
}

/* Names and bytes of every file read, in the order read. */
static struct mio_str digest(const struct mio_load *l)
{
    struct mio_sha256 *h = mio_sha256_new();
    uint8_t out[MIO_SHA256_LEN];
    mio_sha256_start(h);
    for (size_t i = 0; i < l->read.n; i++) {
        const struct mio_source *s = &l->sources->items[l->read.items[i]->source - 1];
        char head[32];
        int n = snprintf(head, sizeof head, "%zu %zu\n", s->name.n, s->text.n);
        mio_sha256_add(h, head, (size_t)n);
        mio_sha256_add(h, s->name.p, s->name.n);
        mio_sha256_add(h, s->text.p, s->text.n);
    }
    mio_sha256_end(h, out);
    mio_sha256_free(h);
    char *hex = mio_arena_alloc(l->arena, MIO_SHA256_HEX + 1);
    mio_hex(out, MIO_SHA256_LEN, hex);
    return (struct mio_str){hex, MIO_SHA256_HEX};
}

/* A test's own providers and settings. */
static void lay_over(struct mio_load *l, struct mio_template *t, const char *path)
{
    const struct mio_tpl_file *f =
        mio_tpl_file(l, mio_arena_str(l->arena, mio_str_z(path)), (struct mio_pos){0}, true);
    if (!f->root || !mio_tpl_is_map(l, f->root, MIO_STR("a test file")))
        return;
    t->overlay = f->root;
    const struct mio_node *providers = mio_node_get(f->root, "providers"),
                          *set = mio_node_get(f->root, "set");
    if (providers && !mio_tpl_is_map(l, providers, MIO_STR("`providers`")))
        return;
    for (size_t i = 0; providers && i < providers->n; i++) {
        const struct mio_entry *e = &providers->entries[i];
        if (!mio_tpl_is_map(l, e->value, MIO_STR("a provider")))
            continue;
        const struct mio_node *type = mio_node_get(e->value, "type");
        struct mio_provider_block p = {
            .name = e->key, .type = type ? type->text : e->key, .pos = e->key_pos};
        mio_tpl_provider_body(l, e->value, &p);
        size_t k = 0;
        while (k < t->providers.n && !mio_str_eq(t->providers.items[k].name, e->key))
            k++;
        if (k < t->providers.n)
            t->providers.items[k] = p;
        else
            MIO_PUSH(l->arena, t->providers.items, t->providers.n, t->providers.cap) = p;
    }
    if (set && mio_tpl_is_map(l, set, MIO_STR("`set`")))
        mio_tpl_set(l, t, set);
}

static int by_place(const void *x, const void *y)
{
    struct mio_pos a = ((const struct mio_diag *)x)->err.pos,
                   b = ((const struct mio_diag *)y)->err.pos;
    if (a.file != b.file)
        return a.file < b.file ? -1 : 1;
    if (a.line != b.line)
        return a.line < b.line ? -1 : 1;
    return a.col < b.col ? -1 : a.col > b.col;
}

enum mio_code mio_template_load(struct mio_arena *a, const struct mio_template_opts *o,
                                struct mio_template **out, struct mio_diags *diags)
{
    size_t errors = diags->errors, first = diags->n;
    struct mio_str dir = mio_arena_str(a, mio_str_z(o->dir)), stage = mio_str_z(o->stage);
    struct mio_load l = {
        .arena = a, .diags = diags, .sources = o->sources, .no_paths = o->no_paths, .opts = o};
    l.dir = dir;
    l.shown_from = o->shown_from ? mio_str_z(o->shown_from) : mio_path_dir(dir);
    mio_index_init(&l.files, a, 16);
    if (!mio_fs_is_dir(dir.p))
        return mio_diags_error(diags, MIO_IO, (struct mio_pos){0},
                               "name the template directory with -chdir=DIR or -dir=DIR",
                               "there is no folder %.*s", MIO_FMT(dir));
    struct mio_template *t = mio_tpl_dir(&l, dir, (struct mio_str){0}, (struct mio_pos){0});
    if (!t)
        return MIO_IO;
    t->shared_digest = digest(&l);
    if (stage.n)
        mio_tpl_stage(&l, t, stage);
    if (o->overlay)
        lay_over(&l, t, o->overlay);
    finish_blocks(&l, t);
    t->stage = mio_arena_str(a, stage);
    t->digest = digest(&l);
    if (diags->n > first)
        qsort(diags->items + first, diags->n - first, sizeof *diags->items, by_place);
    if (diags->errors != errors)
        return MIO_TEMPLATE;
    *out = t;
    return MIO_OK;
}

/* `mlops_iac` of one file, if it has it. False: it is broken, and may have it. */
static bool settings_of(struct mio_load *l, struct mio_str path, const struct mio_node **out)
{
    static const char key[] = "mlops_iac";
    struct mio_diags *told = l->diags, own;
    mio_diags_init(&own, l->arena);
    l->diags = &own;
    const struct mio_tpl_file *f = mio_tpl_file(l, path, (struct mio_pos){0}, false);
    l->diags = told;
    struct mio_str text = f->source ? l->sources->items[f->source - 1].text : MIO_STR("");
    if (f->root) {
        const struct mio_node *n =
            f->root->type == MIO_NODE_MAP ? mio_node_get(f->root, key) : NULL;
        *out = n ? n : *out;
        return true;
    }
    if (f->source && !memmem(text.p, text.n, key, sizeof key - 1))
        return true;
    for (size_t i = 0; i < own.n; i++)
        mio_diags_add(told, own.items[i].severity, &own.items[i].err);
    return false;
}

enum mio_code mio_template_settings(struct mio_arena *a, const struct mio_template_opts *o,
                                    struct mio_template **out, struct mio_diags *diags)
{
    struct mio_load l = {.arena = a, .diags = diags, .sources = o->sources, .opts = o};
    struct mio_str dir = mio_arena_str(a, mio_str_z(o->dir)), *names;
    struct mio_err err = {0};
    const struct mio_node *n = NULL;
    size_t count;
    l.shown_from = mio_path_dir(dir);
    mio_index_init(&l.files, a, 16);
    if (mio_fs_list(a, dir.p, &names, &count, &err))
        return mio_diags_add(diags, MIO_ERROR, &err);
    for (size_t i = 0; i < count; i++) {
        struct mio_str path = mio_path_join(a, dir, names[i]);
        if (is_yaml(names[i]) && !mio_fs_is_dir(path.p) && !settings_of(&l, path, &n))
            return MIO_TEMPLATE;
    }
    struct mio_template *t = MIO_NEW(a, struct mio_template);
    t->dir = dir;
    t->stage = mio_arena_str(a, mio_str_z(o->stage));
    if (n && n->type == MIO_NODE_MAP) {
        t->backend = mio_node_get(n, "backend");
        t->encryption = mio_node_get(n, "encryption");
        t->plans = mio_node_get(n, "plans");
    }
    *out = t;
    return MIO_OK;
}

enum mio_code mio_varfile_load(struct mio_arena *a, const char *path, struct mio_sources *sources,
                               const struct mio_node **out, struct mio_diags *diags)
{
    struct mio_load l = {.arena = a, .diags = diags, .sources = sources};
    size_t errors = diags->errors;
    mio_index_init(&l.files, a, 4);
    const struct mio_tpl_file *f =
        mio_tpl_file(&l, mio_arena_str(a, mio_str_z(path)), (struct mio_pos){0}, true);
    if (!f->source)
        return MIO_IO;
    if (!f->root || !mio_tpl_is_map(&l, f->root, MIO_STR("a variable file")))
        return MIO_TEMPLATE;
    if (mio_node_has_expr(f->root))
        mio_tpl_error(&l, f->root->pos, "put computed values into `locals:`",
                      "a variable file holds plain values, no expressions");
    if (diags->errors != errors)
        return MIO_TEMPLATE;
    *out = f->root;
    return MIO_OK;
}
