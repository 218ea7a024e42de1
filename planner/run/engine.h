/* planner/run/engine.h: the line of rooms behind one call each: open, plan, apply. cli/ calls
 * nothing below it but the renderers' data (plan.h, template.h, state/model.h).
 *
 * Owns: arena, sources, template, state, providers, plan of one run. */
#pragma once
#include "planner/change/plan.h"
#include "planner/template/template.h"
#include "providers/host/host.h"
#include "state/store.h"

enum mio_event_type {
    MIO_EV_REFRESH_START,
    MIO_EV_REFRESH_DONE, /* one resource; only when asked for (JSON UI, few resources) */
    MIO_EV_START,
    MIO_EV_PROGRESS,
    MIO_EV_DONE,
    MIO_EV_ERROR,     /* one operation of an apply */
    MIO_EV_RECOVERED, /* an operation of a killed apply was settled */
    MIO_EV_LOG,       /* a plugin says something; message, level */
    MIO_EV_WAITING,   /* for the state lock */
    MIO_EV_DRAINING,  /* first interrupt */
    MIO_EV_TICK, /* nothing happened: every 100 ms or so while operations run, so that the view can
                  * redraw and say "Still creating..."; only done and total are set */
};
struct mio_event {
    enum mio_event_type type;
    const struct mio_change *change; /* NULL where none */
    struct mio_str address;
    enum mio_action action; /* CREATE UPDATE DELETE READ: the half of a replace that runs */
    bool late;              /* the late update of a resource */
    struct mio_str id, message;
    int percent; /* -1: unknown */
    int level;   /* enum mlops_level */
    double elapsed_s;
    const struct mio_err *err; /* MIO_EV_ERROR */
    size_t done, total;        /* operations */
};

struct mio_engine_opts {
    const char *dir;         /* absolute template directory */
    const char *shown_from;  /* as in mio_template_opts */
    const char *state_dir;   /* absolute; NULL: <dir>/.state/<stage or default> */
    const char *stage;       /* "" : none */
    const char *program_dir; /* folder of the running binary */
    const char *plugin_dirs; /* colon-separated, or NULL */
    unsigned parallelism;    /* 0: 10 */
    int64_t lock_timeout_ms;
    int64_t plan_life_s; /* how long a saved plan holds; 0: a day */
    bool lock;           /* take the state lock (plan, apply: true unless -lock=false) */
    bool state_only; /* the state is all that is asked for: of the template, only its settings */
    bool durable_folder;    /* make the state folder when missing */
    const char *durability; /* "full", "plan"; NULL: as the backend's settings say */
    bool read_only; /* drift, show, output, state list: writes nothing at all (no lock, no folder,
                     * no recovery: an open journal is a warning) */
    bool refresh_events;      /* send MIO_EV_REFRESH_START and _DONE */
    const char *const *vars;  /* "name=value" in command-line order, environment first */
    const bool *var_from_env; /* vars[i] came from MLOPS_IAC_VAR_name: unknown names are ignored */
    size_t nvars;
    const char *const *var_files; /* paths, in order */
    size_t nvar_files;
    struct mio_value
        values;            /* map of further variables, strongest of all; null when none (tests) */
    size_t step;           /* of `overlay`, whose variables they are */
    bool fetch_modules;    /* `init`: modules of git and archive sources are fetched and locked */
    bool upgrade_modules;  /* and locked anew when they are not what the lock file names */
    bool keep_module_lock; /* an error instead of a changed lock file */
    const char *overlay;   /* see mio_template_opts, or NULL */
    bool no_paths;         /* see mio_template_opts */
    bool accept_rollback;  /* an older state than the last seen one is meant */
    bool accept_clear;     /* sealing is enforced, and what is still in clear may be read */
    const char
        *seen_dir; /* absolute folder of the notes on states that this user has seen, or NULL */
    const char *(*env)(void *arg,
                       const char *name); /* settings of backend and sealing; NULL: getenv */
    void *arg_env;
    const char
        *temp_dir; /* what path.temp says; with it, plugins need no lock file (tests); or NULL */
    const bool *interrupt; /* true after the first Ctrl-C */
    const bool *abort;     /* true after the second */
    void (*on_event)(void *arg,
                     const struct mio_event *ev); /* on the main thread; MIO_EV_LOG on any */
    void *arg;
};
struct mio_engine; /* handle */

/* Loads and checks the template (no provider, no state). Diagnostics in mio_engine_diags. */
enum mio_code mio_engine_open(const struct mio_engine_opts *o, struct mio_engine **out,
                              struct mio_diags **diags, struct mio_sources **sources);
void mio_engine_close(struct mio_engine *e); /* NULL accepted; diags and sources go with it */
struct mio_diags *mio_engine_diags(struct mio_engine *e);
struct mio_arena *mio_engine_arena(struct mio_engine *e);
const struct mio_template *mio_engine_template(const struct mio_engine *e);

/* `init`: finds every plugin the template and the state need, writes the lock file. upgrade: accept
 * digests that differ from the recorded ones. *summary lists "TYPE VERSION" lines. */
enum mio_code mio_engine_init(struct mio_engine *e, bool upgrade, bool readonly,
                              struct mio_lockfile *out);
/* The backend's half of `init`: proves that it works, moves the state to a new one if told to, and
 * leaves the note that later runs go by. Errors: MIO_USAGE when the backend has changed and neither
 * flag says what to do. */
struct mio_backend_init {
    const char *const *config; /* KEY=VALUE over the template's `backend` */
    size_t nconfig;
    bool migrate, reconfigure;
};
struct mio_backend_done {
    struct mio_str type; /* "file", "pg" */
    bool changed, moved;
};
enum mio_code mio_engine_init_backend(struct mio_engine *e, const struct mio_backend_init *o,
                                      struct mio_backend_done *done);
/* `validate`: schemas, references, types; needs plugins but no state, no configuration, no network.
 */
enum mio_code mio_engine_validate(struct mio_engine *e);

struct mio_plan_opts {
    enum mio_plan_mode mode;
    bool refresh;
    bool looking; /* nothing is going to be applied: platforms are not asked whether it could be */
    const char *const *targets, *const *excludes, *const *replaces;
    size_t ntargets, nexcludes, nreplaces;
    bool generate; /* blocks are made for imports that have none (else such an import is an error);
                    * the imports wait for a plan with those blocks */
};
/* What a plan with `generate` has made: a text for each folder. */
struct mio_generated_file {
    struct mio_str dir; /* of the module that the blocks belong to; "" for the template itself */
    struct mio_str text;
};
void mio_engine_generated(struct mio_engine *e, struct mio_generated_file **out, size_t *n);
/* Lock, load, recover what a killed apply left, refresh, diff. The plan lives in the engine's
 * arena. Errors of the template are all in diags; the code returned is the first error's. */
enum mio_code mio_engine_plan(struct mio_engine *e, const struct mio_plan_opts *o,
                              const struct mio_plan **out);
/* Plans again with what the file holds and refuses (MIO_STATE) anything stale, foreign, changed,
 * expired or used. */
enum mio_code mio_engine_plan_from_file(struct mio_engine *e, const char *path,
                                        const struct mio_plan **out);

/* For an apply that finds nothing to do: in a stage it is noted in the history once for each
 * template, since another stage may come after this one. */
enum mio_code mio_engine_unchanged(struct mio_engine *e);

struct mio_apply_result {
    struct mio_plan_counts done; /* what was applied */
    size_t failed, skipped;
    size_t unmet; /* outputs and policies that do not hold of what was made */
    bool interrupted;
    struct mio_state_output *outputs;
    size_t noutputs;
};
/* Executes the plan made before. Partial failure: the rest is applied, the state is truthful, the
 * code is the first error's, all errors are in diags. */
enum mio_code mio_engine_apply(struct mio_engine *e, struct mio_apply_result *out);

/* State commands. load takes the lock when `lock`; commit writes. */
enum mio_code mio_engine_state(struct mio_engine *e, struct mio_state **out);
enum mio_code mio_engine_state_commit(struct mio_engine *e);
/* Opens the store and nothing more (a damaged state can be looked at); mio_engine_store gives it.
 */
enum mio_code mio_engine_store_open(struct mio_engine *e);
struct mio_store *mio_engine_store(struct mio_engine *e);
/* Is what is written sealed? Known once the store is open. */
bool mio_engine_seals(const struct mio_engine *e);
/* The name of the first key, or NULL when there is none. */
const char *mio_engine_key(struct mio_engine *e);
/* `import ADDR ID`: reads the object and records it. */
enum mio_code mio_engine_import(struct mio_engine *e, struct mio_str address, struct mio_str id);
/* `force-unlock ID`. */
enum mio_code mio_engine_force_unlock(struct mio_engine *e, struct mio_str id);
/* `graph`: nodes and edges of the plan's graph as DOT: what the targets and exclusions of `scope`
 * leave. */
struct mio_buf;
enum mio_code mio_engine_graph(struct mio_engine *e, const struct mio_plan_opts *scope,
                               struct mio_buf *dot);
/* The same as {"nodes": [{address, kind, action}], "edges": [{from, to}]}: `from` depends on `to`.
 */
enum mio_code mio_engine_graph_json(struct mio_engine *e, const struct mio_plan_opts *scope,
                                    struct mio_buf *json);
/* `schema`: what the plugins of the template say of their kinds. No lock file is needed: nothing is
 * configured. */
enum mio_code mio_engine_schemas(struct mio_engine *e, const struct mio_schema *const **out,
                                 size_t *n);
/* Evaluates one expression against state and variables (console). */
enum mio_code mio_engine_eval(struct mio_engine *e, struct mio_str text, struct mio_value *out,
                              struct mio_err *err);
/* A node in the root module's scope, after a plan or an apply; `extra`: map of further roots, or
 * null. */
struct mio_node;
enum mio_code mio_engine_eval_node(struct mio_engine *e, const struct mio_node *n,
                                   struct mio_value extra, struct mio_value *out,
                                   struct mio_err *err);
/* The root module's outputs as a map: real after an apply, planned after a plan; those that fail
 * are left out. */
struct mio_value mio_engine_outputs(struct mio_engine *e);
