/* planner/graph/stack.h: a template unfolded: module instances, resources, their instances, who
 * needs whom.
 *
 * In: typed blocks (template.h), input variables. Out: one mio_inst an instance, in template order,
 * and the direct dependencies that evaluation met. Evaluation is by demand: the value of a
 * referenced instance is asked from the `value` hook, which plans (or has applied) it first; a
 * circle shows itself there. Owns: everything in its arena. Never: I/O but file functions of
 * expressions. */
#pragma once
#include "planner/graph/address.h"
#include "planner/template/template.h"
#include "providers/sdk/map.h"
#include "providers/sdk/schema.h"

struct mio_inst;
struct mio_res;
struct mio_modinst;

/* Instances that an evaluation referred to, each once, in order of first use. */
struct mio_deps {
    struct mio_inst **items;
    size_t n, cap;
};
enum mio_visit { MIO_VISIT_NEW, MIO_VISIT_BUSY, MIO_VISIT_DONE, MIO_VISIT_FAILED };

/* A variable, local or output evaluated once, with what it depended on. */
struct mio_memo {
    enum mio_visit visit;
    struct mio_value value;
    struct mio_deps deps;
    const struct mio_err *err; /* MIO_VISIT_FAILED: why, told to everyone who asks */
};
struct mio_modinst {
    const struct mio_template *tpl;
    const struct mio_module_call *call; /* NULL: the root */
    struct mio_modinst *parent;
    struct mio_str prefix; /* "" or "module.a[0]." */
    struct mio_value key, each;
    bool stand_in;        /* validating: stands for however many there will be */
    struct mio_deps deps; /* of the call's count and for_each, and of the callers */
    struct mio_memo *variables, *locals, *outputs; /* beside tpl's arrays */
    struct mio_index index; /* "var.x" "local.x" "output.x" to position; "kind.name",
                               "data.kind.name" to mio_res; "module.x" to mio_modcall */
};
struct mio_modcall { /* the instances of one module call */
    const struct mio_module_call *call;
    struct mio_modinst *in; /* the module that calls */
    enum mio_visit visit;
    uint8_t repetition; /* enum mio_repetition */
    bool stand_in;      /* validating: the one instance stands for however many there will be */
    unsigned depth;     /* of `in`, 0 for the root */
    struct mio_modinst **items;
    size_t n;
};
enum mio_repetition { MIO_ONE, MIO_COUNT, MIO_FOR_EACH, MIO_DISABLED };
struct mio_res {
    struct mio_modinst *mod;
    const struct mio_block *block;
    const struct mio_kind *kind; /* set by the caller after providers are known; may be NULL */
    struct mio_str provider;     /* instance name, of the first when the instances have different
                                    ones; set by the caller */
    enum mio_visit visit;        /* of the expansion */
    enum mio_repetition repetition;
    bool stand_in; /* validating: the one instance stands for however many there will be */
    struct mio_inst *insts;
    size_t n;
    struct mio_index keys; /* for_each key to position */
    struct mio_deps deps;  /* of count, for_each, enabled and depends_on, and of the module call */
};
struct mio_inst {
    struct mio_res *res;
    struct mio_str address;
    struct mio_value key;    /* null, number or string */
    struct mio_value each;   /* for_each: each.value */
    struct mio_str provider; /* instance name; set by the caller; "" while nobody asked */
    enum mio_visit visit;    /* of whatever the value hook does */
    uint32_t number;         /* position in mio_stack.insts */
    struct mio_deps deps;    /* direct */
    void *user;              /* the value hook's own */
};

/* -var, -var-file, environment, stage, *.auto.yaml: the last one that names a variable wins. */
struct mio_var_input {
    struct mio_str name;
    const struct mio_node *node; /* from a file; NULL: text */
    struct mio_str text;         /* from the command line or the environment */
    const char *origin;          /* "-var", "environment", file path: for messages */
    bool optional;               /* unknown names are ignored (environment) */
};
struct mio_stack {
    struct mio_arena *arena;
    struct mio_diags *diags;
    struct mio_modinst *root;
    struct mio_res **res; /* every block of every module instance, in template order */
    size_t nres, res_cap;
    struct mio_modcall **calls;
    size_t ncalls, calls_cap;
    struct mio_inst **insts; /* in the order of expansion, filled by mio_stack_expand */
    size_t ninsts, inst_cap;
    size_t budget; /* most instances */
    const struct mio_var_input *vars;
    size_t nvars;
    const char *chdir;    /* what path.cwd says */
    const char *temp_dir; /* what path.temp says; NULL: there is none */
    bool planning;
    bool validating; /* variables without a value, and counts that depend on them, are unknown */
    int64_t now;
    size_t kept; /* grows whenever an evaluation leaves something in the arena that must stay */
    struct mio_deps *collect;           /* where references are noted just now; NULL: nowhere */
    struct mio_inst *self;              /* what `self`, `each` and `count` speak of */
    const struct mio_value *self_value; /* postconditions: what `self` is */
    /* The attributes of an instance, planned or real. Errors are final: they were reported. */
    enum mio_code (*value)(void *arg, struct mio_inst *inst, struct mio_value *out,
                           struct mio_err *err);
    void *arg;
    /* As in mio_scope; of the providers of the template. */
    enum mio_code (*function)(void *arg, struct mio_str provider, struct mio_str name,
                              struct mio_value args, struct mio_value *out, struct mio_err *err);
    void *function_arg;
};

/* Fills st->root and st->res from a template; module calls are unfolded on the way. */
enum mio_code mio_stack_build(struct mio_stack *st, const struct mio_template *tpl);
/* Instances of one module call (by demand: its count or for_each may refer to another module).
 * Errors are in diags already. */
enum mio_code mio_stack_unfold_module(struct mio_stack *st, struct mio_modcall *call);
/* Instances of every resource. Errors in diags. */
enum mio_code mio_stack_expand(struct mio_stack *st);
/* Instances of one resource (by demand). */
enum mio_code mio_stack_expand_res(struct mio_stack *st, struct mio_res *res, struct mio_err *err);
/* The for_each of something that is no resource (a provider, an import), in the root module: a map
 * of keys to values; unknown while validating, when it depends on a variable without a value. */
enum mio_code mio_stack_each(struct mio_stack *st, const struct mio_node *node,
                             struct mio_value *out, struct mio_err *err);
/* The value of a root variable, local or output. */
enum mio_code mio_stack_variable(struct mio_stack *st, struct mio_modinst *m, size_t i,
                                 struct mio_value *out, struct mio_err *err);
enum mio_code mio_stack_output(struct mio_stack *st, struct mio_modinst *m, size_t i,
                               struct mio_value *out, struct mio_err *err);
/* Every variable, local and output of a module once, used or not, so that what is wrong is told.
 * The root's outputs are left to the planner. */
void mio_stack_evaluate(struct mio_stack *st);
/* Adds what depends_on (of the block and of the module calls around it) names to inst->deps, asking
 * the value hook for each so that a circle is found. */
enum mio_code mio_stack_depends(struct mio_stack *st, struct mio_inst *inst, struct mio_err *err);
void mio_deps_add(struct mio_stack *st, struct mio_deps *d, struct mio_inst *inst);
void mio_deps_merge(struct mio_stack *st, struct mio_deps *d, const struct mio_deps *from);
/* Every instance that a list of references (depends_on, replace_triggered_by) names. */
enum mio_code mio_stack_named(struct mio_stack *st, struct mio_modinst *mod,
                              const struct mio_node *list, struct mio_deps *out,
                              struct mio_err *err);
/* Does the resource stand in that module instance ("module.a[0]", "" for the root)? */
bool mio_res_in_module(const struct mio_res *r, struct mio_str module);
/* Finds an instance by address; NULL when the template has none such. */
struct mio_inst *mio_stack_find(const struct mio_stack *st, struct mio_str address);

/* planner/graph/scope.c: names to values */
struct mio_scope_arg {
    struct mio_stack *st;
    struct mio_modinst *mod;
    const struct mio_value
        *extra; /* further roots by name (`plan` in policies, `output` in tests), or NULL */
};
/* A scope for expressions of that module; arg must outlive it. */
struct mio_scope mio_stack_scope(struct mio_scope_arg *arg);
/* "There is no resource KIND.NAME", with the nearest name as a hint. Returns the code. */
enum mio_code mio_scope_no_resource(struct mio_scope_arg *s, struct mio_str kind,
                                    struct mio_str name, bool data, struct mio_err *err);
/* planner/graph/node_value.c: any node (scalars, lists, maps) to a value, without a schema. */
enum mio_code mio_node_eval(const struct mio_node *n, const struct mio_scope *scope,
                            struct mio_value *out, struct mio_err *err);

/* planner/graph/body.c: a block's body against the fields of its kind */
enum mio_body_part { MIO_BODY_MAIN, MIO_BODY_LATE };
/* Evaluates the attributes of one instance: types converted, defaults filled in, every fault
 * reported to diags with its position. MIO_BODY_LATE gives only the fields that are set after the
 * dependants. */
enum mio_code mio_body_eval(struct mio_stack *st, struct mio_inst *inst, enum mio_body_part part,
                            struct mio_value *out, struct mio_err *err);
/* The same for a map without an instance: settings of a provider. */
enum mio_code mio_object_eval(struct mio_stack *st, struct mio_modinst *mod,
                              const struct mio_node *map, const struct mio_field *object,
                              struct mio_pos pos, const char *what, struct mio_value *out,
                              struct mio_err *err);
/* True for count, for_each, lifecycle ... */
bool mio_is_meta_key(struct mio_str key);
