/* planner/run/internal.h: what the files of this folder share: the engine of one run. Nobody else
 * includes it. */
#pragma once
#include "planner/change/planfile.h"
#include "planner/change/planner.h"
#include "planner/run/engine.h"
#include "planner/run/ops.h"
#include "planner/run/step.h"
#include "providers/sdk/json.h"

struct mio_review;
struct mio_imported {
    struct mio_str address, id;
    struct mio_pos pos;
};
struct mio_generated {
    struct mio_str module, dir; /* address of the module instance, folder of its template */
    struct mio_str kind, name;
    struct mio_str provider; /* that must be named, or "" */
    struct mio_value key;
    const struct mio_kind *schema;
    struct mio_value inputs;
};
struct mio_engine {
    struct mio_arena arena;
    struct mio_engine_opts opts;
    struct mio_diags diags;
    struct mio_sources sources;
    struct mio_template *tpl;
    struct mio_value module_lock; /* map of source to digest */
    bool module_lock_read, module_lock_changed;
    struct mio_str state_dir;
    struct mio_var_input *vars;
    size_t nvars, vars_cap;
    struct mio_stack stack;
    struct mio_provs provs;
    struct mio_store *store;
    struct mio_state state;
    bool loaded, locked;
    bool remote; /* the state is not in the state folder */
    bool lazy;   /* durability "plan": by option, else as the backend's settings say */
    struct mio_seal_opts seal; /* when seal_known and sealing */
    bool seal_known, sealing;
    struct mio_sealer *sealer; /* for plans, where no store is open */
    struct mio_refresh refresh;
    struct mio_planner planner;
    struct mio_plan plan;
    bool planned;
    struct mio_imported *imported; /* by import blocks, in memory until the apply */
    size_t nimported, imported_cap;
    struct mio_generated *generated; /* blocks of imports that have none, in the order met */
    size_t ngenerated, generated_cap;
    bool generating;
    struct mio_str
        plan_salt; /* masks of the plan file: the state's, or zeros before the first write */
    const struct mio_review *review; /* the file that is being applied, or NULL; its drift stands in
                                        for a refresh */
};

/* Stage and directory to variables in order of precedence: environment, stage, *.auto.yaml, files,
 * -var. */
enum mio_code mio_engine_variables(struct mio_engine *e);
/* A fresh stack over the template, providers bound; once a run. */
enum mio_code mio_engine_stack(struct mio_engine *e, bool planning, bool validating);
/* What the backend has to say against itself, as a warning. planner/run/place.c */
void mio_engine_store_warn(struct mio_engine *e);
/* A variable of the environment as the caller keeps it, or NULL. planner/run/place.c */
const char *mio_engine_env(struct mio_engine *e, const char *name);
/* A YAML file of this machine's administrator as a value; null when it is not there. */
enum mio_code mio_engine_admin(struct mio_engine *e, const char *path, struct mio_value *out,
                               struct mio_err *err);
/* The keys that state and plans are sealed with; *out NULL: nothing is sealed. */
enum mio_code mio_engine_sealer(struct mio_engine *e, struct mio_sealer **out, struct mio_err *err);
/* A store of the template in another stage, for reading; the caller closes it. planner/run/place.c
 */
enum mio_code mio_engine_store_of(struct mio_engine *e, struct mio_str stage,
                                  struct mio_store **out, struct mio_err *err);
/* `after` of the stage: was this template applied there? An error when this run applies, else a
 * warning. planner/run/after.c */
enum mio_code mio_engine_check_after(struct mio_engine *e);
/* Opens, locks and loads the state; recovers what a killed apply left. */
enum mio_code mio_engine_load(struct mio_engine *e, const char *operation);
/* A lock file's content in memory, for runs that keep none. planner/run/init.c */
enum mio_code mio_engine_find_plugins(struct mio_engine *e, struct mio_lockfile *out);
/* The commit of the repository that the template is in, with "-dirty" when files differ from it, or
 * "". planner/run/commit.c */
struct mio_str mio_engine_commit(struct mio_engine *e);
/* "TYPE VERSION SHA256" of every locked plugin, sorted. */
const struct mio_str *mio_engine_plugins(struct mio_engine *e, size_t *n);
/* Every provider that the template or the state uses. `some`: one that cannot be configured keeps
 * why (mio_prov.trouble), and is no error yet. */
enum mio_code mio_engine_configure(struct mio_engine *e, bool some);
/* The template is wrong already: whatever else is wrong with it is told in the same run.
 * planner/run/init.c */
void mio_engine_find_more(struct mio_engine *e);
/* planner/run/recover.c */
enum mio_code mio_engine_recover(struct mio_engine *e, const struct mio_jrn_replay *replay);
/* planner/run/modules.c: the fetched tree of a source, checked against the module lock file; the
 * hook of mio_template_opts. */
enum mio_code mio_engine_module(void *engine, struct mio_str source, struct mio_str digest,
                                struct mio_str *root, struct mio_str *dir, struct mio_err *err);
/* planner/run/module_source.c: where a module comes from. */
struct mio_module_source {
    struct mio_str id; /* as the lock file names it: the source, and the digest behind a # */
    struct mio_str url, folder, ref, digest;
    bool archive; /* https, else git */
};
/* Errors: MIO_TEMPLATE with what a source looks like. */
enum mio_code mio_module_source(struct mio_arena *a, struct mio_str source, struct mio_str digest,
                                struct mio_module_source *out, struct mio_err *err);
/* Its files, checked, into an empty folder, without links or anything that leaves it. */
enum mio_code mio_module_fetch(struct mio_arena *a, const struct mio_module_source *s,
                               const char *program_dir, const char *into, struct mio_err *err);
/* Writes the module lock file when something was fetched. */
enum mio_code mio_engine_modules_done(struct mio_engine *e);
/* planner/run/import.c: reads what import blocks name and records it in memory. */
void mio_engine_import_blocks(struct mio_engine *e);
/* After the planner: an error for each object that was imported to an address without an instance,
 * which the plan would otherwise destroy. */
void mio_engine_check_imported(struct mio_engine *e);
/* Asks the platform for the object. */
enum mio_code mio_import_fetch(struct mio_engine *e, const struct mio_prov *prov,
                               const struct mio_kind *kind, struct mio_str id, struct mio_object *o,
                               struct mio_err *err);
/* Those of its attributes that a template can say. */
struct mio_value mio_import_inputs(struct mio_arena *a, const struct mio_kind *kind,
                                   struct mio_value attributes);
/* planner/run/generate.c: notes the block that an import without one needs. */
enum mio_code mio_engine_generate(struct mio_engine *e, const struct mio_address *ad,
                                  struct mio_str id, struct mio_err *err);
/* planner/run/from_file.c */
void mio_engine_overlay(struct mio_engine *e);
/* planner/run/exec.c */
enum mio_code mio_engine_execute(struct mio_engine *e, struct mio_apply_result *out);
void mio_engine_event(struct mio_engine *e, const struct mio_event *ev);
/* A planner over what this engine has, into its plan. */
struct mio_planner mio_engine_planner(struct mio_engine *e, enum mio_plan_mode mode);
/* Adds to diags and gives the code back. */
enum mio_code mio_engine_fail(struct mio_engine *e, const struct mio_err *err);
/* A result of the journal or of an operation into the state: the row, and the deposed one it leaves
 * behind. */
void mio_engine_record(struct mio_engine *e, const struct mio_jrn_intent *i,
                       const struct mio_record *result);
