/* providers/abi/mlops_provider.h: the interface between mlops-iac and a provider plugin.
 *
 * A plugin is a shared object that exports one function, mlops_provider_v1. It is loaded with
 * dlopen(RTLD_NOW | RTLD_LOCAL) inside a child process of its own (mlops-iac-provider-host), so a
 * plugin that crashes, hangs or leaks cannot touch the engine or the state.
 *
 * Rules that hold everywhere
 *  - Every struct starts with `size`; fields are appended and never changed. A field beyond the
 * size that the other side declared reads as zero.
 *  - Text is UTF-8. JSON goes in and out as text; numbers in it are exact decimals.
 *  - Memory changes no owner: what the host passes lives until the call returns; what the plugin
 * emits is copied by the host before the emitting function returns.
 *  - A plugin keeps no file open across calls that another process might need, prints nothing,
 * reads no environment variable but those its configuration names, and starts no retry loop:
 * retries, back-off and rate limits belong to the host.
 *  - Unless the plugin sets MLOPS_CAP_CONCURRENT its functions are called one at a time, from one
 * thread; cancel alone comes from another thread, while the call it is about is running.
 */
#ifndef MLOPS_PROVIDER_H
#define MLOPS_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MLOPS_ABI_MAJOR 1
#define MLOPS_ABI_MINOR 0

/* ---- results ----------------------------------------------------------------------------------
 */

enum mlops_status {
    MLOPS_OK = 0,
    MLOPS_NOT_FOUND = 1, /* the object does not exist: an answer, not an error */
    MLOPS_UNCHANGED = 2, /* read_many: as the recorded fingerprint says; nothing else is emitted */
    MLOPS_ERROR = 3,     /* see struct mlops_error */
};

/* Who must act on an error. */
enum mlops_error_code {
    MLOPS_E_TEMPLATE = 1,  /* the author of the template: a value the platform cannot take */
    MLOPS_E_REALITY = 2,   /* the platform refuses: quota, conflict, name taken, port taken */
    MLOPS_E_AUTH = 3,      /* credentials or permissions */
    MLOPS_E_TRANSIENT = 4, /* nobody: the host retries (429, 5xx, busy) */
    MLOPS_E_PROVIDER = 5,  /* the plugin itself */
    MLOPS_E_CANCELLED = 6, /* cancelled() said so */
    MLOPS_E_IO = 7,        /* this machine: disk, missing program */
    MLOPS_E_DEADLINE = 8,  /* the deadline passed */
};

struct mlops_error {
    uint32_t size;
    int32_t code;            /* enum mlops_error_code */
    uint32_t retry_after_ms; /* what the platform asked for; 0 when it did not */
    bool applied_unknown;    /* the change may or may not have taken effect (a reply was lost) */
    const char *message;     /* what is wrong */
    const char *hint;        /* what to do next; NULL when there is nothing to say */
    const char *attribute;   /* dotted path of the offending input; NULL when none */
};

/* One object as the platform has it. */
struct mlops_object {
    uint32_t size;
    int32_t status;          /* enum mlops_status */
    const char *id;          /* the platform's identifier; NULL in answers without an object */
    const char *fingerprint; /* opaque; handed back to read_many; NULL when the kind has none */
    const char
        *attributes; /* JSON object: inputs as the platform has them, and computed attributes */
    size_t attributes_len;
    const struct mlops_error *error; /* when status is MLOPS_ERROR */
};

/* ---- one call ----------------------------------------------------------------------------------
 */

enum mlops_level { MLOPS_LOG_DEBUG = 1, MLOPS_LOG_INFO = 2, MLOPS_LOG_WARN = 3 };

/* What the host gives to each call. The function pointers may be used from any thread of the plugin
 * until the call returns. */
struct mlops_call {
    uint32_t size;
    void *host; /* the host's own */
    const char
        *idempotency_key; /* 26 characters of a-z2-7 for create, update and delete; else "" */
    int64_t deadline_ms;  /* CLOCK_MONOTONIC in milliseconds; a call past it will be killed */
    uint32_t attempt;     /* counts from 1 */
    void (*log)(const struct mlops_call *c, int level, const char *message);
    /* A line for the person who waits; percent is 0..100, or -1 when not known. */
    void (*progress)(const struct mlops_call *c, const char *message, int percent);
    /* A long-running operation began: `handle` (JSON) is journalled and handed back in `resume` of
     * the next attempt if this process dies. Returns false when it could not be recorded. */
    bool (*handle)(const struct mlops_call *c, const char *handle);
    bool (*cancelled)(const struct mlops_call *c); /* poll at least once a second when blocked */
    /* The answer for item `index` (0 unless the call takes many). Exactly once an item. */
    void (*emit)(const struct mlops_call *c, size_t index, const struct mlops_object *object);
    /* Fails the whole call; the function then returns MLOPS_ERROR. The first one wins. */
    void (*fail)(const struct mlops_call *c, const struct mlops_error *error);
    /* Free-form JSON answers: plan, preflight, list, data_read, functions. */
    void (*answer)(const struct mlops_call *c, const char *json, size_t len);
};

/* ---- kinds and their fields --------------------------------------------------------------------
 */

enum mlops_type {
    MLOPS_STRING = 1,
    MLOPS_NUMBER = 2,
    MLOPS_INTEGER = 3,
    MLOPS_BOOL = 4,
    MLOPS_LIST = 5,   /* of `element` */
    MLOPS_MAP = 6,    /* string keys, values of `element` */
    MLOPS_OBJECT = 7, /* of `fields` */
    MLOPS_ANY = 8,
};

enum mlops_field_flags {
    MLOPS_REQUIRED = 1u << 0,
    MLOPS_COMPUTED = 1u << 1,    /* set by the platform; with no other flag it cannot be an input */
    MLOPS_OPTIONAL = 1u << 2,    /* with COMPUTED: may be given, else the platform chooses */
    MLOPS_CREATE_ONLY = 1u << 3, /* a change replaces the object */
    MLOPS_SENSITIVE = 1u << 4,   /* never shown, never stored in clear */
    MLOPS_WRITE_ONLY = 1u << 5,  /* never read back; compared by what was last sent */
    MLOPS_CONTENT = 1u << 6,  /* a local path, a map of {path: ...} or a list of {source: ...}: the
                               * engine digests what is there, a change counts */
    MLOPS_VOLATILE = 1u << 7, /* COMPUTED: an update may change it, so it is unknown in the plan */
    MLOPS_ENSURED =
        1u << 8, /* COMPUTED: the recorded value is the wanted one; drift is repaired by update */
    MLOPS_LATE =
        1u << 9, /* set by an update of its own after everything that depends on the object */
    MLOPS_FOLD_CASE = 1u << 10, /* compared without regard to ASCII case */
    MLOPS_DURATION = 1u << 11,  /* seconds, "5m" or ISO 8601 "PT5M": compared as a length of time */
    MLOPS_REFERENCE = 1u << 12, /* names another resource; azureml: forms are allowed */
    MLOPS_UNSTABLE = 1u << 13,  /* COMPUTED: differs at every read and never counts as drift */
};

struct mlops_field {
    uint32_t size;
    uint32_t flags; /* enum mlops_field_flags */
    int32_t type;   /* enum mlops_type */
    const char *name;
    const char *doc;                   /* one sentence */
    const char *unit;                  /* "seconds", "MiB", ...; NULL */
    const char *dflt;                  /* default as JSON; NULL */
    const char *allowed;               /* allowed values, separated by |; NULL */
    const char *minimum, *maximum;     /* decimal; NULL */
    const char *pattern;               /* POSIX extended regular expression for strings; NULL */
    const struct mlops_field *element; /* LIST, MAP */
    const struct mlops_field *fields;  /* OBJECT; ended by an entry with name NULL */
};

/* How a create behaves when its reply is lost; the conformance kit proves the claim. */
enum mlops_create_class {
    MLOPS_CREATE_D = 0, /* none of these: a person must decide */
    MLOPS_CREATE_A =
        1, /* the client picks a unique name; create of an existing one of ours gives that one */
    MLOPS_CREATE_B = 2, /* the platform de-duplicates the idempotency key */
    MLOPS_CREATE_C =
        3, /* the key is stored as a marker in the same call, and lookup_by_key lists it */
};

enum mlops_kind_flags {
    MLOPS_KIND_ASSET = 1u << 0, /* name + version + content, immutable */
    MLOPS_KIND_DATA = 1u << 1,  /* can be looked up by data_read */
    MLOPS_KIND_JOB = 1u << 2,   /* a run: done once per digest of its inputs */
    MLOPS_KIND_FINDABLE =
        1u << 3, /* class A, B: lookup_by_key finds its objects within settle_ms, too */
    MLOPS_KIND_LOCK = 1u << 4, /* a file KIND.BLOCK.lock.json beside the template, where there is
                                * one, is content as well: `lock` in `content` */
};

struct mlops_kind {
    uint32_t size;
    uint32_t flags; /* enum mlops_kind_flags */
    const char *name;
    const char *doc;
    int32_t create_class; /* enum mlops_create_class */
    uint32_t settle_ms;   /* class C, and findable kinds: commit delay plus read lag */
    uint32_t create_timeout_s, update_timeout_s, delete_timeout_s,
        read_timeout_s;               /* 0: 1200, 1200, 1200, 60 */
    const struct mlops_field *fields; /* ended by an entry with name NULL */
    uint32_t schema_version;          /* of the stored attributes */
};

/* ---- arguments of the calls --------------------------------------------------------------------
 */

struct mlops_configure_args {
    uint32_t size;
    const char *config;   /* JSON object: the provider's settings of the template */
    const char *instance; /* name of this provider instance in the template */
    const char *base_dir; /* absolute path of the template directory */
    const char *stage;    /* "" when none */
    const char *lineage;  /* of the state; "" before the first write */
};
struct mlops_read_item {
    uint32_t size;
    const char *kind, *id;
    const char *fingerprint; /* as recorded; NULL when none */
    const char
        *attributes; /* as recorded, JSON; NULL when a fingerprint is recorded and full is false */
    bool full;       /* answer with attributes even when the fingerprint matches */
};
struct mlops_read_args {
    uint32_t size;
    const struct mlops_read_item *items; /* step through them by items->size bytes */
    size_t count;
};
/* plan, create, update and delete of one object. */
struct mlops_change_args {
    uint32_t size;
    const char *kind;
    const char *address;  /* resource address in the template, for messages */
    const char *id;       /* update, delete; NULL for create */
    const char *inputs;   /* wanted inputs, JSON, defaults filled in; "null" for delete */
    const char *prior;    /* attributes as last read, JSON; "null" for create */
    const char *changed;  /* update: JSON list of the dotted paths that differ */
    const char *content;  /* JSON object: dotted path of a MLOPS_CONTENT field to its digest */
    const char *base_dir; /* what relative paths in inputs are relative to; "" in
                           * validate: leave paths alone */
    const char *resume;   /* handle of an interrupted attempt; NULL */
    const char
        *fingerprint; /* as last read: write only if it still holds, where the platform can; NULL */
};
struct mlops_import_args {
    uint32_t size;
    const char *kind, *id;
};
struct mlops_lookup_args {
    uint32_t size;
    const char *kind, *key, *inputs;
};
struct mlops_data_args {
    uint32_t size;
    const char *kind, *query; /* query: JSON object, the body of the data block */
};
struct mlops_list_args {
    uint32_t size;
    const char *kind;
};
/* The changes of a plan, before the first write, in parts of at most 10,000. changes: JSON list of
 * {address, kind, action, inputs, prior}. answer(): JSON list of {address, severity: error|warning,
 * message, hint}. */
struct mlops_preflight_args {
    uint32_t size;
    const char *changes;
};

/* ---- the plugin --------------------------------------------------------------------------------
 */

enum mlops_caps {
    MLOPS_CAP_CONCURRENT = 1u << 0, /* functions may be called from several threads at once */
    MLOPS_CAP_PLAN = 1u << 1,
    MLOPS_CAP_IMPORT = 1u << 2,
    MLOPS_CAP_LIST = 1u << 3,
    MLOPS_CAP_LOOKUP = 1u << 4,
    MLOPS_CAP_PREFLIGHT = 1u << 5,
    MLOPS_CAP_DATA = 1u << 6,
    MLOPS_CAP_CANCEL = 1u << 7,
    MLOPS_CAP_FUNCTIONS = 1u << 8,
};

struct mlops_instance; /* the plugin's own: one configured provider */

struct mlops_host {
    uint32_t size;
    uint32_t abi_minor;
    const char *version; /* of mlops-iac */
};

/* Functions return MLOPS_OK or MLOPS_ERROR (after fail()). A capability bit promises its function.
 */
struct mlops_provider {
    uint32_t size;
    uint32_t abi_minor;
    const char *name;
    const char *version;
    const char *doc;
    uint32_t caps;    /* enum mlops_caps */
    uint32_t batch;   /* most items a read_many takes; 0: 1000 */
    uint32_t threads; /* CONCURRENT: most calls at once; 0: as many as the run wants */
    const struct mlops_field *config; /* settings; ended by an entry with name NULL */
    const struct mlops_kind *kinds;   /* ended by an entry with name NULL */

    int (*configure)(const struct mlops_call *c, const struct mlops_configure_args *a,
                     struct mlops_instance **out);
    /* Checks that need no platform: what the tables cannot say. answer(): JSON list of {path,
     * message, hint}. May be NULL. p is NULL when no settings are known yet. */
    int (*validate)(struct mlops_instance *p, const struct mlops_call *c,
                    const struct mlops_change_args *a);
    /* answer(): {"computed": {…known values…}, "unknown": [paths], "replace": [{path, reason}],
     * "update": [{path, reason}]}. Must not write. */
    int (*plan)(struct mlops_instance *p, const struct mlops_call *c,
                const struct mlops_change_args *a);
    /* emit() for every item. */
    int (*read_many)(struct mlops_instance *p, const struct mlops_call *c,
                     const struct mlops_read_args *a);
    int (*create)(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_change_args *a);
    int (*update)(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_change_args *a);
    /* An object that is gone already is MLOPS_OK. */
    int (*remove)(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_change_args *a);
    int (*import)(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_import_args *a);
    int (*list)(struct mlops_instance *p, const struct mlops_call *c,
                const struct mlops_list_args *a); /* answer(): JSON list of {id, name} */
    /* emit() each object that bears the key: index 0, 1, ... ; none: nothing. Oldest first. */
    int (*lookup_by_key)(struct mlops_instance *p, const struct mlops_call *c,
                         const struct mlops_lookup_args *a);
    int (*preflight)(struct mlops_instance *p, const struct mlops_call *c,
                     const struct mlops_preflight_args *a);
    int (*data_read)(struct mlops_instance *p, const struct mlops_call *c,
                     const struct mlops_data_args *a); /* answer(): JSON object of attributes */
    /* c->cancelled() is true from now on: wake up what sleeps, end what can be ended. c is the very
     * struct that the call was given. Must not wait for the call. */
    void (*cancel)(struct mlops_instance *p, const struct mlops_call *c);
    /* Functions for templates, provider::PROVIDER::NAME(...): answer() the JSON result of `name`
     * with the JSON list `arguments`. Pure: the same arguments, the same answer; p may be NULL. An
     * unknown name, or arguments that do not fit, is MLOPS_E_TEMPLATE. */
    int (*function)(struct mlops_instance *p, const struct mlops_call *c, const char *name,
                    const char *arguments);
    void (*close)(struct mlops_instance *p);
};

#if defined(__GNUC__)
#define MLOPS_EXPORT __attribute__((visibility("default")))
#else
#define MLOPS_EXPORT
#endif

/* The one exported symbol. The result is static. NULL when the host's version is refused. */
MLOPS_EXPORT const struct mlops_provider *mlops_provider_v1(const struct mlops_host *host);

#ifdef __cplusplus
}
#endif
#endif
