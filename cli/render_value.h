/* cli/render_value.h: one value, or the difference of two, as lines for people.
 *
 * Columns: an entry at `depth` starts at 4 * depth, its symbol (+ - ~) two before it. Sensitive
 * values are never shown, unknown ones are "(known after apply)", strings with newlines come as
 * <<-EOT blocks. */
#pragma once
#include "cli/out.h"
#include "planner/change/plan.h"

struct mio_value_page {
    const struct mio_pen *pen;
    const struct mio_change *change; /* for "# forces replacement" and the like; may be NULL */
    struct mio_buf path;             /* dotted, of the entry being written */
    const char *comment;             /* waits for the end of the line */
};

/* Blanks and the symbol ("", "+", "-/+", ...) in front of an entry. */
void mio_put_symbol(const struct mio_pen *pen, size_t depth, const char *symbol);
/* The value itself; lines inside it carry the symbol. Ends without a newline. */
void mio_put_value(const struct mio_pen *pen, struct mio_value v, size_t depth, const char *symbol);
/* Every entry of a map on lines of their own, keys aligned, nulls left out. */
void mio_put_map_lines(const struct mio_pen *pen, struct mio_value map, size_t depth,
                       const char *symbol, const char *behind);
/* Entries that differ, unchanged ones counted; `top`: the attributes of a resource. */
void mio_put_map_diff(struct mio_value_page *page, struct mio_value before, struct mio_value after,
                      size_t depth, bool top);
/* What follows "key = " when before became after. */
void mio_put_diff(struct mio_value_page *page, struct mio_value before, struct mio_value after,
                  size_t depth);

/* Each leaf that differs, with its dotted path; null stands for absent. */
typedef void mio_leaf_visit(void *arg, struct mio_str path, struct mio_value before,
                            struct mio_value after);
void mio_leaf_diff(struct mio_value before, struct mio_value after, mio_leaf_visit *visit,
                   void *arg);
/* On one line, at most `max` bytes, then "...". */
void mio_put_brief(struct mio_buf *b, struct mio_value v, size_t max);
