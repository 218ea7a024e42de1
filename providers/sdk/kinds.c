/* providers/sdk/kinds.c: the field tables of the portable kinds. Data, no code. */
#include "providers/sdk/kinds.h"

/* One field: name, type, flags and sentence; more members may follow. */
#define F(n, t, fl, d, ...)                                                                \
    {                                                                                      \
        .size = sizeof(struct mlops_field), .name = (n), .type = MLOPS_##t, .flags = (fl), \
        .doc = (d), __VA_ARGS__                                                            \
    }
#define END                                \
    {                                      \
        .size = sizeof(struct mlops_field) \
    }

/* Lengths of time are STRING, so that 90, 90s, 5m and PT5M all fit. */
enum {
    NONE = 0,
    REQ = MLOPS_REQUIRED,
    FIXED = MLOPS_CREATE_ONLY,
    OUT = MLOPS_COMPUTED,
    OWN = MLOPS_COMPUTED | MLOPS_OPTIONAL, /* given, else chosen by the platform */
    REF = MLOPS_REFERENCE,
    FOLD = MLOPS_FOLD_CASE,
    TIME = MLOPS_DURATION,
    FILES = MLOPS_CONTENT,
};

static const struct mlops_field text = F(NULL, STRING, NONE, "Text.");
static const struct mlops_field number = F(NULL, NUMBER, NONE, "A number.");
static const struct mlops_field any = F(NULL, ANY, NONE, "Anything.");

/* What every kind has. */
#define ENVELOPE(what, idflags)                                                                   \
    F("name", STRING, REQ | FIXED, "Name of the " what "; the block's name when absent."),        \
        F("description", STRING, NONE, "Free text."),                                             \
        F("tags", MAP, NONE, "Free labels.", .element = &text),                                   \
        F("provider_options", MAP, NONE, "Settings for one type of provider alone, by its name.", \
          .element = &any),                                                                       \
        F("id", STRING, OUT | (idflags), "The platform's identifier.")
#define IN_WORKSPACE F("workspace", STRING, REF | FIXED, "Workspace it belongs to.")
/* What every versioned asset has. */
#define ASSET                                                                              \
    F("version", STRING, OWN | MLOPS_VOLATILE,                                             \
      "Version; the next free whole number when absent."),                                 \
        F("stage", STRING, NONE, "Stage of its life, such as Development or Production."), \
        F("properties", MAP, NONE, "Further labels, only ever added to.", .element = &text)
#define CONTENT_DIGEST                                                \
    F("content_digest", STRING, OUT | MLOPS_VOLATILE | MLOPS_ENSURED, \
      "SHA-256 of the stored content; an altered content is drift and is repaired.")

static const struct mlops_field resources[] = {
    F("cpu", NUMBER, NONE, "CPUs.", .unit = "CPUs", .minimum = "0.01"),
    F("memory", STRING, NONE, "Memory, as 512MiB, 2GiB or bytes.", .unit = "bytes"),
    F("pids", INTEGER, NONE, "Most processes and threads.", .minimum = "1"),
    F("gpu", INTEGER, NONE, "GPUs.", .minimum = "0"),
    F("instance_count", INTEGER, NONE, "Machines.", .minimum = "1"),
    F("instance_type", STRING, NONE, "Size of machine, as the platform names it."),
    F("requests", MAP, NONE, "What must be there: cpu, memory, gpu.", .element = &any),
    F("limits", MAP, NONE, "What may be used: cpu, memory, gpu.", .element = &any),
    F("shm_size", STRING, NONE, "Size of shared memory."),
    F("docker_args", ANY, NONE, "Further arguments for the container."),
    F("properties", MAP, NONE, "Settings the platform passes on.", .element = &any),
    END,
};

const struct mlops_field mio_workspace_fields[] = {
    ENVELOPE("workspace", NONE),
    F("display_name", STRING, NONE, "Name for people."),
    F("location", STRING, FIXED | FOLD, "Region."),
    F("resource_group", STRING, FIXED | FOLD, "Group of resources it is billed with."),
    F("hbi_workspace", BOOL, FIXED, "High business impact: less telemetry."),
    F("public_network_access", STRING, FOLD, "Whether the public network reaches it.",
      .allowed = "Enabled|Disabled"),
    F("storage_account", STRING, REF | FIXED, "Storage account it keeps its contents in."),
    F("key_vault", STRING, REF | FIXED, "Key vault for its secrets."),
    F("container_registry", STRING, REF, "Registry for its images."),
    F("application_insights", STRING, REF, "Where its telemetry goes."),
    F("image_build_compute", STRING, REF, "Compute that builds images."),
    F("customer_managed_key", ANY, FIXED, "Key it is encrypted with."),
    F("managed_network", ANY, NONE, "Network isolation and outbound rules."),
    F("identity", ANY, NONE, "Identity it acts as."),
    F("primary_user_assigned_identity", STRING, REF, "Identity used when there are several."),
    F("storage", STRING, OUT, "Where its contents live."),
    END,
};

const struct mlops_field mio_compute_fields[] = {
    ENVELOPE("compute", NONE),
    IN_WORKSPACE,
    F("type", STRING, FIXED | FOLD, "Sort of compute.", .dflt = "\"amlcompute\"",
      .allowed = "amlcompute|computeinstance|virtualmachine|kubernetes|synapsespark"),
    F("size", STRING, FIXED | FOLD, "Size of machine, as the platform names it."),
    F("tier", STRING, FIXED | FOLD, "Dedicated, or cheaper and interruptible.",
      .allowed = "dedicated|low_priority"),
    F("location", STRING, FIXED | FOLD, "Region."),
    F("min_instances", INTEGER, NONE, "Fewest machines kept.", .dflt = "0", .minimum = "0"),
    F("max_instances", INTEGER, NONE, "Most machines at once: how many jobs run side by side.",
      .dflt = "1", .minimum = "1"),
    F("idle_time_before_scale_down", STRING, TIME, "Idle time after which a machine goes.",
      .unit = "seconds"),
    F("resources", OBJECT, NONE, "What one machine gives to a job.", .fields = resources),
    F("ssh_settings", ANY, FIXED, "Access to the machines over ssh."),
    F("ssh_public_access_enabled", BOOL, FIXED, "Whether ssh is open to the public network."),
    F("network_settings", ANY, FIXED, "Network the machines are in."),
    F("enable_node_public_ip", BOOL, FIXED, "Whether machines have public addresses."),
    F("identity", ANY, NONE, "Identity the machines act as."),
    F("idle_time_before_shutdown", STRING, TIME, "Idle time after which an instance stops."),
    F("schedules", ANY, NONE, "When an instance starts and stops."),
    F("setup_scripts", ANY, FIXED, "Scripts run when an instance is made."),
    F("create_on_behalf_of", ANY, FIXED, "User an instance is made for."),
    F("resource_id", STRING, REF | FIXED, "Existing machine or cluster to attach."),
    F("namespace", STRING, FIXED, "Namespace of an attached cluster."),
    F("provisioning_state", STRING, OUT, "Whether it is ready."),
    F("limits", STRING, OUT | MLOPS_VOLATILE | MLOPS_ENSURED,
      "Whether the machine enforces `resources`: enforced, not_enforced or none."),
    END,
};

static const struct mlops_field python_fields[] = {
    F("interpreter", STRING, NONE,
      "Absolute path of an interpreter of this machine; /usr/bin/python3 when absent.",
      .pattern = "^/"),
    F("version", STRING, NONE, "Python of a built environment, such as 3.11."),
    F("from", STRING, FILES, "Requirements file of a built environment."),
    F("packages", ANY, NONE, "Requirements of a built environment, as a list."),
    F("prefix", STRING, NONE, "Folder that wheels are installed below, in a built environment."),
    F("build_wheel", ANY, NONE, "Source distributions that may be built: {name, reason}."),
    F("overlap", ANY, NONE, "Wheels that may share a path: {name, reason}."),
    END,
};
static const struct mlops_field build_fields[] = {
    F("path", STRING, FILES, "Folder with the build's files."),
    F("dockerfile_path", STRING, NONE, "Build file in the folder; Dockerfile when absent."),
    F("network", BOOL, NONE, "Whether its commands have a network."),
    END,
};
const char *const mio_environment_built_from[] = {
    "base",    "debian",   "python", "files", "env",        "serve", "scripts",          "layers",
    "workdir", "command",  "image",  "build", "conda_file", "conda", "inference_config", "users",
    "user",    "bytecode", NULL};
struct mio_str mio_environment_name(struct mio_str address)
{
    static const char kind[] = "environment.";
    size_t n = mio_str_starts(address, kind) ? sizeof kind - 1 : 0;
    return mio_str_sub(address, n, address.n);
}
const struct mlops_field mio_environment_fields[] = {
    ENVELOPE("environment", MLOPS_VOLATILE),
    IN_WORKSPACE,
    ASSET,
    F("image", STRING, NONE, "Container image, or `host` for the software of this machine."),
    F("python", OBJECT, NONE, "A Python that is installed already, or what a built one holds.",
      .fields = python_fields),
    F("base", ANY, NONE, "What a built environment stands on: {debian, arch, variant, mirror}."),
    F("debian", ANY, NONE, "Debian packages: {packages, drop, accept_scripts, setuid}."),
    F("files", ANY, FILES, "Files that are added: a list of {source, target}."),
    F("env", ANY, NONE, "Variables of its processes."),
    F("serve", ANY, NONE, "Routes of an environment that serves: {scoring: {path, port}}."),
    F("scripts", STRING, FOLD, "What stands in for maintainer scripts.",
      .allowed = "static|sandbox|none"),
    F("users", ANY, NONE, "Users that are made: a list of {name, uid}."),
    F("user", STRING, NONE, "User that the image runs as."),
    F("bytecode", BOOL, NONE, "Whether Python's byte-code is made."),
    F("layers", ANY, NONE, "How the image is cut: {budget, compression}."),
    F("workdir", STRING, NONE, "Working folder of its processes."),
    F("command", ANY, NONE, "Command that the image runs, as a list."),
    F("conda_file", ANY, FILES, "Conda file: a path, or its content."),
    F("conda", ANY, NONE, "Conda packages that were resolved elsewhere: {from: conda-lock.yml}."),
    F("build", OBJECT, NONE, "Image built from a folder.", .fields = build_fields),
    F("os_type", STRING, FOLD, "Operating system.", .allowed = "linux|windows"),
    F("inference_config", ANY, NONE, "Routes and ports of an image that serves by itself."),
    F("interpreter", STRING, OUT | MLOPS_VOLATILE, "The interpreter that is used."),
    F("interpreter_version", STRING, OUT | MLOPS_VOLATILE, "Its version."),
    F("packages_digest", STRING, OUT | MLOPS_VOLATILE,
      "SHA-256 of the sorted list of installed packages and versions."),
    F("package_count", INTEGER, OUT | MLOPS_VOLATILE, "How many packages there are."),
    F("config_digest", STRING, OUT | MLOPS_VOLATILE,
      "Digest of the image's configuration: the identity of a built environment."),
    F("root", STRING, OUT | MLOPS_VOLATILE | MLOPS_ENSURED,
      "Whether the root file system is as it was locked: intact, absent or altered."),
    F("reproducible", BOOL, OUT, "Whether the same definition gives the same bytes everywhere."),
    END,
};

const struct mlops_field mio_data_fields[] = {
    ENVELOPE("data asset", MLOPS_VOLATILE),
    IN_WORKSPACE,
    ASSET,
    F("type", STRING, FIXED | FOLD, "A file, a folder or a table.", .dflt = "\"uri_folder\"",
      .allowed = "uri_file|uri_folder|mltable"),
    F("path", STRING, REQ | FILES, "File or folder, or a location the platform knows."),
    F("stored_path", STRING, OUT | MLOPS_VOLATILE, "Where the stored content can be read."),
    CONTENT_DIGEST,
    END,
};

const struct mlops_field mio_component_fields[] = {
    ENVELOPE("component", MLOPS_VOLATILE),
    IN_WORKSPACE,
    ASSET,
    F("type", STRING, FIXED | FOLD, "Sort of step.", .dflt = "\"command\"",
      .allowed = "command|parallel|pipeline|spark|sweep|automl|import|data_transfer"),
    F("display_name", STRING, NONE, "Name for people."),
    F("inputs", MAP, NONE, "Typed inputs by name.", .element = &any),
    F("outputs", MAP, NONE, "Typed outputs by name.", .element = &any),
    F("code", STRING, FILES, "Folder of the step's files."),
    F("command", STRING, NONE, "Command line."),
    F("environment", ANY, REF, "Environment it runs in."),
    F("environment_variables", MAP, NONE, "Variables it sees.", .element = &text),
    F("resources", OBJECT, NONE, "What it needs.", .fields = resources),
    F("distribution", ANY, NONE, "How it is spread over machines."),
    F("limits", ANY, NONE, "Bounds of a run."),
    F("is_deterministic", BOOL, NONE, "Whether equal inputs give equal outputs.", .dflt = "true"),
    F("jobs", ANY, NONE, "Steps of a pipeline component."),
    F("task", ANY, NONE, "What a parallel component does with each piece."),
    F("settings", ANY, NONE, "Further settings of the sort of step."),
    CONTENT_DIGEST,
    END,
};

const struct mlops_field mio_model_fields[] = {
    ENVELOPE("model", MLOPS_VOLATILE),
    IN_WORKSPACE,
    ASSET,
    F("type", STRING, FIXED | FOLD, "Format of the model.", .dflt = "\"custom_model\"",
      .allowed = "custom_model|mlflow_model|triton_model"),
    F("path", STRING, REQ | FILES, "File or folder, or a location the platform knows."),
    F("flavors", ANY, NONE, "Ways to load it."),
    F("job_name", STRING, REF, "Job that made it."),
    F("stored_path", STRING, OUT | MLOPS_VOLATILE, "Where the stored content can be read."),
    CONTENT_DIGEST,
    END,
};

static const struct mlops_field job_limits[] = {
    F("timeout", STRING, TIME, "Longest run.", .unit = "seconds"),
    F("max_total_trials", INTEGER, NONE, "Trials of a sweep.", .minimum = "1"),
    F("max_concurrent_trials", INTEGER, NONE, "Trials at once.", .minimum = "1"),
    F("trial_timeout", STRING, TIME, "Longest trial.", .unit = "seconds"),
    END,
};
const struct mlops_field mio_job_fields[] = {
    ENVELOPE("job", NONE),
    IN_WORKSPACE,
    F("type", STRING, FIXED | FOLD, "Sort of job.", .dflt = "\"command\"",
      .allowed = "command|pipeline|sweep|spark|automl|parallel"),
    F("display_name", STRING, NONE, "Name for people."),
    F("experiment_name", STRING, FIXED, "Experiment its runs are listed under."),
    F("command", STRING, FIXED,
      "Command line for the shell; ${{inputs.x}} and ${{outputs.x}} are filled in."),
    F("code", STRING, FIXED | FILES, "Folder of the job's files: where the command runs."),
    F("environment", ANY, REF | FIXED, "Environment it runs in."),
    F("compute", STRING, REF | FIXED, "Compute it runs on."),
    F("inputs", MAP, FIXED | FILES, "By name: a value, or {type, path, mode}.", .element = &any),
    F("outputs", MAP, FIXED, "By name: {type, path, mode}.", .element = &any),
    F("environment_variables", MAP, FIXED, "Variables it sees.", .element = &text),
    F("resources", OBJECT, FIXED, "What it needs.", .fields = resources),
    F("limits", OBJECT, NONE, "Bounds of the run.", .fields = job_limits),
    F("distribution", ANY, FIXED, "How it is spread over machines."),
    F("services", ANY, FIXED, "Services beside the job."),
    F("queue_settings", ANY, FIXED, "How it is queued."),
    F("identity", ANY, FIXED, "Identity it acts as."),
    F("jobs", ANY, FIXED, "Steps of a pipeline."),
    F("settings", ANY, FIXED, "Settings of a pipeline."),
    F("component", ANY, REF | FIXED, "Component it runs."),
    F("status", STRING, OUT, "How the run ended."),
    F("output_paths", MAP, OUT, "Where each output lies, by name.", .element = &text),
    F("log_path", STRING, OUT, "Where the run's log lies."),
    F("started_at", STRING, OUT | MLOPS_UNSTABLE, "When the run began."),
    F("finished_at", STRING, OUT | MLOPS_UNSTABLE, "When the run ended."),
    END,
};

const struct mlops_field mio_endpoint_fields[] = {
    ENVELOPE("endpoint", NONE),
    IN_WORKSPACE,
    F("auth_mode", STRING, FOLD, "How callers prove themselves.", .dflt = "\"key\"",
      .allowed = "key|aml_token|aad_token|none"),
    F("traffic", MAP, MLOPS_LATE, "Percent of the requests for each deployment; together 100.",
      .unit = "percent", .element = &number),
    F("mirror_traffic", MAP, MLOPS_LATE, "Percent of the requests copied to a deployment.",
      .unit = "percent", .element = &number),
    F("location", STRING, FIXED | FOLD, "Region."),
    F("compute", STRING, REF | FIXED, "Cluster the endpoint lives on."),
    F("identity", ANY, FIXED, "Identity it acts as."),
    F("public_network_access", STRING, FOLD, "Whether the public network reaches it.",
      .allowed = "enabled|disabled"),
    F("properties", MAP, NONE, "Further labels.", .element = &text),
    F("port", INTEGER, OWN, "TCP port; a free one when absent.", .minimum = "1",
      .maximum = "65535"),
    F("scoring_uri", STRING, OUT | MLOPS_VOLATILE, "Where to send scoring requests."),
    F("swagger_uri", STRING, OUT | MLOPS_VOLATILE, "Where its description is."),
    F("key_file", STRING, OUT | MLOPS_VOLATILE,
      "File that holds the keys, readable by its owner alone."),
    F("provisioning_state", STRING, OUT | MLOPS_ENSURED, "Whether it answers."),
    END,
};

static const struct mlops_field probe_fields[] = {
    F("initial_delay", STRING, TIME, "Before the first probe.", .unit = "seconds"),
    F("period", STRING, TIME, "Between probes.", .unit = "seconds"),
    F("timeout", STRING, TIME, "A probe may take.", .unit = "seconds"),
    F("success_threshold", INTEGER, NONE, "Good probes in a row that make it well.",
      .minimum = "1"),
    F("failure_threshold", INTEGER, NONE, "Bad probes in a row that make it ill.", .minimum = "1"),
    F("scheme", STRING, FOLD, "http or https.", .allowed = "http|https"),
    F("method", STRING, NONE, "HTTP method."),
    F("path", STRING, NONE, "Path that is asked."),
    F("port", INTEGER, NONE, "Port that is asked.", .minimum = "1", .maximum = "65535"),
    END,
};
static const struct mlops_field request_fields[] = {
    F("request_timeout_ms", INTEGER, NONE, "A request may take.", .unit = "milliseconds",
      .dflt = "5000", .minimum = "1", .maximum = "180000"),
    F("max_concurrent_requests_per_instance", INTEGER, NONE, "Requests at once in one replica.",
      .dflt = "1", .minimum = "1"),
    F("max_queue_wait_ms", INTEGER, NONE, "A request may wait.", .unit = "milliseconds",
      .dflt = "500", .minimum = "0"),
    END,
};
static const struct mlops_field code_fields[] = {
    F("code", STRING, FILES, "Folder with the scoring script."),
    F("scoring_script", STRING, NONE, "Script in the folder, with init() and run(raw_data)."),
    END,
};
const struct mlops_field mio_deployment_fields[] = {
    ENVELOPE("deployment", NONE),
    IN_WORKSPACE,
    F("endpoint", STRING, REF | FIXED, "Endpoint it stands behind."),
    F("endpoint_name", STRING, REF | FIXED, "Azure ML's spelling of `endpoint`."),
    F("type", STRING, FIXED | FOLD, "Sort of deployment."),
    F("model", ANY, REF, "Model it serves."),
    F("model_mount_path", STRING, NONE, "Where the model is mounted."),
    F("environment", ANY, REF, "Environment it runs in."),
    F("code_configuration", OBJECT, NONE, "How it scores.", .fields = code_fields),
    F("environment_variables", MAP, NONE, "Variables it sees.", .element = &text),
    F("instance_type", STRING, FIXED, "Size of machine, as the platform names it."),
    F("instance_count", INTEGER, NONE, "Replicas.", .dflt = "1", .minimum = "1"),
    F("scale_settings", ANY, NONE, "How the number of replicas follows the load."),
    F("resources", OBJECT, NONE, "What one replica may use.", .fields = resources),
    F("request_settings", OBJECT, NONE, "Bounds of a request.", .fields = request_fields),
    F("liveness_probe", OBJECT, NONE, "Restarts a replica that fails it.", .fields = probe_fields),
    F("readiness_probe", OBJECT, NONE, "Takes a replica that fails it out of traffic.",
      .fields = probe_fields),
    F("startup_probe", OBJECT, NONE, "Replaces the others until it succeeds.",
      .fields = probe_fields),
    F("app_insights_enabled", BOOL, NONE, "Whether telemetry is sent."),
    F("egress_public_network_access", STRING, FIXED | FOLD,
      "Whether it reaches the public network.", .allowed = "enabled|disabled"),
    F("data_collector", ANY, NONE, "Which requests and answers are kept."),
    F("properties", MAP, NONE, "Further labels.", .element = &text),
    F("provisioning_state", STRING, OUT | MLOPS_ENSURED, "Whether it serves."),
    F("ready_replicas", INTEGER, OUT | MLOPS_VOLATILE | MLOPS_ENSURED,
      "Replicas that pass their readiness probe."),
    F("content_digest", STRING, OUT | MLOPS_VOLATILE | MLOPS_ENSURED,
      "SHA-256 of the code it serves with."),
    END,
};
