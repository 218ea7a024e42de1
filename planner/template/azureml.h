/* planner/template/azureml.h: Azure ML (CLI v2) documents as they are: what one is, whether it is
 * sound, what it refers to.
 *
 * In: a parsed tree (mio_yaml_parse with expand = false). Out: entity, portable kind, name, edges
 * between steps of a pipeline, diagnostics. Never: evaluation of ${{...}}, network. */
#pragma once
#include "planner/template/node.h"
#include "providers/sdk/map.h"

/* What a document is: commandJob, managedOnlineDeployment, ... One row each. */
struct mio_azureml_entity;
const char *
mio_azureml_entity_name(const struct mio_azureml_entity *e); /* as its schema is called */
const char *mio_azureml_entity_kind(const struct mio_azureml_entity *e); /* job, deployment, ... */

/* True when the text of a file (its keys in the first column) is a document of Azure ML, or tries
 * to be one, and no template of ours. Looks at the text alone: it decides how the file is parsed.
 */
bool mio_azureml_text(struct mio_str text);

/* From one step of a pipeline to another that reads what it writes. */
struct mio_azureml_edge {
    struct mio_str from, to; /* names of steps */
    struct mio_str output;   /* of `from` */
    struct mio_pos pos;      /* of the expression */
};
/* A reference to something that is not in the document. */
enum mio_azureml_form {
    MIO_AZUREML_VERSION, /* azureml:NAME:VERSION */
    MIO_AZUREML_LABEL,   /* azureml:NAME@LABEL */
    MIO_AZUREML_NAME,    /* azureml:NAME */
    MIO_AZUREML_URI,     /* azureml://... */
    MIO_AZUREML_ARM_ID,  /* azureml:/subscriptions/..., /subscriptions/... */
    MIO_AZUREML_FILE,    /* file:PATH */
    MIO_AZUREML_PATH,    /* a local path */
    MIO_AZUREML_URL,     /* https:, wasbs:, abfss:, ... */
    MIO_AZUREML_RUNS,    /* runs:/ID/PATH */
    MIO_AZUREML_EXPR,    /* ${{...}} somewhere in it */
    MIO_AZUREML_BLANK,   /* <FILL_ME_IN> */
};
struct mio_azureml_ref {
    enum mio_azureml_form form;
    struct mio_str root, name, version, label,
        path; /* of azureml:// the registry, datastore, job, ... is root */
};
/* Errors: a sentence in *why, and false. */
bool mio_azureml_ref_parse(struct mio_str text, struct mio_azureml_ref *out, const char **why);

/* ${{...}}: the forms of the pipeline grammar. */
enum mio_azureml_expr_form {
    MIO_AZUREML_X_INPUT,         /* inputs.X */
    MIO_AZUREML_X_OUTPUT,        /* outputs.X */
    MIO_AZUREML_X_PARENT_INPUT,  /* parent.inputs.X */
    MIO_AZUREML_X_PARENT_OUTPUT, /* parent.outputs.X */
    MIO_AZUREML_X_STEP_OUTPUT,   /* parent.jobs.J.outputs.X */
    MIO_AZUREML_X_SEARCH,        /* search_space.X */
    MIO_AZUREML_X_NAME,          /* name */
    MIO_AZUREML_X_DATASTORE,     /* default_datastore */
    MIO_AZUREML_X_OPTIONAL,      /* $[[...]] around any of them */
    MIO_AZUREML_X_FORMS,
};
struct mio_azureml_expr {
    enum mio_azureml_expr_form form;
    struct mio_str step, name; /* J and X */
    struct mio_str text;       /* between the brackets */
    size_t offset;             /* of its ${{ in the text */
};
/* The next expression of text at or after *at, which moves behind it. False at the end, or with
 * *why set where the text is malformed (out->offset says where). */
bool mio_azureml_expr_next(struct mio_str text, size_t *at, struct mio_azureml_expr *out,
                           const char **why);

struct mio_azureml_opts {
    struct mio_str dir; /* absolute folder of the file: local paths begin there */
    bool no_paths;      /* do not look whether local paths exist */
};
struct mio_azureml_doc {
    const struct mio_azureml_entity *entity;
    struct mio_str kind;    /* portable */
    struct mio_str name;    /* "" when the document does not say */
    struct mio_str version; /* "" when there is none */
    const struct mio_azureml_edge *edges;
    size_t nedges;
    const char *const *missing; /* fields the `az ml` command line would have given */
    size_t nmissing;
    size_t expressions[MIO_AZUREML_X_FORMS]; /* how many of each form */
};
/* Errors go to diags (MIO_TEMPLATE): what is no Azure ML document is one too, with the reason. */
enum mio_code mio_azureml_check(struct mio_arena *a, const struct mio_node *root,
                                const struct mio_azureml_opts *o, struct mio_azureml_doc *out,
                                struct mio_diags *diags);
/* One file by its path, read, parsed and checked (`validate FILE`, `show -azureml`). *root is set
 * whenever it parsed. The path is made absolute for local paths inside; o->dir is ignored. */
enum mio_code mio_azureml_file(struct mio_arena *a, const char *path,
                               const struct mio_azureml_opts *o, struct mio_sources *sources,
                               const struct mio_node **root, struct mio_azureml_doc *out,
                               struct mio_diags *diags);
