/* providers/sdk/err.c: see err.h. */
#include "providers/sdk/err.h"
#include <errno.h>

enum mio_code mio_err_set(struct mio_err *err, enum mio_code code, const char *file, int line,
                          const char *fmt, ...)
{
    if (err->code)
        return err->code;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->message, sizeof err->message, fmt, ap);
    va_end(ap);
    err->code = code;
    err->origin_file = file;
    err->origin_line = line;
    return code;
}

/* What a person can do about the errnos that people can do something about. */
static const struct {
    int errnum;
    const char *hint;
} sys_hints[] = {
    {ENOSPC, "Free some space on that file system and run the command again."},
    {EFBIG, "Files may not grow any further here: see `ulimit -f`."},
    {EDQUOT, "Your disk quota is used up; free some space and run the command again."},
    {EACCES, "Check the owner and the permissions of that path."},
    {EPERM, "This needs a permission that the running user does not have."},
    {EROFS, "That file system is mounted read-only."},
    {EMFILE, "Raise the limit on open files (ulimit -n)."},
    {ELOOP, "A symbolic link stands where a plain file is expected; replace it by the file."},
    {ENOTDIR, "A part of that path is a file, not a folder."},
};

enum mio_code mio_err_sys(struct mio_err *err, int errnum, const char *file, int line,
                          const char *fmt, ...)
{
    if (err->code)
        return err->code;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->message, sizeof err->message, fmt, ap);
    va_end(ap);
    err->code = MIO_IO;
    err->origin_file = file;
    err->origin_line = line;
    char text[128];
    snprintf(err->cause, sizeof err->cause, "%s", strerror_r(errnum, text, sizeof text));
    for (size_t i = 0; i < sizeof sys_hints / sizeof *sys_hints; i++)
        if (sys_hints[i].errnum == errnum)
            snprintf(err->hint, sizeof err->hint, "%s", sys_hints[i].hint);
    return MIO_IO;
}

static void fill(char *part, size_t size, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));
static void fill(char *part, size_t size, const char *fmt, va_list ap)
{
    if (part[0] == '\0')
        vsnprintf(part, size, fmt, ap);
}

enum mio_code mio_err_hint(struct mio_err *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(err->hint, sizeof err->hint, fmt, ap);
    va_end(ap);
    return err->code;
}

enum mio_code mio_err_cause(struct mio_err *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(err->cause, sizeof err->cause, fmt, ap);
    va_end(ap);
    return err->code;
}

enum mio_code mio_err_at(struct mio_err *err, struct mio_pos pos)
{
    if (err->pos.file == 0)
        err->pos = pos;
    return err->code;
}

enum mio_code mio_err_address(struct mio_err *err, struct mio_str address)
{
    if (err->address[0] == '\0')
        snprintf(err->address, sizeof err->address, "%.*s", MIO_FMT(address));
    return err->code;
}

enum mio_code mio_err_wrap(struct mio_err *err, const char *fmt, ...)
{
    char context[256], message[sizeof err->message];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(context, sizeof context, fmt, ap);
    va_end(ap);
    memcpy(message, err->message, sizeof message);
    int n = snprintf(err->message, sizeof err->message, "%s: ", context);
    if (n > 0 && (size_t)n < sizeof err->message)
        snprintf(err->message + n, sizeof err->message - (size_t)n, "%s", message);
    return err->code;
}

void mio_err_clear(struct mio_err *err)
{
    *err = (struct mio_err){0};
}

const char *mio_code_name(enum mio_code code)
{
    static const char *const names[] = {
        [MIO_OK] = "ok",
        [MIO_USAGE] = "usage",
        [MIO_TEMPLATE] = "template",
        [MIO_REALITY] = "reality",
        [MIO_AUTH] = "auth",
        [MIO_TRANSIENT] = "transient",
        [MIO_LOCKED] = "locked",
        [MIO_STATE] = "state",
        [MIO_PROVIDER] = "provider",
        [MIO_CANCELLED] = "cancelled",
        [MIO_IO] = "io",
        [MIO_BUG] = "bug",
    };
    return (size_t)code < sizeof names / sizeof *names ? names[code] : "bug";
}

void mio_diags_init(struct mio_diags *d, struct mio_arena *arena)
{
    *d = (struct mio_diags){.arena = arena};
}

static bool same(const struct mio_err *a, const struct mio_err *b)
{
    return a->pos.file == b->pos.file && a->pos.line == b->pos.line && a->pos.col == b->pos.col &&
           strcmp(a->message, b->message) == 0 && strcmp(a->address, b->address) == 0;
}

enum mio_code mio_diags_add(struct mio_diags *d, enum mio_severity severity,
                            const struct mio_err *err)
{
    if (err->reported)
        return err->code;
    for (size_t i = d->n > 16 ? d->n - 16 : 0; i < d->n; i++)
        if (same(&d->items[i].err, err))
            return err->code;
    MIO_PUSH(d->arena, d->items, d->n, d->cap) = (struct mio_diag){severity, *err};
    d->errors += severity == MIO_ERROR;
    return err->code;
}

enum mio_code mio_diags_error(struct mio_diags *d, enum mio_code code, struct mio_pos pos,
                              const char *hint, const char *fmt, ...)
{
    struct mio_err err = {.code = code, .pos = pos};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err.message, sizeof err.message, fmt, ap);
    va_end(ap);
    if (hint)
        snprintf(err.hint, sizeof err.hint, "%s", hint);
    return mio_diags_add(d, MIO_ERROR, &err);
}

enum mio_code mio_diags_code(const struct mio_diags *d)
{
    for (size_t i = d->n; i-- > 0;)
        if (d->items[i].severity == MIO_ERROR)
            return d->items[i].err.code;
    return MIO_OK;
}

void mio_diags_warn(struct mio_diags *d, struct mio_pos pos, const char *hint, const char *fmt, ...)
{
    struct mio_err err = {.code = MIO_TEMPLATE, .pos = pos};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err.message, sizeof err.message, fmt, ap);
    va_end(ap);
    if (hint)
        snprintf(err.hint, sizeof err.hint, "%s", hint);
    mio_diags_add(d, MIO_WARNING, &err);
}

struct mio_str mio_sources_line(const struct mio_sources *s, struct mio_pos pos)
{
    if (pos.file == 0 || pos.file > s->n || pos.line == 0)
        return MIO_STR("");
    struct mio_str text = s->items[pos.file - 1].text;
    size_t at = 0;
    for (uint32_t line = 1; line < pos.line; line++) {
        const char *nl = at < text.n ? memchr(text.p + at, '\n', text.n - at) : NULL;
        if (!nl)
            return MIO_STR("");
        at = (size_t)(nl - text.p) + 1;
    }
    const char *nl = at < text.n ? memchr(text.p + at, '\n', text.n - at) : NULL;
    size_t end = nl ? (size_t)(nl - text.p) : text.n;
    if (end > at && text.p[end - 1] == '\r')
        end--;
    return mio_str_sub(text, at, end - at);
}
