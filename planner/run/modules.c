/* planner/run/modules.c: modules of git sources: fetched by `init` below .mlops-iac/modules, locked
 * by the digest of their tree in .mlops-iac.modules.json, and verified by every run.
 *
 * A source is git::URL[//FOLDER][?ref=REF]. Never: a shell, a prompt, git's own configuration of
 * this machine, a link out of the tree. */
#include "planner/run/internal.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/proc.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>

#define LOCK_FILE ".mlops-iac.modules.json"
enum { LOCK_MAX = 1 << 20, FETCH_MS = 300000 };

struct source {
    struct mio_str whole, url, folder, ref;
};

static bool is_plain(struct mio_str s, const char *more)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && !strchr(more, c))
            return false;
    }
    return s.n > 0 && s.p[0] != '-';
}

static bool climbs(struct mio_str folder)
{
    while (folder.n) {
        ptrdiff_t slash = mio_str_find(folder, '/');
        struct mio_str part = slash < 0 ? folder : mio_str_sub(folder, 0, (size_t)slash);
        if (mio_str_is(part, "..") || mio_str_is(part, ".git"))
            return true;
        folder = slash < 0 ? (struct mio_str){0} : mio_str_sub(folder, (size_t)slash + 1, folder.n);
    }
    return false;
}

static enum mio_code parse(struct mio_str text, struct source *out, struct mio_err *err)
{
    struct mio_str s = mio_str_sub(text, 5, text.n); /* behind git:: */
    *out = (struct source){.whole = text, .ref = MIO_STR("HEAD")};
    ptrdiff_t query = mio_str_find(s, '?');
    if (query >= 0) {
        struct mio_str q = mio_str_sub(s, (size_t)query + 1, s.n);
        out->ref = mio_str_starts(q, "ref=") ? mio_str_sub(q, 4, q.n) : (struct mio_str){0};
        s = mio_str_sub(s, 0, (size_t)query);
    }
    out->url = s;
    for (size_t i = 8; i + 1 < s.n; i++) /* behind the // of the scheme */
        if (s.p[i] == '/' && s.p[i + 1] == '/') {
            out->url = mio_str_sub(s, 0, i);
            out->folder = mio_str_sub(s, i + 2, s.n);
            break;
        }
    bool known = mio_str_starts(s, "https://") || mio_str_starts(s, "ssh://") ||
                 mio_str_starts(s, "file://");
    if (known && is_plain(out->url, ":/@._~+%-") && is_plain(out->ref, "._/-") &&
        !climbs(out->folder))
        return MIO_OK;
    mio_fail(err, MIO_TEMPLATE, "`%.*s` is no source of a module",
             MIO_FMT(mio_str_sub(text, 0, 200)));
    return mio_err_hint(
        err, "Write git::https://HOST/REPOSITORY.git//FOLDER?ref=TAG (or ssh://, file://).");
}

/* ---- the lock file ---- */

static enum mio_code read_lock(struct mio_engine *e, struct mio_err *err)
{
    struct mio_str path = mio_path_join(&e->arena, mio_str_z(e->opts.dir), MIO_STR(LOCK_FILE)),
                   text;
    struct mio_value v;
    bool found = false;
    if (e->module_lock_read)
        return MIO_OK;
    e->module_lock = mio_map(NULL, 0);
    if (mio_fs_read(&e->arena, path.p, LOCK_MAX, &text, &found, err))
        return err->code;
    e->module_lock_read = true;
    if (!found)
        return MIO_OK;
    const struct mio_value *modules =
        mio_json_read(&e->arena, text, NULL, &v, err) ? NULL : mio_get_z(v, "modules");
    if (!modules || modules->type != MIO_MAP || mio_get_i64(v, "version", 0) != 1) {
        mio_err_clear(err);
        mio_fail(err, MIO_STATE, "%.*s is no module lock file of this version", MIO_FMT(path));
        return mio_err_hint(err,
                            "Take it from version control, or remove it and run `mlops-iac init`.");
    }
    e->module_lock = *modules;
    return MIO_OK;
}

enum mio_code mio_engine_modules_done(struct mio_engine *e)
{
    struct mio_err err = {0};
    if (!e->module_lock_changed)
        return MIO_OK;
    struct mio_pair root[] = {{MIO_STR("modules"), e->module_lock},
                              {MIO_STR("version"), mio_number(MIO_STR("1"))}};
    struct mio_str path = mio_path_join(&e->arena, mio_str_z(e->opts.dir), MIO_STR(LOCK_FILE));
    MIO_AUTO_BUF text = {0};
    mio_json_pretty(&text, mio_map(root, 2), MIO_JSON_PLAIN);
    mio_buf_char(&text, '\n');
    return mio_fs_replace(path.p, mio_buf_view(&text), 0644, &err) ? mio_engine_fail(e, &err)
                                                                   : MIO_OK;
}

/* ---- git ---- */

static enum mio_code git(struct mio_engine *e, const char *cwd, const char *const *args,
                         const struct source *s, struct mio_err *err)
{
    static const char *const passed[] = {"PATH",          "HOME",        "SSH_AUTH_SOCK",
                                         "SSL_CERT_FILE", "https_proxy", "no_proxy"};
    const char *env[16], *argv[24];
    size_t n = 0, k = 0;
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
        if (getenv(passed[i]))
            env[n++] = mio_arena_printf(&e->arena, "%s=%s", passed[i], getenv(passed[i])).p;
    env[n++] = "LC_ALL=C";
    env[n++] = "GIT_TERMINAL_PROMPT=0";
    env[n++] = "GIT_CONFIG_NOSYSTEM=1";
    env[n++] = "GIT_CONFIG_GLOBAL=/dev/null";
    env[n++] = "GIT_ALLOW_PROTOCOL=https:ssh:file";
    env[n++] = "GIT_SSH_COMMAND=ssh -o BatchMode=yes";
    env[n] = NULL;
    argv[k++] = "git";
    for (const char *const *a = args; *a; a++)
        argv[k++] = *a;
    argv[k] = NULL;
    struct mio_proc_opts o = {.argv = argv, .env = env, .cwd = cwd, .in = -1};
    MIO_AUTO_BUF said;
    mio_buf_init(&said, 4096);
    int status = 0;
    if (mio_proc_run(&o, mio_now_ms() + FETCH_MS, &said, &status, err))
        return err->code;
    if (status == 0)
        return MIO_OK;
    mio_fail(err, MIO_IO, "the module %.*s cannot be fetched",
             MIO_FMT(mio_str_sub(s->whole, 0, 200)));
    mio_err_cause(err, "%.*s", MIO_FMT(mio_str_trim(mio_buf_view(&said))));
    return mio_err_hint(err, "Check address, ref and access: git asks no questions here.");
}

/* No links: what is in the tree stays in it. */
static enum mio_code refuse_links(struct mio_arena *a, struct mio_str dir, struct mio_err *err)
{
    struct mio_str *names;
    struct stat st;
    size_t n;
    if (mio_fs_list(a, mio_arena_z(a, dir), &names, &n, err))
        return err->code;
    for (size_t i = 0; i < n; i++) {
        struct mio_str path = mio_path_join(a, dir, names[i]);
        if (lstat(path.p, &st))
            return mio_fail_sys(err, errno, "cannot look at %s", path.p);
        if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
            return mio_fail(err, MIO_TEMPLATE, "the fetched module holds a link or device: %.*s",
                            MIO_FMT(names[i]));
        if (S_ISDIR(st.st_mode) && refuse_links(a, path, err))
            return err->code;
    }
    return MIO_OK;
}

/* The commit's files alone, in a folder of their own; *digest over them. */
static enum mio_code fetch(struct mio_engine *e, const struct source *s, const char *into,
                           struct mio_str *digest, struct mio_err *err)
{
    struct mio_arena *a = &e->arena;
    const char *init[] = {"init", "--quiet", "--template=", NULL};
    const char *get[] = {"fetch",
                         "--quiet",
                         "--depth=1",
                         "--no-tags",
                         "--no-recurse-submodules",
                         "--",
                         mio_arena_z(a, s->url),
                         mio_arena_z(a, s->ref),
                         NULL};
    const char *out[] = {"-c",       "core.hooksPath=/dev/null",
                         "-c",       "core.symlinks=true",
                         "checkout", "--quiet",
                         "--detach", "FETCH_HEAD",
                         NULL};
    if (git(e, into, init, s, err) || git(e, into, get, s, err) || git(e, into, out, s, err) ||
        mio_fs_remove_tree(mio_arena_printf(a, "%s/.git", into).p, err) ||
        refuse_links(a, mio_str_z(into), err))
        return err->code;
    return mio_digest_path(a, into, digest, err);
}

static enum mio_code record(struct mio_engine *e, const struct source *s, struct mio_str digest,
                            struct mio_err *err)
{
    const struct mio_value *locked = mio_get(e->module_lock, s->whole);
    if (locked && mio_str_eq(mio_value_str(*locked), digest))
        return MIO_OK;
    if (locked && !e->opts.upgrade_modules) {
        mio_fail(err, MIO_TEMPLATE, "the module %.*s is not the one that the lock file names",
                 MIO_FMT(mio_str_sub(s->whole, 0, 200)));
        mio_err_cause(err, "fetched %.*s, recorded %.*s", MIO_FMT(digest),
                      MIO_FMT(mio_value_str(*locked)));
        return mio_err_hint(err, "If the change is meant, run `mlops-iac init -upgrade`.");
    }
    if (e->opts.keep_module_lock)
        return mio_fail(err, MIO_TEMPLATE,
                        "the module lock file would change, and -lockfile=readonly forbids that");
    e->module_lock = mio_map_with(&e->arena, e->module_lock, s->whole, mio_string(digest));
    e->module_lock_changed = true;
    return MIO_OK;
}

static enum mio_code install(struct mio_engine *e, const struct source *s, struct mio_str root,
                             struct mio_err *err)
{
    struct mio_arena *a = &e->arena;
    struct mio_str digest;
    char *fresh = mio_arena_z(a, mio_arena_printf(a, "%.*s.XXXXXX", MIO_FMT(root)));
    if (mio_fs_mkdirs(mio_arena_z(a, mio_path_dir(root)), 0755, err))
        return err->code;
    if (!mkdtemp(fresh))
        return mio_fail_sys(err, errno, "cannot make a folder for the module");
    struct mio_err ignored = {0};
    if (fetch(e, s, fresh, &digest, err) == MIO_OK && record(e, s, digest, err) == MIO_OK &&
        mio_fs_remove_tree(root.p, err) == MIO_OK && rename(fresh, root.p))
        mio_fail_sys(err, errno, "cannot put the module to %s", root.p);
    if (err->code)
        mio_fs_remove_tree(fresh, &ignored);
    return err->code;
}

enum mio_code mio_engine_module(void *engine, struct mio_str source, struct mio_str *root,
                                struct mio_str *dir, struct mio_err *err)
{
    struct mio_engine *e = engine;
    struct mio_arena *a = &e->arena;
    struct source s;
    struct mio_str digest;
    uint8_t name[MIO_SHA256_LEN];
    char hex[MIO_SHA256_HEX + 1];
    if (parse(source, &s, err) || read_lock(e, err))
        return err->code;
    mio_sha256_of(source.p, source.n, name);
    mio_hex(name, sizeof name, hex);
    *root = mio_arena_printf(a, "%s/.mlops-iac/modules/%.32s", e->opts.dir, hex);
    *dir = s.folder.n ? mio_path_join(a, *root, s.folder) : *root;
    const struct mio_value *locked = mio_get(e->module_lock, source);
    bool there = mio_fs_is_dir(root->p);
    if (there && locked && mio_digest_path(a, root->p, &digest, err))
        return err->code;
    bool good = there && locked && mio_str_eq(digest, mio_value_str(*locked));
    if (good && !(e->opts.fetch_modules && e->opts.upgrade_modules))
        return MIO_OK;
    if (e->opts.fetch_modules)
        return install(e, &s, *root, err);
    mio_fail(err, MIO_TEMPLATE,
             there && locked ? "the fetched module %.*s was altered"
                             : "the module %.*s is not fetched",
             MIO_FMT(mio_str_sub(source, 0, 200)));
    return mio_err_hint(err, "Run `mlops-iac init`.");
}
