/* providers/local/local.h: what the files of the local provider share.
 *
 * A workspace is a folder, compute is slots on this machine, a job is a sandboxed run, an endpoint
 * is a HAProxy frontend with supervised replicas. Layout below the root (every folder 0700, every
 * record 0600):
 *
 *   workspaces/WS/workspace.json
 *   workspaces/WS/store/sha256/ab/HEX[.x]          contents, read-only, hard-linked into the assets
 *   workspaces/WS/assets/KIND/NAME/VERSION/asset.json, content/...
 *   workspaces/WS/compute/NAME/compute.json, slots/N
 *   workspaces/WS/jobs/NAME-KEY/job.json, status.json, run.lock, std_log.txt, code/, outputs/NAME/
 *   workspaces/WS/endpoints/NAME/...               endpoint.c and deployment.c
 *   workspaces/WS/run/                             sockets and locks
 *
 * Identifiers: workspace WS; everything else WS/NAME; assets WS/NAME:VERSION; deployments
 * WS/ENDPOINT/NAME. The instance is written by configure alone, so calls run side by side; what two
 * runs may touch at once is guarded by OFD lock files (local_lock). Memory of a call lives in the
 * arena of struct local. */
#pragma once
#include "providers/sdk/fs.h"
#include "providers/sdk/plugin.h"

struct mlops_instance {
    struct mio_arena arena;
    struct mio_str root;      /* absolute */
    struct mio_str base_dir;  /* absolute folder of the template */
    struct mio_str workspace; /* default for bodies that name none; "" when not set */
    struct mio_str support;   /* absolute folder of our helper programs (…/lib/mlops-iac) */
    struct mio_str lineage, stage;
    struct mio_str cgroup_root; /* /sys/fs/cgroup */
    struct mio_value config; /* settings as given: local_program() looks up program paths in it */
};

/* One call: the instance, the host's side of it, and an arena that is freed when the call returns.
 */
struct local {
    const struct mlops_instance *p;
    const struct mlops_call *c;
    struct mio_arena *a;
};

/* Arguments of plan, validate, create, update and remove, parsed. Absent JSON is the null value. */
struct local_change {
    struct mio_str address, id, resume, fingerprint;
    struct mio_str base_dir;  /* what relative paths in inputs are relative to; "" in preflight */
    struct mio_str workspace; /* of the inputs, else of the id, else the default; "" when unknown */
    struct mio_value inputs, prior; /* inputs of plan and validate may hold unknowns */
    struct mio_value changed;       /* list of dotted paths */
    struct mio_value content;       /* dotted path of a content field: digest */
};
struct local_object {
    enum mlops_status status; /* read: MLOPS_OK, MLOPS_NOT_FOUND or MLOPS_UNCHANGED */
    struct mio_str id, fingerprint;
    struct mio_value attributes;
};
struct local_read {
    struct mio_str id, fingerprint; /* fingerprint as recorded; "" when none */
    struct mio_value attributes;    /* as recorded; null when only a fingerprint was recorded */
    bool full;                      /* MLOPS_UNCHANGED is not wanted */
};
/* What validate and preflight have to say; rows of the answer. */
struct local_findings {
    struct mio_arena *arena;
    struct mio_str where; /* preflight: the address of the change looked at; validate: "" */
    struct mio_value *items;
    size_t n, cap;
};
/* path: dotted path of the input, "" when none. hint may be NULL. */
void local_find_error(struct local_findings *f, const char *path, const char *hint, const char *fmt,
                      ...) __attribute__((format(printf, 4, 5)));
void local_find_warning(struct local_findings *f, const char *path, const char *hint,
                        const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* One kind: a function a verb. NULL where the kind has nothing to do for it. out is set only on
 * success. */
struct local_kind {
    const char *name;
    const char *id; /* the form of its identifiers: "WORKSPACE/NAME" */
    /* Also run before preflight, with null inputs made unknown and no base_dir. */
    void (*validate)(struct local *l, const struct local_change *ch, struct local_findings *f);
    /* *answer is the JSON object of mlops_provider.h, plan. */
    enum mio_code (*plan)(struct local *l, const struct local_change *ch, struct mio_value *answer,
                          struct mio_err *err);
    /* With the same idempotency key again: gives the object made by the first call. */
    enum mio_code (*create)(struct local *l, const struct local_change *ch,
                            struct local_object *out, struct mio_err *err);
    enum mio_code (*update)(struct local *l, const struct local_change *ch,
                            struct local_object *out, struct mio_err *err);
    /* Gone already is MIO_OK. */
    enum mio_code (*remove)(struct local *l, const struct local_change *ch, struct mio_err *err);
    enum mio_code (*read)(struct local *l, const struct local_read *r, struct local_object *out,
                          struct mio_err *err);
    /* Pushes {id, name} for everything that exists in workspace `ws`. */
    enum mio_code (*list)(struct local *l, struct mio_str ws, struct local_findings *rows,
                          struct mio_err *err);
    /* change: {address, kind, action, inputs, prior} of one planned write. */
    void (*preflight)(struct local *l, struct mio_value change, struct local_findings *f);
};
/* One a file; the table in provider.c holds them all. */
extern const struct local_kind local_workspace, local_compute, local_environment, local_data,
    local_model, local_job, local_endpoint, local_deployment;
/* A row of `list`. */
void local_list_row(struct local_findings *rows, struct mio_str id, struct mio_str name);

/* ---- paths and names (paths.c) ---- */

/* Absolute path below the root, NUL-terminated, in the call's arena. */
const char *local_path(struct local *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* workspaces/WS as an absolute path. */
const char *local_ws_dir(struct local *l, struct mio_str ws);
/* Letters, digits, '-', '_' and '.', first a letter or digit, at most 64: safe as a file name. */
bool local_name_ok(struct mio_str name);
/* MIO_TEMPLATE with the rule as hint unless local_name_ok. `what`: "a workspace". */
enum mio_code local_name_check(struct mio_str name, const char *what, struct mio_err *err);
/* Splits "WS/REST" (an "azureml:" in front is dropped). False when there is no slash. */
bool local_id_split(struct mio_str id, struct mio_str *ws, struct mio_str *rest);
/* A reference to something of a workspace ("azureml:cpu", "cpu", "taxi/cpu"): its bare name. */
struct mio_str local_ref_name(struct mio_str ref);
/* The workspace a body belongs to exists, else MIO_REALITY or MIO_TEMPLATE naming what to do. */
enum mio_code local_ws_check(struct local *l, struct mio_str ws, struct mio_err *err);
/* Absolute form of a path of the template, NUL-terminated. */
const char *local_abs(struct local *l, const struct local_change *ch, struct mio_str path);
/* Helper program or file that is shipped beside the plugin. */
const char *local_support(struct local *l, const char *name);
/* Absolute path of a program: the provider setting `setting` if given, else PATH. Errors: MIO_IO,
 * with `apt-get install PACKAGE` as hint. */
enum mio_code local_program(struct local *l, const char *setting, const char *name,
                            const char *package, const char **path, struct mio_err *err);

/* ---- folders, records and locks (paths.c) ---- */

/* What lies in a folder, in order; nothing when there is none: another may take it away at any
 * time. */
enum mio_code local_names(struct local *l, const char *dir, struct mio_str **names, size_t *n,
                          struct mio_err *err);
/* Removes the folder of an object, the file `record` last: one whose removal was killed is still
 * found, and removed again. Absent is fine. */
enum mio_code local_remove(struct local *l, const char *dir, const char *record,
                           struct mio_err *err);

/* A JSON file. *found is false (and MIO_OK) when it is absent. Errors: MIO_REALITY when malformed.
 */
enum mio_code local_record_read(struct local *l, const char *path, struct mio_value *out,
                                bool *found, struct mio_err *err);
/* Atomically replaced, 0600; folders are made (0700). */
enum mio_code local_record_write(struct local *l, const char *path, struct mio_value v,
                                 struct mio_err *err);
/* Exclusive OFD lock on `path` (made when absent); waits, polling cancelled() and the deadline. *fd
 * is closed by the caller to unlock. Errors: MIO_CANCELLED, MIO_TRANSIENT (deadline), MIO_IO. */
enum mio_code local_lock(struct local *l, const char *path, int *fd, struct mio_err *err);
/* The same without waiting: *fd is -1 when another holds it. */
enum mio_code local_trylock(struct local *l, const char *path, int *fd, struct mio_err *err);
/* MIO_CANCELLED or MIO_TRANSIENT when the caller asked to stop or the deadline has passed. */
enum mio_code local_check_stop(struct local *l, struct mio_err *err);
void local_warn(struct local *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void local_progress(struct local *l, int percent, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* What tells one state of a file from another without reading it: inode, size, mtime; "" when
 * absent. */
struct mio_str local_stamp(struct local *l, const char *path);
/* Builds a map from up to 32 pairs ended by a NULL key: local_map(a, "id", v, "name", w, NULL). */
struct mio_value local_map(struct mio_arena *a, ...);
/* The value at `key`, or null. */
struct mio_value local_get(struct mio_value v, const char *key);

/* ---- assets (asset.c) ---- */

struct local_asset {
    struct mio_str ws, kind, name, version;
    const char *dir;         /* of the version: asset.json, content/ */
    const char *path;        /* of the content itself: a file or a folder; "" when it has none */
    struct mio_value record; /* asset.json */
};
/* "azureml:NAME:VERSION", "NAME:VERSION", "NAME@latest", "NAME" (latest) or "WS/NAME:VERSION",
 * looked up in `ws` unless it names one. Errors: MIO_REALITY naming the versions there are. */
enum mio_code local_asset_resolve(struct local *l, struct mio_str ws, const char *kind,
                                  struct mio_str ref, struct local_asset *out, struct mio_err *err);

/* ---- cgroups (cgroup.c) ---- */

struct local_limits {
    int64_t cpu_milli;    /* thousandths of a CPU; 0: no limit */
    int64_t memory_bytes; /* 0: no limit */
    int64_t pids;         /* 0: no limit */
};
/* From {cpu, memory, pids}: cpu a number, memory bytes or "512MiB"/"2G", pids a whole number. */
enum mio_code local_limits_parse(struct mio_value resources, struct local_limits *out,
                                 struct mio_err *err);
/* {cpu, memory, pids} with the spelling of `recorded` kept wherever it means the same. */
struct mio_value local_limits_value(struct local *l, const struct local_limits *lim,
                                    struct mio_value recorded);
/* Makes or adjusts the group; `name` is unique below the root and holds no slash. *enforced is
 * false, with a warning logged, where the kernel or the permissions do not let us limit. */
enum mio_code local_cgroup_set(struct local *l, const char *name, const struct local_limits *lim,
                               bool *enforced, struct mio_err *err);
/* Limits as the kernel has them; *found is false when the group does not exist. */
enum mio_code local_cgroup_get(struct local *l, const char *name, struct local_limits *out,
                               bool *found, struct mio_err *err);
/* The cgroup.procs files to write "0" to in order to enter the group: NULL-terminated, in the
 * arena. */
const char **local_cgroup_procs(struct local *l, const char *name);
/* The process is in the group that this file belongs to. */
bool local_cgroup_has(struct local *l, const char *procs, pid_t pid);
/* Kills what is left in the group and removes it; absent is fine. */
enum mio_code local_cgroup_remove(struct local *l, const char *name, struct mio_err *err);

/* ---- the sandbox (sandbox.c) ---- */

struct local_bind {
    const char *from, *to;
    bool writable;
};
struct local_sandbox {
    const struct local_bind *binds; /* absolute paths; `to` inside the sandbox */
    size_t nbinds;
    const char *root;        /* a root file system of its own; NULL: this machine's /usr */
    const char *interpreter; /* becomes `python` and `python3` on PATH; NULL: /usr/bin/python3 */
    const char *path;        /* of a root that names its own; NULL: the usual one */
    struct mio_value env;    /* map of strings; may be null */
    const char *cwd;         /* inside */
    bool network;            /* false: a network namespace of its own with nothing but loopback */
    const char *const *command; /* NULL-terminated */
};
/* The argument vector that runs the command in bubblewrap: /tmp fresh, own pid, ipc and uts
 * namespaces, dying with its parent. In a built root the command writes to a layer of its own,
 * which ends with it; where the kernel has no overlay for us the root is read-only, which is
 * logged. Everything between the first word and "--" must reach the program through --args.
 * NULL-terminated, in the arena. Errors: MIO_IO (bwrap missing). */
enum mio_code local_sandbox_argv(struct local *l, const struct local_sandbox *s, const char ***argv,
                                 struct mio_err *err);
/* Runs nothing in a sandbox, and finds an error where that does not work. */
void local_sandbox_check(struct local *l, struct local_findings *f);
