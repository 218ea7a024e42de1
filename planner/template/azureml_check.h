/* planner/template/azureml_check.h: what the files that check Azure ML documents share. */
#pragma once
#include "planner/template/azureml.h"
#include "planner/template/azureml_table.h"

/* Where the names of ${{...}} come from: a job, or a step inside a pipeline. */
struct mio_az_scope {
    const struct mio_az_scope *parent;               /* the pipeline around a step */
    struct mio_str step;                             /* name of the step, "" at the top */
    const struct mio_node *inputs, *outputs, *space; /* NULL: none */
    const struct mio_node *jobs;                     /* of a pipeline */
    bool open;                                       /* a component elsewhere declares the names */
};
struct mio_az_check {
    struct mio_arena *arena;
    struct mio_diags *diags;
    const struct mio_azureml_opts *opts;
    struct mio_azureml_doc *doc;
    struct mio_azureml_edge *edges;
    size_t nedges, edge_cap;
    const char **missing;
    size_t nmissing, missing_cap;
    struct mio_index large; /* mappings with many keys, by address */
};

/* A mapping by its table. `root`: fields that the command line may give are noted, not demanded. */
void mio_az_object(struct mio_az_check *c, const struct mio_node *n, const struct mio_az_table *t,
                   const struct mio_az_scope *scope, bool root);
/* Every expression of a scalar: grammar, names, edges. */
void mio_az_expressions(struct mio_az_check *c, const struct mio_node *n,
                        const struct mio_az_scope *scope);
/* The steps of a pipeline. */
void mio_az_steps(struct mio_az_check *c, const struct mio_node *jobs,
                  const struct mio_az_scope *pipeline);
/* Steps that wait for each other in a circle. */
void mio_az_circles(struct mio_az_check *c, const struct mio_node *jobs, size_t first_edge);
/* What a job or component in line or at the top is to its expressions. */
struct mio_az_scope mio_az_scope_of(const struct mio_node *n, const struct mio_az_scope *parent);
void mio_az_error(struct mio_az_check *c, struct mio_pos pos, const char *hint, const char *fmt,
                  ...) __attribute__((format(printf, 4, 5)));
bool mio_az_text(const struct mio_node *n); /* a literal scalar that is not null */
bool mio_az_has_expr(struct mio_str s);     /* holds ${{ */
