/* providers/sdk/kinds.h: the portable kinds, one field table each.
 *
 * The same body works on every provider that has the kind; names and units are those of Azure ML's
 * CLI v2 wherever it has the field. A provider's row adds its own create class:
 *
 *     static const struct mlops_kind kinds[] = { MIO_CORE_KIND(workspace, MLOPS_CREATE_A), ..., {0}
 * };
 */
#pragma once
#include "providers/abi/mlops_provider.h"
#include "providers/sdk/str.h"

extern const struct mlops_field mio_workspace_fields[], mio_compute_fields[],
    mio_environment_fields[], mio_data_fields[], mio_component_fields[], mio_model_fields[],
    mio_job_fields[], mio_endpoint_fields[], mio_deployment_fields[];

/* The inputs of an environment that decide what is built; NULL-terminated. */
extern const char *const mio_environment_built_from[];
/* What an environment's lock is named after: NAME of environment.NAME; of one with a key `NAME[0]`,
 * of one in a module the whole address. A slice of `address`. */
struct mio_str mio_environment_name(struct mio_str address);

enum {
    mio_workspace_flags = MLOPS_KIND_DATA,
    mio_compute_flags = MLOPS_KIND_DATA,
    mio_environment_flags = MLOPS_KIND_ASSET | MLOPS_KIND_DATA | MLOPS_KIND_LOCK,
    mio_data_flags = MLOPS_KIND_ASSET | MLOPS_KIND_DATA,
    mio_component_flags = MLOPS_KIND_ASSET | MLOPS_KIND_DATA,
    mio_model_flags = MLOPS_KIND_ASSET | MLOPS_KIND_DATA,
    mio_job_flags = MLOPS_KIND_JOB,
    mio_endpoint_flags = MLOPS_KIND_DATA,
    mio_deployment_flags = 0,
};

#define mio_workspace_doc \
    "The home of everything else: assets, compute, jobs and endpoints belong to one."
#define mio_compute_doc "Machines that jobs run on."
#define mio_environment_doc "The software a job or a deployment runs in, by name and version."
#define mio_data_doc "A file or a folder of data, by name and version, immutable."
#define mio_component_doc "A reusable step with typed inputs and outputs, by name and version."
#define mio_model_doc "A trained model, by name and version, immutable."
#define mio_job_doc "A run of a command or a pipeline, once for each set of inputs."
#define mio_endpoint_doc \
    "A stable address that answers scoring requests and shares them among deployments."
#define mio_deployment_doc "A model served behind an endpoint."

/* One row; further members (timeouts) may follow: MIO_CORE_KIND(job, A, .create_timeout_s = 86400).
 */
#define MIO_CORE_KIND(kind, cls, ...)                                                  \
    {                                                                                  \
        .size = sizeof(struct mlops_kind), .flags = mio_##kind##_flags, .name = #kind, \
        .doc = mio_##kind##_doc, .create_class = (cls), .fields = mio_##kind##_fields, \
        .schema_version = 1, __VA_ARGS__                                               \
    }
