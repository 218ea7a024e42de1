/* planner/change/planner.h: deciding what happens to each instance.
 *
 * In: an unfolded template, the recorded state, what the refresh saw. Out: struct mio_plan and, for
 * the executor, one mio_step an instance and one a row that goes. Reads through providers (data,
 * plan calls); never writes. */
#pragma once
#include "planner/change/diff.h"
#include "planner/change/refresh.h"
#include "planner/change/secret.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/digest.h"

struct mio_step {
    struct mio_inst *inst;     /* NULL: a row that no instance claims */
    struct mio_row *row;       /* NULL: nothing recorded (or gone from the platform) */
    struct mio_change *change; /* this step in the plan; NULL until the plan is put together */
    struct mio_record *record; /* the row in full, when it was needed */
    struct mio_value inputs;   /* wanted: main part; may hold unknowns */
    struct mio_value late;     /* wanted: late part */
    struct mio_value content;  /* map: path to digest, unknown where the path is */
    struct mio_value observed; /* attributes before */
    struct mio_value after;    /* attributes planned; what references see */
    struct mio_value changed;  /* list of paths for the plugin */
    struct mio_deps late_deps; /* what the late part refers to */
    struct mio_deps triggers;  /* what replace_triggered_by refers to */
    struct mio_diff_attr *attrs;
    size_t nattrs;
    const struct mio_err *trouble;   /* it could not be read, or its provider not be configured: an
                                        error where the plan is about it */
    struct mio_str fingerprint;      /* as last read */
    char digest[MIO_SHA256_HEX + 1]; /* of what is wanted; "" while unknown */
    uint8_t action, reason;          /* enum mio_action, enum mio_reason */
    bool lazy;        /* nothing changes and `after` has not been read from the row yet */
    bool main_change; /* create or update of the main part */
    bool late_change; /* an update of the late part follows the dependants */
    bool rewrite;     /* nothing to do on the platform, but the row is to be written again */
    bool gone;        /* recorded, but the platform no longer has it */
    bool cbd;         /* create before destroy */
    bool excluded;    /* -target or -exclude leaves it out */
};

struct mio_moved_row {
    struct mio_str from, to;
};

struct mio_planner {
    struct mio_arena *arena;
    struct mio_stack *st;
    struct mio_provs *provs;
    struct mio_state *state;
    struct mio_refresh *refresh;
    struct mio_diags *diags;
    const struct mio_sources *sources;
    enum mio_plan_mode mode;
    const char *const *targets, *const *excludes, *const *replaces;
    size_t ntargets, nexcludes, nreplaces;
    const bool *cancel;
    bool looking;    /* no preflight: nothing is going to be applied */
    bool unguarded;  /* the stage's guards do not hold: tests on places of their own */
    bool no_paths;   /* nothing is read below the folders of blocks: contents do not count */
    bool validating; /* no state, no configuration: computed values, lookups and missing variables
                        are unknown */

    struct mio_plan *plan;
    struct mio_step **steps; /* of instances, by inst->number; then of rows that go */
    size_t nsteps, steps_cap;
    uint8_t *claimed;       /* beside state->rows: an instance has it */
    struct mio_inst **busy; /* the chain of instances being planned */
    size_t nbusy, busy_cap;
    struct mio_moved_row *moved; /* addresses that moved blocks rewrote in this run */
    size_t nmoved, moved_cap;
    struct mio_sha256 *sha;
    struct mio_buf scratch;
    size_t looks; /* edges that -exclude followed: what it costs, for tests */
};

/* Fills p->plan and p->steps. Errors are all in diags; the first one's code is returned. */
enum mio_code mio_planner_run(struct mio_planner *p);
void mio_planner_free(struct mio_planner *p);

/* planner/change/moved.c: rows whose addresses moved blocks rewrite; in memory, before the refresh.
 * Warns of rows that cannot move because their place is taken. */
void mio_planner_moved(struct mio_planner *p);
/* Once the blocks are unfolded: what is moved away must not be there any more. */
void mio_planner_check_moved(struct mio_planner *p);
/* Does a removed block give this address up without destroying it? */
bool mio_planner_forgets(const struct mio_planner *p, struct mio_str address);
/* Warns of targets, exclusions and replacements that match nothing. */
void mio_planner_check_selection(struct mio_planner *p);
/* True when -target and -exclude leave this address in. */
bool mio_planner_selected(const struct mio_planner *p, struct mio_str address);
/* Excludes the steps that -target and -exclude leave out: by what the template says, or, when
 * everything is to be destroyed, by what was recorded. */
void mio_planner_narrow(struct mio_planner *p);
void mio_planner_narrow_destroy(struct mio_planner *p);

/* The value hook of the stack while planning (arg is the planner). */
enum mio_code mio_planner_value(void *arg, struct mio_inst *inst, struct mio_value *out,
                                struct mio_err *err);
static inline struct mio_step *mio_step_of(const struct mio_inst *inst)
{
    return inst->user;
}
/* What the platform told of a row, marked where the schema or the record says so, and masked. */
struct mio_value mio_observed(struct mio_planner *p, const struct mio_kind *kind,
                              const struct mio_record *rec, struct mio_value told);
/* The recorded attributes of a step, with secrets in the place of those masks that are known by
 * now. */
struct mio_value mio_healed(struct mio_planner *p, const struct mio_step *s);
/* The row of a step in full, read once. */
enum mio_code mio_step_record(struct mio_planner *p, struct mio_step *s, struct mio_err *err);

/* planner/change/decide.c */
enum mio_code mio_decide(struct mio_planner *p, struct mio_inst *inst, struct mio_err *err);
enum mio_code mio_decide_late(struct mio_planner *p, struct mio_step *s, struct mio_err *err);
enum mio_code mio_decide_data(struct mio_planner *p, struct mio_inst *inst, struct mio_err *err);

/* planner/change/wanted.c: digests of what is wanted */
/* Digests of the local paths that content fields name; relative ones are below the block's folder.
 */
enum mio_code mio_wanted_content(struct mio_planner *p, const struct mio_inst *inst,
                                 struct mio_value inputs, struct mio_value *out,
                                 struct mio_err *err);
/* SHA-256 over inputs, content, provider, dependencies and life-cycle facts that the row holds. */
void mio_wanted_digest(struct mio_planner *p, const struct mio_inst *inst, struct mio_value inputs,
                       struct mio_value content, char out[MIO_SHA256_HEX + 1]);
/* What `timeouts` of the block says for create, update, delete or read, in seconds; 0: nothing. */
int64_t mio_own_timeout_s(const struct mio_block *b, const char *verb);
/* Direct managed dependencies of an instance as addresses, sorted; lookups stand for what they
 * depend on. */
struct mio_value mio_wanted_dependencies(struct mio_arena *a, const struct mio_inst *inst);

/* planner/change/cause.c: position, source text and references behind each changed attribute */
void mio_cause_fill(struct mio_planner *p, struct mio_step *s);

/* planner/change/checks.c: conditions of blocks, checks and policies */
enum mio_code mio_conditions(struct mio_stack *st, struct mio_inst *inst,
                             const struct mio_node *rules, const struct mio_value *self,
                             const char *what, struct mio_err *err);
/* All of them while planning; after an apply (the stack plans no longer) those that the plan could
 * not decide. */
void mio_checks_run(struct mio_stack *st, struct mio_plan *plan);
/* Where there is no plan: only what cannot be evaluated in them, whether they hold or not. */
void mio_checks_look(struct mio_stack *st);
/* planner/change/guard.c: `guards` of the stage; errors in diags */
void mio_guards_run(struct mio_stack *st, const struct mio_plan *plan);
