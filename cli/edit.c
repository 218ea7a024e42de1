/* cli/edit.c: edit scripts. Common ends are cut off first, then the longest common subsequence. */
#include "cli/edit.h"
#include "providers/sdk/alloc.h"
#include <stdint.h>

enum { MIDDLE_MAX = 250000 };

struct middle { /* what lies between the common ends */
    size_t from, nb, na;
    mio_edit_equal *equal;
    const void *arg;
    struct mio_edit *out;
    size_t n;
};

static void push(struct middle *m, char op, size_t b, size_t a)
{
    m->out[m->n++] = (struct mio_edit){.op = op, .b = b, .a = a};
}

static void longest_common(struct middle *m)
{
    size_t width = m->na + 1;
    MIO_AUTO_FREE uint32_t *best = mio_zalloc((m->nb + 1) * width, sizeof *best);
    for (size_t i = m->nb; i-- > 0;) {
        for (size_t k = m->na; k-- > 0;) {
            uint32_t *cell = &best[i * width + k];
            uint32_t down = cell[width], right = cell[1];
            *cell = m->equal(m->arg, m->from + i, m->from + k) ? cell[width + 1] + 1
                    : down >= right                            ? down
                                                               : right;
        }
    }
    size_t i = 0, k = 0;
    while (i < m->nb || k < m->na) {
        const uint32_t *cell = &best[i * width + k];
        if (i < m->nb && k < m->na && m->equal(m->arg, m->from + i, m->from + k)) {
            push(m, '=', m->from + i, m->from + k);
            i++;
            k++;
        } else if (i < m->nb && (k == m->na || cell[width] >= cell[1])) {
            push(m, '-', m->from + i++, 0);
        } else {
            push(m, '+', 0, m->from + k++);
        }
    }
}

static void all_anew(struct middle *m)
{
    for (size_t i = 0; i < m->nb; i++)
        push(m, '-', m->from + i, 0);
    for (size_t k = 0; k < m->na; k++)
        push(m, '+', 0, m->from + k);
}

static void mark_shown(struct mio_edit *e, size_t n, size_t context)
{
    size_t since = SIZE_MAX; /* unchanged ones since the last change */
    for (size_t i = 0; i < n; i++) {
        since = e[i].op != '=' ? 0 : since == SIZE_MAX ? since : since + 1;
        e[i].show = since <= context;
    }
    since = SIZE_MAX;
    for (size_t i = n; i-- > 0;) {
        since = e[i].op != '=' ? 0 : since == SIZE_MAX ? since : since + 1;
        e[i].show |= since <= context;
    }
}

size_t mio_edit_script(size_t nb, size_t na, bool places, size_t context, mio_edit_equal *equal,
                       const void *arg, struct mio_edit **out)
{
    struct middle m = {.nb = nb, .na = na, .equal = equal, .arg = arg};
    m.out = mio_zalloc(nb + na + 1, sizeof *m.out);
    if (places && nb == na) {
        for (size_t i = 0; i < nb; i++)
            push(&m, equal(arg, i, i) ? '=' : '~', i, i);
    } else {
        size_t tail = 0;
        while (m.from < nb && m.from < na && equal(arg, m.from, m.from)) {
            push(&m, '=', m.from, m.from);
            m.from++;
        }
        while (m.from + tail < nb && m.from + tail < na && equal(arg, nb - tail - 1, na - tail - 1))
            tail++;
        m.nb = nb - m.from - tail;
        m.na = na - m.from - tail;
        if (m.nb && m.na && m.nb * m.na <= MIDDLE_MAX)
            longest_common(&m);
        else
            all_anew(&m);
        for (size_t i = tail; i > 0; i--)
            push(&m, '=', nb - i, na - i);
    }
    mark_shown(m.out, m.n, context);
    *out = m.out;
    return m.n;
}
