/* planner/run/review.h: saved plans between their making and their apply: sealed or signed, shown,
 * approved, judged. */
#pragma once
#include "planner/run/trust.h"
#include "planner/template/node.h"
#include "state/store.h"

struct mio_review {
    const char *path;
    struct mio_planfile file;
    bool sealed;
    struct mio_str signed_by; /* one of the template's signers, or "" */
    size_t required;          /* approvals that an apply in the plan's stage needs */
    struct mio_approval *approvals;
    size_t n, good; /* all of them; those that count */
};

/* Reads a plan with the keys of this machine, of the environment, and of the template's
 * `encryption` (NULL: there is no template at hand); `lookup` as in mio_engine_opts. Errors:
 * MIO_AUTH, MIO_STATE, MIO_IO, all naming the file. */
struct mio_plan_source {
    const struct mio_node *encryption;
    struct mio_str dir;
    mio_lookup *lookup;
    void *arg;
};
/* The settings of sealing alone. planner/run/place.c */
enum mio_code mio_sealing_of(struct mio_arena *a, const struct mio_plan_source *from,
                             struct mio_sources *sources, struct mio_diags *diags,
                             struct mio_seal_opts *out, bool *wanted, struct mio_err *err);
/* Does a sealed text lie there? */
bool mio_review_is_sealed(const char *path);
enum mio_code mio_review_read(struct mio_arena *a, const struct mio_plan_source *from,
                              const char *path, bool whole, struct mio_planfile *out, bool *sealed,
                              struct mio_err *err);

/* The same with the engine's template, and what its stage thinks of signature and approvals. */
enum mio_code mio_engine_review(struct mio_engine *e, const char *path, bool whole,
                                struct mio_review *out);
/* The approvals that count, as the history records them: a list of {by, key}. */
struct mio_value mio_review_counted(struct mio_arena *a, const struct mio_review *r);
/* Refuses a plan that is in clear where plans are sealed, not signed by a signer, of another stage,
 * or expired; approved: also one with too few approvals. */
enum mio_code mio_engine_may_use(struct mio_engine *e, const struct mio_review *r, bool approved,
                                 struct mio_err *err);
/* Refuses a plan that was made in this run where approvals are needed. Diags have the error. */
enum mio_code mio_engine_may_apply(struct mio_engine *e);

/* The file that is being applied, or NULL. */
const struct mio_review *mio_engine_reviewed(const struct mio_engine *e);

/* Approves with the key of `key_file` (NULL: MLOPS_IAC_APPROVAL_KEY_FILE or MLOPS_IAC_APPROVAL_KEY)
 * for valid_s seconds (0: as long as the plan) and writes the file again. */
enum mio_code mio_engine_approve(struct mio_engine *e, const char *key_file, int64_t valid_s,
                                 struct mio_review *r);
/* Takes over the approvals of a copy of the file. */
enum mio_code mio_engine_take_approvals(struct mio_engine *e, const char *copy,
                                        struct mio_review *r, size_t *added);
/* The plan of this run as a file: signed with MLOPS_IAC_PLAN_KEY_FILE or MLOPS_IAC_PLAN_KEY, and
 * sealed where the state is. */
enum mio_code mio_engine_write_plan(struct mio_engine *e, const char *path, struct mio_review *out);
