/* planner/change/plan.h: what an apply will do, as data. Renderers, plan file and executor read it.
 *
 * Lives in the arena of the run. Values may hold unknown and sensitive marks. */
#pragma once
#include "providers/sdk/schema.h"
#include "providers/sdk/value.h"

enum mio_action {
    MIO_NOOP,
    MIO_READ,
    MIO_CREATE,
    MIO_UPDATE,
    MIO_DELETE,
    MIO_REPLACE,        /* delete, then create */
    MIO_REPLACE_CREATE, /* create, then delete the deposed object */
    MIO_FORGET,         /* drop from the state, leave the object alone */
};
/* Why: Terraform's action_reason words (mio_reason_name), and two of ours. */
enum mio_reason {
    MIO_WHY_NONE,
    MIO_WHY_TAINTED,            /* replace_because_tainted */
    MIO_WHY_CANNOT_UPDATE,      /* replace_because_cannot_update */
    MIO_WHY_REQUESTED,          /* replace_by_request */
    MIO_WHY_TRIGGERS,           /* replace_by_triggers */
    MIO_WHY_NO_RESOURCE_CONFIG, /* delete_because_no_resource_config */
    MIO_WHY_WRONG_REPETITION,   /* delete_because_wrong_repetition */
    MIO_WHY_COUNT_INDEX,        /* delete_because_count_index */
    MIO_WHY_EACH_KEY,           /* delete_because_each_key */
    MIO_WHY_NO_MODULE,          /* delete_because_no_module */
    MIO_WHY_DISABLED,           /* delete_because_enabled_false */
    MIO_WHY_CONFIG_UNKNOWN,     /* read_because_config_unknown */
    MIO_WHY_DEPENDENCY_PENDING, /* read_because_dependency_pending */
    MIO_WHY_DEPOSED,            /* delete of a deposed object */
    MIO_WHY_DRIFT,              /* an ensured attribute differs from what was recorded */
    MIO_WHY_CONTENT,            /* what a local path holds has changed */
    MIO_WHY_DEPENDENCY_CBD,     /* create-before-destroy forced by a dependant */
    MIO_WHY_PROVIDER,           /* it belongs to another provider now */
};
const char *mio_reason_name(enum mio_reason r);   /* "" for NONE */
const char *mio_action_name(enum mio_action a);   /* create, update, ... as in the JSON UI */
const char *mio_action_symbol(enum mio_action a); /* "+", "~", "-/+", ... */

/* One attribute that differs, with its cause chain for `explain`. */
struct mio_diff_attr {
    struct mio_str path;   /* dotted */
    bool replaces;         /* create-only */
    bool repairs;          /* ensured attribute: before is reality, after what was recorded */
    bool late;             /* set after the dependants */
    struct mio_pos pos;    /* of the expression or literal in the template */
    struct mio_str place;  /* the same as text: "main.yaml:12:5", or "" */
    struct mio_str source; /* the expression's text, or "" */
    const struct mio_str *inputs; /* references it reads: "var.nodes", "workspace.taxi.name" */
    size_t ninputs;
};

struct mio_change {
    struct mio_str address, module, kind, name;
    struct mio_value key; /* null, number or string */
    bool is_data;
    struct mio_str deposed;          /* this entry is about a deposed object */
    struct mio_str provider;         /* instance name */
    struct mio_str previous_address; /* moved from, or "" */
    struct mio_str import_id;        /* being imported, or "" */
    enum mio_action action;
    enum mio_reason reason;
    struct mio_value before, after; /* attributes; null when there is none; sensitive marked */
    const struct mio_diff_attr *attrs;
    size_t nattrs;
    const struct mio_kind *schema; /* NULL when the plugin no longer has the kind */
    struct mio_str id;             /* prior id, or "" */
    struct mio_pos pos;            /* of the block; nowhere for orphans */
};
struct mio_output_change {
    struct mio_str name;
    enum mio_action action; /* NOOP CREATE UPDATE DELETE */
    struct mio_value before, after;
    bool sensitive;
};
struct mio_check_result {
    struct mio_str name, message;
    bool passed, unknown, blocks;
    struct mio_pos pos;
};
enum mio_plan_mode { MIO_PLAN_NORMAL, MIO_PLAN_DESTROY, MIO_PLAN_REFRESH_ONLY };

struct mio_plan_counts {
    size_t add, change, destroy, import, forget, move, read;
};
struct mio_plan_binding { /* what the plan holds for; all of it is checked by apply */
    struct mio_str tool_version, template_digest, variables_digest, stage, lineage, state_digest;
    struct mio_str commit; /* of the repository that the template is in, or "" */
    uint64_t serial;
    const struct mio_str *plugins; /* "TYPE VERSION SHA256", sorted */
    size_t nplugins;
    int64_t created, expires; /* seconds since 1970 */
    struct mio_str nonce; /* plans of one second and one template, in two places, are two: what is
                           * known of the one, and the lineage of the state that it makes, must not
                           * be taken for the other's */
};
struct mio_plan {
    enum mio_plan_mode mode;
    struct mio_plan_binding binding;
    struct mio_value variables; /* map; sensitive ones marked */
    const struct mio_str *targets, *excludes, *replaces;
    size_t ntargets, nexcludes, nreplaces;
    bool refreshed;
    struct mio_change *changes; /* in template order (then orphans by address); no-ops included */
    size_t nchanges;
    struct mio_change *
        drift; /* reality against record: before recorded, after observed; only those that differ */
    size_t ndrift;
    const struct mio_str *unchecked; /* "address: why": what the refresh could not check */
    size_t nunchecked;
    struct mio_output_change *outputs;
    size_t noutputs;
    struct mio_check_result *checks;
    size_t nchecks;
    struct mio_plan_counts counts;
    size_t rewrites; /* rows that an apply writes anew although nothing changes on the platform */
    bool errored;
    bool whole; /* every step is in it: what was wrong, if anything, is that it was refused, or that
                 * something could not be read, which `unchecked` names */
};
/* Anything to apply (changes, outputs, moves, forgets)? */
bool mio_plan_has_changes(const struct mio_plan *p);
const struct mio_change *mio_plan_find(const struct mio_plan *p, struct mio_str address);
