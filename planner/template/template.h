/* planner/template/template.h: a template directory as typed blocks.
 *
 * In: *.yaml and *.yml of one folder, stages/NAME.yaml. Out: struct mio_template, positions
 * everywhere. Checks here what needs no provider: known top-level keys, shapes of blocks, names,
 * duplicate addresses, suggestions for misspelt keys. Never: evaluation (planner/graph does it). */
#pragma once
#include "planner/template/node.h"

struct mio_azureml_doc;

struct mio_variable {
    struct mio_str name;
    struct mio_pos pos;
    const struct mio_typespec *type; /* NULL: any */
    const struct mio_node *dflt;     /* NULL: required */
    bool sensitive, ephemeral, not_nullable;
    struct mio_str doc;
    const struct mio_node *validation; /* seq of {condition, error}, or NULL */
};
struct mio_local {
    struct mio_str name;
    struct mio_pos pos;
    const struct mio_node *value;
};
struct mio_provider_block {
    struct mio_str name; /* instance */
    struct mio_str type; /* plugin */
    struct mio_pos pos;
    const struct mio_node *config;   /* map without `type` and `for_each`; may be NULL */
    const struct mio_node *for_each; /* NULL when absent */
};
struct mio_lifecycle {
    bool create_before_destroy, prevent_destroy, ignore_all, on_removed_forget;
    struct mio_pos prevent_destroy_pos;
    const struct mio_str *ignore_changes; /* dotted paths */
    size_t nignore;
    const struct mio_node *replace_triggered_by;         /* seq of references, or NULL */
    const struct mio_node *precondition, *postcondition; /* seq of {condition, error}, or NULL */
};
/* One `resources: KIND: NAME:` or `data: KIND: NAME:` block. */
struct mio_block {
    struct mio_str kind, name;
    struct mio_str address; /* "KIND.NAME" or "data.KIND.NAME" */
    bool is_data;
    struct mio_pos pos;                                /* of the name */
    const struct mio_node *body;                       /* map as written, meta arguments included */
    const struct mio_node *count, *for_each, *enabled; /* NULL when absent */
    const struct mio_node *depends_on;                 /* seq of references, or NULL */
    const struct mio_node *provider;                   /* NULL: chosen by kind */
    const struct mio_node *timeouts;                   /* map create/update/delete/read, or NULL */
    struct mio_lifecycle lifecycle;
    bool azureml;                    /* an Azure ML document */
    const struct mio_node *document; /* azureml: as it was written, $schema included */
    const struct mio_azureml_doc
        *doc;                /* azureml: entity, edges between steps (azureml.h); NULL: wrong */
    struct mio_str base_dir; /* absolute folder of the file, for relative paths */
};
struct mio_module_call {
    struct mio_str name, source, digest; /* digest: of an archive, or "" */
    struct mio_pos pos;
    const struct mio_node *inputs, *count, *for_each, *depends_on; /* NULL when absent */
    struct mio_template *tpl;                                      /* loaded */
};
struct mio_output {
    struct mio_str name;
    struct mio_pos pos;
    const struct mio_node *value;
    bool sensitive;
    struct mio_str doc;
    const struct mio_node *precondition, *depends_on;
};
struct mio_moved {
    struct mio_str from, to;
    struct mio_pos pos;
};
struct mio_removed {
    struct mio_str from;
    bool forget;
    struct mio_pos pos;
};
struct mio_import_block {
    struct mio_str to;
    const struct mio_node *to_node; /* an address with expressions; NULL: `to` is one */
    const struct mio_node *id, *for_each;
    struct mio_pos pos;
};
struct mio_check { /* checks: and policies: */
    struct mio_str name;
    struct mio_pos pos;
    const struct mio_node *condition, *error;
    bool blocks; /* a policy */
};
/* Counted arrays of the blocks; a macro keeps the eleven of them alike. */
#define MIO_BLOCKS(type) \
    struct {             \
        type *items;     \
        size_t n, cap;   \
    }
struct mio_template {
    struct mio_str dir; /* absolute */
    bool torn;          /* a file of it could not be read: names may be missing */
    MIO_BLOCKS(struct mio_variable) variables;
    MIO_BLOCKS(struct mio_local) locals;
    MIO_BLOCKS(struct mio_provider_block) providers;
    MIO_BLOCKS(struct mio_block) blocks; /* resources and data, in source order */
    MIO_BLOCKS(struct mio_module_call) modules;
    MIO_BLOCKS(struct mio_output) outputs;
    MIO_BLOCKS(struct mio_moved) moved;
    MIO_BLOCKS(struct mio_removed) removed;
    MIO_BLOCKS(struct mio_import_block) imports;
    MIO_BLOCKS(struct mio_check) checks;
    MIO_BLOCKS(struct mio_local) notifications; /* values are maps as written */
    MIO_BLOCKS(const struct mio_node *)
    auto_vars;                          /* *.auto.yaml: maps of name to value, by file name */
    const struct mio_node *backend;     /* mlops_iac.backend, or NULL */
    const struct mio_node *encryption;  /* mlops_iac.encryption, or NULL */
    const struct mio_node *plans;       /* mlops_iac.plans, or NULL */
    struct mio_str required_version;    /* or "" */
    const struct mio_node *stage_block; /* stages/NAME.yaml as a whole, or NULL */
    struct mio_str stage;               /* "" when none */
    const struct mio_node *overlay; /* the file of mio_template_opts.overlay as a whole, or NULL */
    struct mio_str digest;          /* 64 hex digits over every file read, names and bytes */
    struct mio_str shared_digest;   /* the same without stage and overlay: equal in all stages */
};
struct mio_template_opts {
    const char *dir;             /* absolute */
    const char *stage;           /* "" : none; else stages/NAME.yaml must exist */
    struct mio_sources *sources; /* filled; paths as shown to people */
    const char *shown_from; /* absolute: what they are relative to when they lie below it; NULL:
                             * the parent of dir */
    const char *overlay;    /* absolute path of a YAML file, or NULL: its `providers:` stand in for
                             * those of the same name, its `set:` is laid over the blocks; other keys
                             * are left to the caller */
    /* Where a module lies whose source is no local path: `root` is the fetched tree, which nothing
     * in it may leave, `dir` the folder in it. `digest`: what the call says of an archive, or "".
     * NULL: such sources are errors. */
    enum mio_code (*module)(void *arg, struct mio_str source, struct mio_str digest,
                            struct mio_str *root, struct mio_str *dir, struct mio_err *err);
    void *module_arg;
    size_t count_budget;
    bool no_paths; /* do not look whether the local paths in Azure ML documents exist */
};
/* Everything wrong goes to diags; returns MIO_TEMPLATE when anything did, MIO_IO when the folder
 * cannot be read. */
enum mio_code mio_template_load(struct mio_arena *a, const struct mio_template_opts *o,
                                struct mio_template **out, struct mio_diags *diags);
/* Only what `mlops_iac` says (backend, encryption, plans), for commands that need the state and not
 * the template: nothing else need be right. Files that cannot be parsed count when they may hold
 * it.
 */
enum mio_code mio_template_settings(struct mio_arena *a, const struct mio_template_opts *o,
                                    struct mio_template **out, struct mio_diags *diags);
/* Variable files (-var-file): a YAML map of name to value. */
enum mio_code mio_varfile_load(struct mio_arena *a, const char *path, struct mio_sources *sources,
                               const struct mio_node **out, struct mio_diags *diags);
/* moved.c: KIND of an address, or "module" for a module as a whole. */
struct mio_str mio_tpl_kind_of(struct mio_str address);
