/* planner/change/providers.h: the provider instances of a run: which plugin, where, configured how.
 *
 * In: provider blocks of the template, the lock file. Owns: the open plugins. */
#pragma once
#include "planner/graph/stack.h"
#include "providers/host/host.h"

struct mio_prov {
    struct mio_str name, type;
    const struct mio_provider_block *block; /* NULL: implied, or known from the state alone */
    struct mio_provider *plugin;            /* NULL until opened */
    const struct mio_schema *schema;
    struct mio_value key, each; /* one of a block with for_each; else null */
    bool configured;
    const struct mio_err *trouble; /* why it could not be configured, where others may do without */
    bool told;                     /* that was said */
    bool used;                     /* a resource of the template names it */
    bool folded; /* a for_each that nobody has unfolded, that is empty, or that is not known while
                    validating: gives the schema alone */
};
struct mio_provs {
    struct mio_arena *arena;
    struct mio_prov *items;
    size_t n, cap;
    const char *host_program, *plugin_dirs, *program_dir;
    struct mio_lockfile lock;
    bool have_lock; /* false: `init` is computing it */
    struct mio_str base_dir, stage;
    unsigned parallelism;
    void (*on_log)(void *arg, int level, struct mio_str instance, struct mio_str message);
    void *arg;
};
/* One entry a provider block; `local` when the template has none. Opens nothing. */
void mio_provs_init(struct mio_provs *p, const struct mio_template *tpl);
/* By instance name (`prod`, `region["west"]`), or NULL. */
struct mio_prov *mio_provs_find(struct mio_provs *p, struct mio_str name);
/* Is it there, and no for_each without instances? */
bool mio_prov_has(struct mio_provs *p, struct mio_str name);
/* Opens the plugin (digest checked against the lock) and reads its schema. */
enum mio_code mio_prov_open(struct mio_provs *p, struct mio_prov *it, struct mio_err *err);
/* Opens it, evaluates its settings and sends them; done once. */
enum mio_code mio_prov_configure(struct mio_provs *p, struct mio_prov *it, struct mio_stack *st,
                                 struct mio_str lineage, struct mio_err *err);
/* provider::NAME::FUNCTION(...) of a template: the hook of mio_stack; arg is the struct mio_provs.
 */
enum mio_code mio_provs_function(void *provs, struct mio_str provider, struct mio_str name,
                                 struct mio_value args, struct mio_value *out, struct mio_err *err);
/* Unfolds for_each, opens all; gives every resource of the stack its provider and kind, reporting
 * to diags what has none. */
enum mio_code mio_provs_bind(struct mio_provs *p, struct mio_stack *st);
/* The provider of one instance; by its own key when the block says `provider: 'NAME["KEY"]'` with
 * each or count. Sets inst->provider. Errors: MIO_TEMPLATE with position. */
enum mio_code mio_prov_of(struct mio_provs *p, struct mio_stack *st, struct mio_inst *inst,
                          struct mio_prov **out, struct mio_err *err);
/* The settings of a provider as they are after evaluation; errors go to st->diags. */
enum mio_code mio_prov_settings(struct mio_stack *st, const struct mio_prov *it,
                                struct mio_value *config, struct mio_err *err);
/* The kinds of all that are open, for suggestions: at most MIO_PROVS_KINDS names. Returns how many.
 */
enum { MIO_PROVS_KINDS = 256 };
size_t mio_provs_kinds(const struct mio_provs *p, struct mio_str *names);
/* planner/change/guard.c: a misspelt kind under `protect` of the stage's `guards` is an error in
 * diags: it would protect nothing. */
void mio_guards_kinds(struct mio_stack *st, const struct mio_provs *p);
void mio_provs_close(struct mio_provs *p);
