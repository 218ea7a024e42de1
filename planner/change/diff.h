/* planner/change/diff.h: wanted against observed, as typed changes. Pure.
 *
 * Comparison is normalised: enum case, defaults, durations, number forms; so that a second plan
 * after an apply shows nothing. */
#pragma once
#include "planner/change/plan.h"
#include "planner/template/template.h"

struct mio_diff_in {
    const struct mio_kind *kind;
    struct mio_str salt; /* masks of sensitive values */
    struct mio_value
        wanted; /* inputs, main and late; may hold unknowns; null: the object is to go */
    struct mio_value prior_inputs; /* as recorded; null for none */
    struct mio_value observed;     /* attributes as the platform has them (or as recorded) */
    struct mio_value recorded;     /* attributes as recorded: what ensured ones must be */
    struct mio_value content,
        prior_content;            /* maps: dotted path to digest; wanted ones may be unknown */
    const struct mio_str *ignore; /* lifecycle.ignore_changes */
    size_t nignore;
    bool ignore_all;
};
struct mio_diff_out {
    struct mio_diff_attr *attrs; /* path, replaces, repairs, late are set */
    size_t n, cap;
    bool main, late, replaces, repairs, content; /* what the attrs amount to */
};
void mio_diff(struct mio_arena *a, const struct mio_diff_in *in, struct mio_diff_out *out);

/* Attributes after the change: computed ones unknown on create, kept (or unknown when volatile) on
 * update. */
struct mio_value mio_diff_after(struct mio_arena *a, const struct mio_diff_in *in,
                                const struct mio_diff_out *diff, bool create);

/* Wanted inputs (the late ones, or the others) with lifecycle.ignore_changes obeyed: what is
 * ignored is sent as the platform has it (`have`: attributes), or as it was last sent (`prior`:
 * inputs). Frozen values, arena. */
struct mio_value mio_keep_ignored(struct mio_arena *a, const struct mio_kind *kind,
                                  const struct mio_lifecycle *l, bool late, struct mio_value want,
                                  struct mio_value have, struct mio_value prior);

/* True when two values of a field mean the same. */
bool mio_same(const struct mio_field *f, struct mio_value a, struct mio_value b);

/* Reality against record, for the drift section: true when an attribute that counts differs.
 * Attributes that only the platform reports and the record lacks do not count. */
bool mio_drifted(const struct mio_kind *kind, struct mio_str salt, struct mio_value recorded,
                 struct mio_value observed, struct mio_arena *a, struct mio_diff_out *out);
