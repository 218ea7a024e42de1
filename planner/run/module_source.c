/* planner/run/module_source.c: where modules come from: git::URL[//FOLDER][?ref=REF] and
 * https://HOST/ARCHIVE[//FOLDER]. See internal.h.
 *
 * Never: a shell, a prompt, git's own configuration of this machine, a link out of the tree. */
#include "planner/run/internal.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/proc.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>

enum { FETCH_MS = 300000 };

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

/* URL//FOLDER, the // behind that of the scheme. */
static void split_folder(struct mio_str s, struct mio_module_source *out)
{
    out->url = s;
    for (size_t i = 8; i + 1 < s.n; i++)
        if (s.p[i] == '/' && s.p[i + 1] == '/') {
            out->url = mio_str_sub(s, 0, i);
            out->folder = mio_str_sub(s, i + 2, s.n);
            return;
        }
}

static bool git_source(struct mio_str s, struct mio_str query, struct mio_module_source *out)
{
    split_folder(s, out);
    out->ref = query.n == 0                     ? MIO_STR("HEAD")
               : mio_str_starts(query, "?ref=") ? mio_str_sub(query, 5, query.n)
                                                : MIO_STR("");
    bool known = mio_str_starts(s, "https://") || mio_str_starts(s, "ssh://") ||
                 mio_str_starts(s, "file://");
    return known && is_plain(out->url, ":/@._~+%-") && is_plain(out->ref, "._/-");
}

/* A query belongs to the address, wherever the folder stands. */
static bool archive_source(struct mio_arena *a, struct mio_str s, struct mio_str query,
                           struct mio_module_source *out)
{
    out->archive = true;
    split_folder(s, out);
    bool good = is_plain(out->url, ":/[]._~+%-") && out->url.n > strlen("https://") &&
                (query.n == 0 || is_plain(query, "?&=/._~+%-"));
    out->url = mio_arena_printf(a, "%.*s%.*s", MIO_FMT(out->url), MIO_FMT(query));
    return good;
}

static bool is_digest(struct mio_str s)
{
    uint8_t raw[MIO_SHA256_LEN];
    return mio_str_starts(s, "sha256:") && s.n == 7 + MIO_SHA256_HEX &&
           mio_unhex(mio_str_sub(s, 7, s.n), raw, sizeof raw);
}

enum mio_code mio_module_source(struct mio_arena *a, struct mio_str source, struct mio_str digest,
                                struct mio_module_source *out, struct mio_err *err)
{
    bool archive = !mio_str_starts(source, "git::");
    struct mio_str s = archive ? source : mio_str_sub(source, 5, source.n), query = {0};
    ptrdiff_t mark = mio_str_find(s, '?');
    if (mark >= 0) {
        query = mio_str_sub(s, (size_t)mark, s.n);
        s = mio_str_sub(s, 0, (size_t)mark);
    }
    *out = (struct mio_module_source){.id = source, .digest = digest};
    bool good = archive ? archive_source(a, s, query, out) : git_source(s, query, out);
    if (!good || climbs(out->folder)) {
        mio_fail(err, MIO_TEMPLATE, "`%.*s` is no source of a module",
                 MIO_FMT(mio_str_sub(source, 0, 200)));
        return mio_err_hint(err, archive
                                     ? "Write https://HOST/NAME.tar.gz//FOLDER; credentials belong "
                                       "in ~/.netrc."
                                     : "Write git::https://HOST/REPOSITORY.git//FOLDER?ref=TAG "
                                       "(or ssh://, file://).");
    }
    if (digest.n == 0)
        return MIO_OK;
    if (!is_digest(digest)) {
        mio_fail(err, MIO_TEMPLATE, "`%.*s` is no digest", MIO_FMT(mio_str_sub(digest, 0, 100)));
        return mio_err_hint(err, "Write sha256: and the 64 hex digits that `sha256sum` prints.");
    }
    out->id = mio_arena_printf(a, "%.*s#%.*s", MIO_FMT(source), MIO_FMT(digest));
    return MIO_OK;
}

/* What of the environment fetching needs. In the arena; ends with NULL. */
static const char **environment(struct mio_arena *a)
{
    static const char *const passed[] = {"PATH",         "HOME",        "SSH_AUTH_SOCK",
                                         "SSL_CERT_DIR", "https_proxy", "SSL_CERT_FILE",
                                         "no_proxy"};
    static const char *const fixed[] = {
        "LC_ALL=C",
        "GIT_TERMINAL_PROMPT=0",
        "GIT_CONFIG_NOSYSTEM=1",
        "GIT_CONFIG_GLOBAL=/dev/null",
        "GIT_ALLOW_PROTOCOL=https:ssh:file",
        "GIT_SSH_COMMAND=ssh -o BatchMode=yes",
    };
    size_t n = 0, npassed = sizeof passed / sizeof *passed, nfixed = sizeof fixed / sizeof *fixed;
    const char **env = MIO_NEW_N(a, const char *, npassed + nfixed + 1);
    for (size_t i = 0; i < npassed; i++)
        if (getenv(passed[i]))
            env[n++] = mio_arena_printf(a, "%s=%s", passed[i], getenv(passed[i])).p;
    for (size_t i = 0; i < nfixed; i++)
        env[n++] = fixed[i];
    return env;
}

static enum mio_code unfetched(const struct mio_module_source *s, struct mio_err *err)
{
    return mio_fail(err, MIO_TEMPLATE, "the module %.*s cannot be fetched",
                    MIO_FMT(mio_str_sub(s->id, 0, 200)));
}

/* ---- git ---- */

static enum mio_code git(struct mio_arena *a, const char *cwd, const char *const *args,
                         const struct mio_module_source *s, struct mio_err *err)
{
    const char *argv[24];
    size_t k = 0;
    argv[k++] = "git";
    for (size_t i = 0; args[i]; i++)
        argv[k++] = args[i];
    argv[k] = NULL;
    struct mio_proc_opts o = {.argv = argv, .env = environment(a), .cwd = cwd, .in = -1};
    MIO_AUTO_BUF said;
    mio_buf_init(&said, 4096);
    int status = 0;
    if (mio_proc_run(&o, mio_now_ms() + FETCH_MS, &said, &status, err))
        return err->code;
    if (status == 0)
        return MIO_OK;
    unfetched(s, err);
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

/* The commit's files alone. */
static enum mio_code fetch_git(struct mio_arena *a, const struct mio_module_source *s,
                               const char *into, struct mio_err *err)
{
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
    if (git(a, into, init, s, err) || git(a, into, get, s, err) || git(a, into, out, s, err) ||
        mio_fs_remove_tree(mio_arena_printf(a, "%s/.git", into).p, err) ||
        refuse_links(a, mio_str_z(into), err))
        return err->code;
    return MIO_OK;
}

/* ---- archives ---- */

/* The helper's words: code, message, hint, cause, one a line. */
static enum mio_code said(const struct mio_module_source *s, struct mio_str text,
                          struct mio_err *err)
{
    struct mio_str lines[4] = {0};
    uint64_t code = 0;
    for (size_t i = 0; i < 4; i++) {
        ptrdiff_t nl = mio_str_find(text, '\n');
        size_t n = nl < 0 ? text.n : (size_t)nl;
        lines[i] = mio_str_sub(text, 0, n);
        text = mio_str_sub(text, n + (nl >= 0), text.n);
    }
    if (!mio_str_u64(lines[0], &code) || code == MIO_OK || code > MIO_BUG) {
        unfetched(s, err);
        return mio_err_cause(err, "the unpacking program ended without an answer: %.*s",
                             MIO_FMT(mio_str_sub(mio_str_trim(text), 0, 150)));
    }
    mio_fail(err, (enum mio_code)code, "the module %.*s: %.*s", MIO_FMT(mio_str_sub(s->id, 0, 200)),
             MIO_FMT(lines[1]));
    if (lines[3].n)
        mio_err_cause(err, "%.*s", MIO_FMT(lines[3]));
    return lines[2].n ? mio_err_hint(err, "%.*s", MIO_FMT(lines[2])) : err->code;
}

/* By a program of its own, which downloads, compares and unpacks. */
static enum mio_code fetch_archive(struct mio_arena *a, const struct mio_module_source *s,
                                   const char *program_dir, const char *into, struct mio_err *err)
{
    const char *program =
        mio_arena_printf(a, "%s/../libexec/mlops-iac/mlops-iac-module", program_dir).p;
    const char *argv[] = {program, mio_arena_z(a, s->url), into,
                          s->digest.n ? mio_arena_z(a, s->digest) : NULL, NULL};
    struct mio_proc_opts o = {.argv = argv, .env = environment(a), .in = -1};
    MIO_AUTO_BUF out;
    int status = 0;
    if (!mio_fs_exists(program)) {
        mio_fail(err, MIO_IO, "modules from archives need %s, which is not installed", program);
        return mio_err_hint(err,
                            "Build with libcurl4-openssl-dev and libarchive-dev, or use git::.");
    }
    mio_buf_init(&out, 8192);
    if (mio_proc_run(&o, mio_now_ms() + FETCH_MS, &out, &status, err))
        return err->code;
    return status == 0 ? MIO_OK : said(s, mio_buf_view(&out), err);
}

enum mio_code mio_module_fetch(struct mio_arena *a, const struct mio_module_source *s,
                               const char *program_dir, const char *into, struct mio_err *err)
{
    return s->archive ? fetch_archive(a, s, program_dir, into, err) : fetch_git(a, s, into, err);
}
