/* cli/module_tree.c: groups resources by module, in the order they came. */
#include "cli/module_tree.h"
#include "providers/sdk/map.h"

struct module {
    struct mio_str address;
    struct mio_module_item *first, **last;
    struct module *child, **last_child, *sibling;
};

/* "module.a.module.b" of "module.a.module.b.module.c": every second dot outside brackets and quotes
 * is a border. */
static struct mio_str parent_of(struct mio_str address)
{
    size_t dots = 0, border = 0;
    bool quoted = false;
    for (size_t i = 0; i < address.n; i++) {
        char c = address.p[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (c == '.' && !quoted && ++dots % 2 == 0)
            border = i;
    }
    return mio_str_sub(address, 0, border);
}

static struct module *module_at(struct mio_arena *a, struct mio_index *index,
                                struct mio_str address)
{
    uintptr_t found;
    if (mio_index_get(index, address, &found))
        return (struct module *)found;
    struct module *m = MIO_NEW(a, struct module);
    m->address = address;
    m->last = &m->first;
    m->last_child = &m->child;
    mio_index_add(index, address, (uintptr_t)m);
    if (address.n) {
        struct module *parent = module_at(a, index, parent_of(address));
        *parent->last_child = m;
        parent->last_child = &m->sibling;
    }
    return m;
}

static void write_module(struct mio_jout *j, const struct module *m, mio_module_write *write)
{
    mio_jout_open(j, '{');
    if (m->address.n)
        mio_jout_kstr(j, "address", m->address);
    if (m->first) {
        mio_jout_key(j, "resources");
        mio_jout_open(j, '[');
        for (const struct mio_module_item *i = m->first; i; i = i->next) {
            mio_jout_item(j);
            write(j, i->item);
        }
        mio_jout_close(j, ']');
    }
    if (m->child) {
        mio_jout_key(j, "child_modules");
        mio_jout_open(j, '[');
        for (const struct module *c = m->child; c; c = c->sibling) {
            mio_jout_item(j);
            write_module(j, c, write);
        }
        mio_jout_close(j, ']');
    }
    mio_jout_close(j, '}');
}

void mio_module_tree(struct mio_jout *j, struct mio_arena *a, struct mio_module_item *items,
                     size_t n, mio_module_write *write)
{
    struct mio_index index;
    mio_index_init(&index, a, 16);
    struct module *root = module_at(a, &index, MIO_STR(""));
    for (size_t i = 0; i < n; i++) {
        struct module *m = module_at(a, &index, items[i].module);
        items[i].next = NULL;
        *m->last = &items[i];
        m->last = &items[i].next;
    }
    write_module(j, root, write);
}
