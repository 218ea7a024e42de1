/* cli/module_tree.h: resources as Terraform's JSON nests them: root_module{resources,
 * child_modules[...]}. */
#pragma once
#include "cli/json_out.h"

struct mio_module_item {
    struct mio_str module; /* "module.a.module.b[0]" or "" */
    const void *item;
    struct mio_module_item *next; /* the tree's own */
};
typedef void mio_module_write(struct mio_jout *j, const void *item);
/* Writes the object of the root module. Linear in the items. */
void mio_module_tree(struct mio_jout *j, struct mio_arena *a, struct mio_module_item *items,
                     size_t n, mio_module_write *write);
