/* planner/expr/func_file.c: files below the template, and templates in files and strings.
 *
 * Never: outside scope->dir, neither by .., nor by an absolute path, nor by a symlink. */
#include "planner/expr/eval.h"
#include "planner/expr/func.h"
#include "planner/expr/glob.h"
#include "planner/expr/lex.h"
#include "planner/expr/text.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_FILE = 64 << 20, MAX_DEPTH = 64, MAX_FILES = 100000 };

/* ---- opening ---- */

/* For kernels without openat2: no symlink at all on the way. */
static int open_by_steps(int dir, char *path, int flags)
{
    int fd = dup(dir);
    for (char *part = path, *slash; fd >= 0 && part; part = slash) {
        slash = strchr(part, '/');
        if (slash)
            *slash++ = 0;
        if (!*part || !strcmp(part, "."))
            continue;
        int next = -1;
        errno = EXDEV;
        if (strcmp(part, ".."))
            next = openat(fd, part, (slash ? O_DIRECTORY : flags) | O_NOFOLLOW | O_CLOEXEC);
        int saved = errno;
        close(fd);
        errno = saved;
        fd = next;
    }
    return fd;
}

static int open_beneath(const char *dir, char *path, int flags)
{
    MIO_AUTO_CLOSE int root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return -1;
    struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
                           .resolve = (uint64_t)(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)};
    int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        fd = open_by_steps(root, path, flags);
    return fd;
}

/* The path relative to scope->dir; one that already begins with it (path.module) is cut. */
static char *relative(struct mio_call *c, size_t arg)
{
    struct mio_str s = mio_value_str(c->args[arg]), dir = mio_str_z(c->scope->dir);
    while (dir.n > 1 && dir.p[dir.n - 1] == '/')
        dir.n--;
    if (s.n > dir.n && !memcmp(s.p, dir.p, dir.n) && s.p[dir.n] == '/')
        s = mio_str_sub(s, dir.n + 1, s.n);
    else if (mio_str_eq(s, dir))
        s = MIO_STR(".");
    while (s.n && *s.p == '/' && dir.n == 1 && *dir.p == '/')
        s = mio_str_sub(s, 1, s.n);
    return mio_arena_z(c->a, s.n ? s : MIO_STR("."));
}

static enum mio_code no_files(struct mio_call *c)
{
    return mio_call_fail(c, 0, NULL, "files cannot be read here");
}

/* An open file; -1 and MIO_OK when there is none and `absent` is given. */
static enum mio_code open_file(struct mio_call *c, size_t arg, int flags, bool *absent, int *out)
{
    if (!c->scope->dir)
        return no_files(c);
    char *path = relative(c, arg);
    *out = open_beneath(c->scope->dir, path, flags);
    if (*out >= 0)
        return MIO_OK;
    int why = errno;
    if (absent && (why == ENOENT || why == ENOTDIR)) {
        *absent = true;
        return MIO_OK;
    }
    if (why == EXDEV || why == ELOOP)
        return mio_call_fail(c, arg,
                             "copy the file below the template, or pass its content in a variable",
                             "\"%s\" is outside the template's folder", path);
    return mio_call_fail(c, arg, NULL, "\"%s\": %s", path, strerrordesc_np(why));
}

enum mio_code mio_call_file(struct mio_call *c, size_t arg, struct mio_str *text)
{
    MIO_AUTO_CLOSE int fd = -1;
    struct stat st;
    enum mio_code code = open_file(c, arg, O_RDONLY | O_NONBLOCK, NULL, &fd);
    if (code)
        return code;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        return mio_call_fail(c, arg, NULL, "this is no regular file");
    if (st.st_size > MAX_FILE)
        return mio_call_fail(c, arg, NULL, "the file is larger than %d MiB", MAX_FILE >> 20);
    char *p = mio_arena_alloc(c->a, (size_t)st.st_size + 1);
    size_t n = 0;
    for (ssize_t got = 1; got > 0 && n<(size_t)st.st_size; n += got> 0 ? (size_t)got : 0) {
        got = read(fd, p + n, (size_t)st.st_size - n);
        if (got < 0)
            return mio_call_fail(c, arg, NULL, "the file cannot be read: %s",
                                 strerrordesc_np(errno));
    }
    p[n] = 0;
    *text = (struct mio_str){p, n};
    return MIO_OK;
}

/* ---- content ---- */

static enum mio_code text_file(struct mio_call *c, struct mio_str *text)
{
    enum mio_code code = mio_call_file(c, 0, text);
    if (!code && !mio_str_utf8(*text))
        return mio_call_fail(c, 0, "filebase64() reads any file", "the file is no UTF-8 text");
    if (!code)
        *text = mio_text_nfc(c->a, *text);
    return code;
}

enum mio_code mio_fn_file(struct mio_call *c, struct mio_value *out)
{
    struct mio_str text;
    enum mio_code code = text_file(c, &text);
    if (!code)
        *out = mio_string(text);
    return code;
}

enum mio_code mio_fn_filebase64(struct mio_call *c, struct mio_value *out)
{
    struct mio_str text;
    enum mio_code code = mio_call_file(c, 0, &text);
    if (!code)
        *out = mio_string(mio_base64(c->a, text.p, text.n));
    return code;
}

enum mio_code mio_fn_fileexists(struct mio_call *c, struct mio_value *out)
{
    MIO_AUTO_CLOSE int fd = -1;
    bool absent = false;
    struct stat st;
    enum mio_code code = open_file(c, 0, O_PATH, &absent, &fd);
    if (code)
        return code;
    if (!absent && (fstat(fd, &st) || !S_ISREG(st.st_mode)))
        return mio_call_fail(c, 0, NULL, "this is a folder or a special file");
    *out = mio_bool(!absent);
    return MIO_OK;
}

/* ---- fileset ---- */

struct walk {
    struct mio_call *c;
    struct mio_str pattern;
    struct mio_value *items;
    size_t n, cap, seen;
};

static void close_dir(DIR **d)
{
    if (*d)
        closedir(*d);
}

/* All regular files below fd; symlinks are not followed. */
static enum mio_code walk(struct walk *w, int fd, struct mio_str prefix, int depth)
{
    __attribute__((cleanup(close_dir))) DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return mio_call_fail(w->c, 0, NULL, "the folder cannot be read");
    }
    for (struct dirent *e; (e = readdir(d));) {
        struct stat st;
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW))
            continue;
        if (++w->seen > MAX_FILES || depth > MAX_DEPTH)
            return mio_call_fail(w->c, 0, "name a smaller folder",
                                 "there are more than %d files or %d levels below it", MAX_FILES,
                                 MAX_DEPTH);
        struct mio_str path =
            mio_arena_printf(w->c->a, "%.*s%s%s", MIO_FMT(prefix), prefix.n ? "/" : "", e->d_name);
        if (S_ISREG(st.st_mode) && mio_glob(w->pattern, path))
            MIO_PUSH(w->c->a, w->items, w->n, w->cap) = mio_string(path);
        if (!S_ISDIR(st.st_mode))
            continue;
        int sub = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        enum mio_code code = sub < 0 ? MIO_OK : walk(w, sub, path, depth + 1);
        if (code)
            return code;
    }
    return MIO_OK;
}

static int by_text(const void *a, const void *b)
{
    return mio_str_cmp(mio_value_str(*(const struct mio_value *)a),
                       mio_value_str(*(const struct mio_value *)b));
}

enum mio_code mio_fn_fileset(struct mio_call *c, struct mio_value *out)
{
    int fd = -1;
    bool absent = false;
    struct walk w = {.c = c, .pattern = mio_value_str(c->args[1])};
    enum mio_code code = open_file(c, 0, O_RDONLY | O_DIRECTORY, &absent, &fd);
    if (!code && !absent)
        code = walk(&w, fd, MIO_STR(""), 0);
    if (code)
        return code;
    if (w.n)
        qsort(w.items, w.n, sizeof *w.items, by_text);
    *out = mio_list(w.items, w.n);
    out->marks |= MIO_MARK_SET;
    return MIO_OK;
}

/* ---- paths ---- */

enum mio_code mio_fn_basename(struct mio_call *c, struct mio_value *out)
{
    struct mio_str s = mio_value_str(c->args[0]);
    while (s.n > 1 && s.p[s.n - 1] == '/')
        s.n--;
    size_t at = s.n;
    while (at && s.p[at - 1] != '/')
        at--;
    struct mio_str base = mio_str_sub(s, at, s.n);
    *out = mio_string(!s.n ? MIO_STR(".") : base.n ? base : MIO_STR("/"));
    return MIO_OK;
}

enum mio_code mio_fn_dirname(struct mio_call *c, struct mio_value *out)
{
    struct mio_str s = mio_value_str(c->args[0]);
    size_t at = s.n;
    while (at && s.p[at - 1] != '/')
        at--;
    struct mio_str dir = mio_str_sub(s, 0, at);
    *out = mio_string(dir.n ? mio_path_join(c->a, MIO_STR(""), dir) : MIO_STR("."));
    if (!out->n)
        *out = mio_string_z(".");
    return MIO_OK;
}

enum mio_code mio_fn_abspath(struct mio_call *c, struct mio_value *out)
{
    if (!c->scope->dir)
        return no_files(c);
    MIO_AUTO_FREE char *dir = realpath(c->scope->dir, NULL);
    if (!dir)
        return mio_call_fail(c, 0, NULL, "the template's folder is gone");
    *out = mio_string(mio_path_join(c->a, mio_str_z(dir), mio_value_str(c->args[0])));
    return MIO_OK;
}

/* The home of the user who runs this, from the user database. */
enum mio_code mio_fn_pathexpand(struct mio_call *c, struct mio_value *out)
{
    struct mio_str s = mio_value_str(c->args[0]);
    *out = c->args[0];
    if (!s.n || *s.p != '~')
        return MIO_OK;
    if (s.n > 1 && s.p[1] != '/')
        return mio_call_fail(c, 0, NULL, "the home of another user cannot be looked up");
    struct passwd pw, *found = NULL;
    char buf[4096];
    if (getpwuid_r(getuid(), &pw, buf, sizeof buf, &found) || !found)
        return mio_call_fail(c, 0, NULL, "this user has no home folder");
    *out = mio_string(mio_arena_printf(c->a, "%s%.*s", pw.pw_dir, MIO_FMT(mio_str_sub(s, 1, s.n))));
    return MIO_OK;
}

/* ---- templates ---- */

static enum mio_code lookup(void *arg, const struct mio_ref *ref, struct mio_value *out,
                            size_t *used, struct mio_err *err)
{
    const struct mio_value *names = arg;
    const struct mio_value *v = mio_get(*names, ref->root);
    *used = 0;
    if (v) {
        *out = *v;
        return MIO_OK;
    }
    mio_fail(err, MIO_TEMPLATE, "the template uses \"%.*s\", which is not among its variables",
             MIO_FMT(ref->root));
    return mio_err_hint(err, "add it to the map that is the second argument");
}

enum mio_code mio_call_template(struct mio_call *c, struct mio_str text, struct mio_value names,
                                struct mio_value *out)
{
    struct mio_diags diags;
    struct mio_err err = {0};
    mio_diags_init(&diags, c->a);
    if (c->scope->lookup == lookup) /* it could call itself for ever */
        return mio_call_fail(c, 0, NULL, "a template cannot use another template");
    const struct mio_expr *e =
        mio_expr_template(c->a, text, (struct mio_pos){.line = 1, .col = 1}, &diags);
    for (uint32_t i = 0; i < names.n; i++) {
        struct mio_str key = names.pairs[i].key;
        struct token t = mio_lex(key.p, key.p + key.n, false);
        if (t.kind != TOK_IDENT || t.start != key.p || t.end != key.p + key.n)
            return mio_call_fail(c, 1, "use letters, digits, _ and -", "\"%.*s\" is no name",
                                 MIO_FMT(key));
    }
    struct mio_scope scope = *c->scope;
    scope.lookup = lookup;
    scope.arg = &names;
    if (e && !mio_expr_eval(e, &scope, out, &err))
        return MIO_OK;
    if (!e)
        err = diags.items[0].err;
    return mio_call_fail(c, 0, *err.hint ? err.hint : NULL, "line %u, column %u: %s", err.pos.line,
                         err.pos.col, err.message);
}

enum mio_code mio_fn_templatefile(struct mio_call *c, struct mio_value *out)
{
    struct mio_str text;
    enum mio_code code = text_file(c, &text);
    return code ? code : mio_call_template(c, text, c->args[1], out);
}

/* A name and what follows it, without anything that has to be computed. */
static bool is_reference(const struct mio_expr *e)
{
    while (e->kind == NODE_INDEX && e->index.key->kind == NODE_LITERAL)
        e = e->index.base;
    return e->kind == NODE_LOCAL || (e->kind == NODE_REF && !e->ref.index);
}

enum mio_code mio_fn_templatestring(struct mio_call *c, struct mio_value *out)
{
    struct mio_value v;
    if (!is_reference(c->node->call.args[0])) /* as a literal it would be evaluated by itself */
        return mio_call_fail(c, 0,
                             "put the template under `locals` and give local.NAME; a text that "
                             "stands here needs no templatestring()",
                             "the template must be the name of a value");
    enum mio_code code = mio_call_template(c, mio_value_str(c->args[0]), c->args[1], &v);
    if (code)
        return code;
    if (v.type == MIO_NULL || mio_to_string(c->a, v, out, c->err))
        return mio_call_fail(c, 0, NULL, "the template gives no string");
    return MIO_OK;
}
