/* planner/expr/expr.h: ${...}: text to tree, tree to value.
 *
 * Syntax and semantics are those of Terraform's expression language (operators and precedence,
 * conditional, for, splat, index, attribute, calls with ..., %{if} %{for} with strip markers, $${
 * and %%{).
 * ${{...}} and $[[...]] belong to Azure ML and pass through as text.
 * Pure: no I/O but the file functions, which read below scope->dir only. */
#pragma once
#include "providers/sdk/value.h"

struct mio_expr; /* frozen tree; lives in the arena it was parsed in; nodes carry positions */

/* A whole expression ("a + b"). `at` is the position of its first byte; errors (all of them, where
 * the parser can go on) are added to diags. Returns NULL when there was any. */
const struct mio_expr *mio_expr_parse(struct mio_arena *a, struct mio_str text, struct mio_pos at,
                                      struct mio_diags *diags);
/* A scalar that may hold ${...} and %{...}. One whole ${...} keeps its type; anything else is a
 * string. Text without either gives a literal. */
const struct mio_expr *mio_expr_template(struct mio_arena *a, struct mio_str text,
                                         struct mio_pos at, struct mio_diags *diags);
/* True when the text needs mio_expr_template: it holds ${ or %{ (other than ${{ ), or $${ or %%{.
 */
bool mio_expr_needed(struct mio_str text);
struct mio_pos mio_expr_pos(const struct mio_expr *e);

/* A reference met in an expression: root and the steps that follow it directly. */
struct mio_ref_step {
    bool known;             /* statically (mio_expr_refs) an index may be no literal: false */
    struct mio_value value; /* attribute name (string) or evaluated index (string or number) */
};
struct mio_ref {
    struct mio_str root; /* "var", "local", "each", "compute", ... */
    const struct mio_ref_step *steps;
    size_t n;
    struct mio_pos pos;
};
/* Every reference of the tree, locals of `for` left out. Return false from `visit` to stop. */
void mio_expr_refs(const struct mio_expr *e, bool (*visit)(void *arg, const struct mio_ref *ref),
                   void *arg);

/* Where names come from. */
struct mio_scope {
    struct mio_arena *arena; /* results are made here */
    /* Gives the value of ref->root followed by the first *used steps (used <= ref->n); the
     * evaluator applies the rest. Unknown values are answers like any other. Errors: set err with
     * position and hint (suggestion). */
    enum mio_code (*lookup)(void *arg, const struct mio_ref *ref, struct mio_value *out,
                            size_t *used, struct mio_err *err);
    void *arg;
    /* provider::PROVIDER::NAME(args...): args is a list, known and plain. NULL: there are none
     * here. */
    enum mio_code (*function)(void *arg, struct mio_str provider, struct mio_str name,
                              struct mio_value args, struct mio_value *out, struct mio_err *err);
    const char *dir; /* what file functions are below; NULL: they are refused */
    bool pure;       /* refuse timestamp(), uuid() and the like (policies, validation) */
    bool planning;   /* timestamp(), uuid(), bcrypt() are unknown until apply */
    int64_t now;     /* what timestamp() says, seconds since 1970 */
};
/* Errors are positioned. The result may hold unknown and sensitive marks. */
enum mio_code mio_expr_eval(const struct mio_expr *e, const struct mio_scope *scope,
                            struct mio_value *out, struct mio_err *err);

/* Conversions by Terraform's rules ("5" to 5, true to "true", list to set ...). Unknown stays
 * unknown. */
enum mio_code mio_to_string(struct mio_arena *a, struct mio_value v, struct mio_value *out,
                            struct mio_err *err);
enum mio_code mio_to_number(struct mio_arena *a, struct mio_value v, struct mio_value *out,
                            struct mio_err *err);
enum mio_code mio_to_bool(struct mio_value v, struct mio_value *out, struct mio_err *err);

/* Type constraints of variables: string number bool list(T) set(T) map(T) object({a=T,
 * b=optional(T, default)}) tuple([T, ...]) any. */
struct mio_typespec;
const struct mio_typespec *mio_typespec_parse(struct mio_arena *a, struct mio_str text,
                                              struct mio_pos at, struct mio_diags *diags);
/* Errors: MIO_TEMPLATE naming the path inside the value ("[2].size"). */
enum mio_code mio_typespec_convert(struct mio_arena *a, const struct mio_typespec *t,
                                   struct mio_value v, struct mio_value *out, struct mio_err *err);
struct mio_str mio_typespec_name(struct mio_arena *a, const struct mio_typespec *t);

/* The function table, for help, docs, completion and suggestions. */
struct mio_function_doc {
    const char *name, *signature, *help, *example, *result;
};
const struct mio_function_doc *mio_functions(size_t *n);
