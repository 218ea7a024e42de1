/* providers/host/host.h: provider plugins, each in a child process of its own.
 *
 * In: an absolute plugin path and its SHA-256 from the lock file. Out: typed answers in the
 * caller's arena. Owns: the child, the socket, the reader thread. Any thread may call; calls run
 * side by side when the plugin is concurrent and are queued otherwise. A child that crashes or
 * passes a deadline is killed, every call in flight fails (err.ambiguous set for those that change
 * something), and the next call starts a new child. */
#pragma once
#include "providers/sdk/schema.h"

struct mio_provider; /* one configured provider instance */

struct mio_provider_opts {
    struct mio_str instance; /* name in the template */
    const char *plugin_path; /* absolute */
    struct mio_str
        sha256; /* 64 hex digits the file must have; "" only for `init`, which computes it */
    const char *host_program; /* absolute path of mlops-iac-provider-host */
    struct mio_value config; /* settings; may hold unknowns: then configure is put off, see below */
    struct mio_str base_dir, stage, lineage;
    unsigned parallelism; /* most calls in flight */
    void (*on_log)(void *arg, int level, struct mio_str instance, struct mio_str message);
    void *arg;
};

/* Starts nothing yet but checks the file: absolute path, regular, owner root or the user, not
 * writable by group or others, digest equal. Errors: MIO_PROVIDER (absent, altered), MIO_IO. */
enum mio_code mio_provider_open(struct mio_arena *a, const struct mio_provider_opts *o,
                                struct mio_provider **out, struct mio_err *err);
void mio_provider_close(struct mio_provider *p); /* NULL accepted; asks, waits 2 s, kills */

/* Starts the child if needed and gives the schema (cached; lives as long as p). No configuration
 * needed. */
enum mio_code mio_provider_schema(struct mio_provider *p, const struct mio_schema **out,
                                  struct mio_err *err);
/* Sends the settings; must precede every call below. Repeated by itself after a restart of the
 * child. */
enum mio_code mio_provider_configure(struct mio_provider *p, struct mio_value config,
                                     struct mio_str lineage, struct mio_err *err);

/* One object as the plugin answered. Strings and values live in the arena given to the call. */
struct mio_object {
    enum mlops_status status;
    struct mio_str id, fingerprint;
    struct mio_value attributes;
    struct mio_str attributes_json; /* the bytes that attributes was read from */
    struct mio_err error;           /* status MLOPS_ERROR */
};

struct mio_call_opts {
    struct mio_str key;  /* idempotency key, "" for reads */
    int64_t deadline_ms; /* monotonic; 0: a minute */
    unsigned attempt;    /* from 1; 0 counts as 1 */
    void (*on_progress)(void *arg, struct mio_str message, int percent);
    bool (*on_handle)(void *arg, struct mio_str handle); /* journal it; false: refuse */
    void *arg;
    const bool
        *cancel; /* polled (atomically); when it turns true the plugin is told; may be NULL */
};

enum mio_prov_verb { MIO_PROV_CREATE, MIO_PROV_UPDATE, MIO_PROV_DELETE };
struct mio_prov_change {
    struct mio_str kind, address, id, resume, fingerprint;
    struct mio_value inputs, prior; /* plain values: no unknowns; sensitive ones are sent open */
    struct mio_value changed;       /* list of strings */
    struct mio_value content;       /* map: path to digest */
    struct mio_str base_dir;
};
/* Retries MIO_TRANSIENT answers that are not ambiguous, with full jitter and Retry-After, inside
 * the deadline. Errors keep the plugin's message and hint; a crash or a missed deadline is
 * MIO_PROVIDER with ambiguous = true. For delete, *out may be NULL. */
enum mio_code mio_provider_change(struct mio_provider *p, struct mio_arena *a,
                                  enum mio_prov_verb verb, const struct mio_prov_change *c,
                                  const struct mio_call_opts *o, struct mio_object *out,
                                  struct mio_err *err);

struct mio_read_item {
    struct mio_str kind, id, fingerprint;
    struct mio_str attributes_json; /* as recorded, or "" when a fingerprint is there */
    bool full;
};
/* Batched read. `done` is called once an item, from the calling thread, in the order of the items;
 * the object is valid only inside it (its arena is reused). Batches are pipelined: the next ones
 * are on their way while one is being answered. */
enum mio_code mio_provider_read(struct mio_provider *p, const struct mio_read_item *items, size_t n,
                                const struct mio_call_opts *o,
                                void (*done)(void *arg, size_t index, const struct mio_object *obj),
                                void *arg, struct mio_err *err);
/* As mio_provider_read, but started now and collected later: the engine evaluates meanwhile. The
 * items must live until the collect, which is called exactly once. */
struct mio_read_job;
struct mio_read_job *mio_provider_read_start(struct mio_provider *p,
                                             const struct mio_read_item *items, size_t n,
                                             const struct mio_call_opts *o);
enum mio_code mio_provider_read_collect(struct mio_read_job *job,
                                        void (*done)(void *arg, size_t index,
                                                     const struct mio_object *obj),
                                        void *arg, struct mio_err *err);

/* The JSON calls. The answer lives in the arena. *supported is false (and MIO_OK) when the plugin
 * lacks the capability. */
enum mio_code mio_provider_plan(struct mio_provider *p, struct mio_arena *a,
                                const struct mio_prov_change *c, const struct mio_call_opts *o,
                                bool *supported, struct mio_value *answer, struct mio_err *err);
enum mio_code mio_provider_validate(struct mio_provider *p, struct mio_arena *a,
                                    const struct mio_prov_change *c, bool *supported,
                                    struct mio_value *answer, struct mio_err *err);
enum mio_code mio_provider_preflight(struct mio_provider *p, struct mio_arena *a,
                                     struct mio_value changes, bool *supported,
                                     struct mio_value *answer, struct mio_err *err);
enum mio_code mio_provider_import(struct mio_provider *p, struct mio_arena *a, struct mio_str kind,
                                  struct mio_str id, const struct mio_call_opts *o,
                                  struct mio_object *out, struct mio_err *err);
enum mio_code mio_provider_lookup(struct mio_provider *p, struct mio_arena *a, struct mio_str kind,
                                  struct mio_str key, struct mio_value inputs,
                                  const struct mio_call_opts *o, struct mio_object **out, size_t *n,
                                  struct mio_err *err);
enum mio_code mio_provider_data(struct mio_provider *p, struct mio_arena *a, struct mio_str kind,
                                struct mio_value query, const struct mio_call_opts *o,
                                struct mio_value *answer, struct mio_err *err);
/* A function for templates: `arguments` is a list, the answer any value. Needs no configuration.
 * Errors: MIO_TEMPLATE (no such function, wrong arguments) with the plugin's words. */
enum mio_code mio_provider_function(struct mio_provider *p, struct mio_arena *a,
                                    struct mio_str name, struct mio_value arguments,
                                    struct mio_value *answer, struct mio_err *err);
enum mio_code mio_provider_list(struct mio_provider *p, struct mio_arena *a, struct mio_str kind,
                                struct mio_value *answer, struct mio_err *err);
/* Tells every call in flight to stop (first Ctrl-C keeps them, second one cancels). */
void mio_provider_cancel(struct mio_provider *p);
/* Kills the child at once. */
void mio_provider_abort(struct mio_provider *p);

/* ---- catalogue: which plugins exist, and the lock file ---- */

struct mio_lock_entry {
    struct mio_str type, version, path, sha256;
};
struct mio_lockfile {
    struct mio_lock_entry *items;
    size_t n, cap;
};
/* <dir>/.mlops-iac.lock.json; *found is false when there is none. Errors: MIO_STATE (malformed),
 * MIO_IO. */
enum mio_code mio_lockfile_read(struct mio_arena *a, const char *dir, struct mio_lockfile *out,
                                bool *found, struct mio_err *err);
enum mio_code mio_lockfile_write(const char *dir, const struct mio_lockfile *l,
                                 struct mio_err *err);
/* Absolute path of the plugin of a type: the folders of `search` (colon-separated, from
 * MLOPS_IAC_PLUGIN_DIR), then ../lib/mlops-iac/providers beside the program. Errors: MIO_PROVIDER
 * naming every folder searched. */
enum mio_code mio_plugin_find(struct mio_arena *a, struct mio_str type, const char *search,
                              const char *program_dir, struct mio_str *path, struct mio_err *err);
/* SHA-256 of the file, hex. */
enum mio_code mio_plugin_digest(struct mio_arena *a, const char *path, struct mio_str *hex,
                                struct mio_err *err);
