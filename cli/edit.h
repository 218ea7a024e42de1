/* cli/edit.h: the shortest way from one sequence to another, for lists and for lines of text. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct mio_edit {
    char op;     /* '=' kept, '-' gone, '+' new, '~' the one became the other */
    size_t b, a; /* index before and after, where there is one */
    bool show;   /* changed, or within the context of a change */
};
typedef bool mio_edit_equal(const void *arg, size_t b, size_t a);

/* The caller frees *out. Sequences of the same length are compared place by place when `places`;
 * otherwise the longest common subsequence decides (for what lies between the common ends, as long
 * as that is below 250,000 comparisons). `context` unchanged elements are shown on either side of a
 * change. */
size_t mio_edit_script(size_t nb, size_t na, bool places, size_t context, mio_edit_equal *equal,
                       const void *arg, struct mio_edit **out);
