/* providers/sdk/err.h: one error by value, and the list that collects many.
 *
 * In: what went wrong, where in the template, for which resource. Never: printing (only cli/
 * prints). */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include "providers/sdk/arena.h"
#include "providers/sdk/str.h"

/* The code says who must act. */
enum mio_code {
    MIO_OK = 0,
    MIO_USAGE,     /* the caller of the program: flags, arguments */
    MIO_TEMPLATE,  /* the author of the template */
    MIO_REALITY,   /* the platform refuses: quota, conflict, gone */
    MIO_AUTH,      /* credentials or permissions */
    MIO_TRANSIENT, /* nobody: try again */
    MIO_LOCKED,    /* whoever holds the lock */
    MIO_STATE,     /* the keeper of the state: corrupt, foreign, stale */
    MIO_PROVIDER,  /* the author of the plugin: contract broken, crash, hang */
    MIO_CANCELLED, /* interrupted on request */
    MIO_IO,        /* the machine: disk, permission, missing program */
    MIO_BUG,       /* us */
};

/* A place in a source file; file is an index into struct mio_sources plus 1, 0 is nowhere.
 * line and col count from 1, col in bytes; len is how many bytes the caret underlines. */
struct mio_pos {
    uint32_t file, line, col, len;
};

struct mio_err {
    enum mio_code code;
    bool ambiguous;          /* a call may or may not have taken effect */
    bool reported;           /* told already, where it happened: mio_diags_add drops it */
    uint32_t retry_after_ms; /* asked for by the platform; 0 when not */
    struct mio_pos pos;
    char address[192]; /* resource instance, or "" */
    char message[512]; /* what */
    char hint[320];    /* what to do next, or "" */
    char cause[256];   /* the lower-level reason, or "" */
    const char *origin_file;
    int origin_line;
};

/* Sets err (if it holds no error yet: the first one wins) and gives back the code, so that
 * `return mio_fail(err, MIO_IO, "...");` is one line. err is never NULL. */
#define mio_fail(err, code, ...) mio_err_set((err), (code), __FILE__, __LINE__, __VA_ARGS__)
enum mio_code mio_err_set(struct mio_err *err, enum mio_code code, const char *file, int line,
                          const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* The same with strerror(errnum) as the cause; ENOSPC, EACCES, EROFS ... bring their own hint. */
#define mio_fail_sys(err, errnum, ...) mio_err_sys((err), (errnum), __FILE__, __LINE__, __VA_ARGS__)
enum mio_code mio_err_sys(struct mio_err *err, int errnum, const char *file, int line,
                          const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Each fills its part only if it is still empty, and returns err->code. */
enum mio_code mio_err_hint(struct mio_err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
enum mio_code mio_err_cause(struct mio_err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
enum mio_code mio_err_at(struct mio_err *err, struct mio_pos pos);
enum mio_code mio_err_address(struct mio_err *err, struct mio_str address);
/* Puts "context: " in front of the message. */
enum mio_code mio_err_wrap(struct mio_err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void mio_err_clear(struct mio_err *err);
const char *mio_code_name(enum mio_code code); /* "template", "state", ... */

enum mio_severity { MIO_ERROR, MIO_WARNING };
struct mio_diag {
    enum mio_severity severity;
    struct mio_err err;
};
/* Everything that is wrong, in the order found. Items live in the arena. */
struct mio_diags {
    struct mio_arena *arena;
    struct mio_diag *items;
    size_t n, cap, errors;
};
void mio_diags_init(struct mio_diags *d, struct mio_arena *arena);
/* Adds a copy; identical position and message are added once. Returns err->code. */
enum mio_code mio_diags_add(struct mio_diags *d, enum mio_severity severity,
                            const struct mio_err *err);
/* One call for the common case; hint may be NULL. Returns code. */
enum mio_code mio_diags_error(struct mio_diags *d, enum mio_code code, struct mio_pos pos,
                              const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* The code of the newest error, MIO_OK when there is none. */
enum mio_code mio_diags_code(const struct mio_diags *d);
void mio_diags_warn(struct mio_diags *d, struct mio_pos pos, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* The texts that positions point into. Lives in an arena; text stays as it was read. */
struct mio_source {
    struct mio_str path; /* as shown to people */
    struct mio_str text;
    struct mio_str name; /* relative to the template directory, the same wherever that lies; "" for
                          * what is no file of a template */
};
struct mio_sources {
    struct mio_source *items;
    size_t n, cap;
};
/* The line that pos points into, without its newline; the empty view when unknown. */
struct mio_str mio_sources_line(const struct mio_sources *s, struct mio_pos pos);
