/* planner/template/document.c: Azure ML documents of a template directory as resources. */
#include "planner/template/azureml.h"
#include "planner/template/load.h"
#include "providers/sdk/fs.h"

/* A name for addresses out of one that Azure ML, or the file system, knows. */
static struct mio_str address_name(struct mio_arena *a, struct mio_str prefix, struct mio_str s)
{
    char *p = mio_arena_z(a, mio_arena_printf(a, "%.*s%.*s", MIO_FMT(prefix), MIO_FMT(s)));
    size_t n = prefix.n + s.n;
    for (size_t i = 0; i < n; i++) {
        char low = (char)(p[i] | 32);
        bool letter = (low >= 'a' && low <= 'z') || p[i] == '_';
        if (!letter && !(i && ((p[i] >= '0' && p[i] <= '9') || p[i] == '-')))
            p[i] = '_';
    }
    return (struct mio_str){p, n < 128 ? n : 128};
}

/* "jobs/train.yml" to "jobs/train". */
static struct mio_str without_suffix(struct mio_str s)
{
    for (size_t i = s.n; i-- > 0 && s.p[i] != '/';)
        if (s.p[i] == '.')
            return mio_str_sub(s, 0, i);
    return s;
}

static enum mio_code check(struct mio_load *l, const struct mio_node *n, struct mio_str dir,
                           struct mio_azureml_doc *doc)
{
    struct mio_azureml_opts o = {.dir = dir, .no_paths = l->no_paths};
    return mio_azureml_check(l->arena, n, &o, doc, l->diags);
}

void mio_tpl_document(struct mio_scope_load *s, const struct mio_tpl_file *f, struct mio_str stem,
                      struct mio_str prefix)
{
    struct mio_load *l = s->load;
    struct mio_azureml_doc *doc = MIO_NEW(l->arena, struct mio_azureml_doc);
    struct mio_str dir = mio_path_dir(f->path);
    bool sound = check(l, f->root, dir, doc) == MIO_OK;
    if (!sound && !doc->entity)
        return;
    const struct mio_node *name = mio_node_get(f->root, "name");
    struct mio_pos pos = doc->name.n ? name->pos : f->root->pos;
    struct mio_block b = {.kind = doc->kind, .pos = pos, .azureml = true, .base_dir = dir};
    b.name = address_name(l->arena, prefix, doc->name.n ? doc->name : without_suffix(stem));
    b.address = mio_tpl_address(l->arena, false, b.kind, b.name);
    b.body = b.document = f->root;
    b.doc = sound ? doc : NULL;
    if (mio_tpl_define(s, b.address, pos))
        MIO_PUSH(l->arena, s->t->blocks.items, s->t->blocks.n, s->t->blocks.cap) = b;
}

/* Fields that `set:` gave the document go through the same checks; meta arguments are ours. */
static bool is_meta(const struct mio_block *b, const struct mio_entry *e)
{
    static const char *const words[] = {"count",    "for_each",  "enabled", "depends_on",
                                        "provider", "lifecycle", "timeouts"};
    if (e->key_pos.file == b->document->pos.file)
        return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (mio_str_is(e->key, words[i]))
            return true;
    return false;
}

static const struct mio_node *part(struct mio_arena *a, const struct mio_block *b, bool meta)
{
    struct mio_node *n = MIO_NEW(a, struct mio_node);
    struct mio_entry *entries = MIO_NEW_N(a, struct mio_entry, b->body->n);
    *n = *b->body;
    n->n = 0;
    for (size_t i = 0; i < b->body->n; i++)
        if (is_meta(b, &b->body->entries[i]) == meta)
            entries[n->n++] = b->body->entries[i];
    n->entries = entries;
    return n;
}

void mio_tpl_finish_document(struct mio_load *l, struct mio_block *b)
{
    const struct mio_node *whole = b->body;
    if (!b->doc) /* it was said what is wrong with it; here only so that others may name it */
        return;
    if (whole != b->document) {
        struct mio_azureml_doc *doc = MIO_NEW(l->arena, struct mio_azureml_doc);
        const struct mio_node *own = part(l->arena, b, false);
        if (check(l, own, b->base_dir, doc) == MIO_OK)
            b->doc = doc;
        b->body = part(l->arena, b, true);
        mio_tpl_finish_block(l, b);
        b->body = whole;
    }
    b->body = mio_tpl_without(l->arena, whole, "$schema");
    for (size_t i = 0; i < b->doc->nmissing; i++) {
        struct mio_str hint =
            mio_arena_printf(l->arena, "give it in the template: `set: { %.*s: { %s: ... } }`",
                             MIO_FMT(b->address), b->doc->missing[i]);
        mio_tpl_error(l, b->pos, hint.p,
                      "%.*s needs `%s`, which the document leaves to the command line",
                      MIO_FMT(b->address), b->doc->missing[i]);
    }
}

enum mio_code mio_azureml_file(struct mio_arena *a, const char *path,
                               const struct mio_azureml_opts *o, struct mio_sources *sources,
                               const struct mio_node **root, struct mio_azureml_doc *out,
                               struct mio_diags *diags)
{
    struct mio_load l = {.arena = a, .diags = diags, .sources = sources, .no_paths = o->no_paths};
    mio_index_init(&l.files, a, 4);
    char *real = realpath(path, NULL);
    struct mio_str whole = mio_arena_str(a, mio_str_z(real ? real : path));
    free(real);
    const struct mio_tpl_file *f = mio_tpl_file(&l, whole, (struct mio_pos){0}, false);
    if (!f->source)
        return MIO_IO;
    sources->items[f->source - 1].path = mio_arena_str(a, mio_str_z(path));
    if (!f->root)
        return MIO_TEMPLATE;
    *root = f->root;
    return check(&l, f->root, mio_path_dir(whole), out);
}
