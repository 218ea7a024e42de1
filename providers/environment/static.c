/* providers/environment/static.c: what maintainer scripts would have done, done without running
 * them. */
#include "providers/environment/static.h"
#include "providers/environment/users.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/fs.h"

struct job {
    struct mio_env_view *v;
    const struct mio_env_lock *lock;
    struct mio_env_tree *made;
    enum mio_env_scripts mode;
    struct mio_err *err;
};

/* Scripts that were read by people: what they do is done below, or concerns upgrades and terminals
 * alone. */
static const char *const known[] = {
    "base-passwd", "base-files",      "tzdata",   "ca-certificates", "libc6",
    "dash",        "debconf",         "libc-bin", "openssl",         "debianutils",
    "bash",        "readline-common", "procps",
};

static bool listed(struct mio_value config, const char *key, struct mio_str package)
{
    const struct mio_value *debian = mio_get_z(config, "debian");
    const struct mio_value *list = debian ? mio_get_z(*debian, key) : NULL;
    for (uint32_t i = 0; list && list->type == MIO_LIST && i < list->n; i++)
        if (mio_str_eq(mio_get_str(list->items[i], "name"), package))
            return true;
    return false;
}

static bool accepted(const void *arg, struct mio_str package)
{
    const struct job *j = arg;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (mio_str_is(package, known[i]))
            return true;
    return listed(j->lock->config, "accept_scripts", package);
}

/* Commands whose effect cannot be foreseen from the outside; NULL-terminated. */
static const char *const risky[] = {
    "adduser",         "addgroup",          "useradd", "groupadd",   "systemd-sysusers",
    "pam-auth-update", "dpkg-statoverride", "setcap",  "confmodule", NULL};
/* The same of scripts that come before unpacking, which no mode runs; what they ask debconf and do
 * to PAM concerns upgrades. */
static const char *const risky_before[] = {"adduser",     "addgroup",          "useradd",
                                           "groupadd",    "systemd-sysusers",  "setcap",
                                           "dpkg-divert", "dpkg-statoverride", NULL};

static const char *find_risky(struct mio_str text, const char *const *commands)
{
    struct mio_str line;
    while (mio_env_line(&text, &line)) {
        struct mio_str word, trimmed = mio_str_trim(line);
        if (trimmed.n && trimmed.p[0] == '#')
            continue;
        bool undoes = memmem(trimmed.p, trimmed.n, "--remove", 8) != NULL;
        while (mio_env_word(&line, &word))
            for (size_t i = 0; commands[i] && !undoes; i++)
                if (mio_str_is(mio_path_base(word), commands[i]))
                    return commands[i];
    }
    return NULL;
}

static enum mio_code judge(struct job *j, const struct mio_env_cell *c)
{
    static const char except[] = "when the environment does not need this one, list the package "
                                 "with a reason under debian.accept_scripts";
    const char *what = find_risky(c->about.preinst, risky_before);
    if (what && !accepted(j, c->name)) {
        mio_fail(j->err, MIO_REALITY,
                 "package %.*s has a script that calls %s before it is unpacked, which is not done "
                 "here",
                 MIO_FMT(c->name), what);
        return mio_err_hint(j->err, "leave the package out; or, %s", except);
    }
    what = j->mode == MIO_SCRIPTS_STATIC ? find_risky(c->about.postinst, risky) : NULL;
    if (!what || accepted(j, c->name))
        return MIO_OK;
    mio_fail(j->err, MIO_REALITY,
             "package %.*s has a script that calls %s, which static mode cannot do",
             MIO_FMT(c->name), what);
    return mio_err_hint(j->err, "run scripts with scripts: sandbox; or, %s", except);
}

static enum mio_code judge_all(struct job *j)
{
    for (size_t i = 0; i < j->v->n; i++)
        if (judge(j, &j->v->cells[i]))
            return j->err->code;
    return MIO_OK;
}

/* Templates that a package's script copies on its first installation. */
static const struct {
    const char *from, *to;
} copies[] = {
    {"usr/share/base-passwd/passwd.master", "etc/passwd"},
    {"usr/share/base-passwd/group.master", "etc/group"},
    {"usr/share/libc-bin/nsswitch.conf", "etc/nsswitch.conf"},
    {"usr/share/base-files/dot.bashrc", "root/.bashrc"},
    {"usr/share/base-files/dot.profile", "root/.profile"},
    {"usr/share/base-files/profile", "etc/profile"},
    {"usr/share/base-files/motd", "etc/motd"},
    {"usr/share/debianutils/shells", "etc/shells"},
};

static enum mio_code copy_templates(struct job *j)
{
    for (size_t i = 0; i < sizeof copies / sizeof *copies; i++) {
        struct mio_str text;
        bool found;
        if (mio_env_view_get(j->v, mio_str_z(copies[i].to)).entry)
            continue;
        if (mio_env_view_read(j->v, copies[i].from, &text, &found, j->err) ||
            (found && mio_env_tree_file(j->made, mio_str_z(copies[i].to), 0644, j->lock->epoch,
                                        text, j->err)))
            return j->err->code;
    }
    return MIO_OK;
}

static bool any_below(const struct mio_env_view *v, const char *folder)
{
    for (size_t c = 0; c < v->n; c++)
        for (size_t i = 0; i < v->cells[c].n; i++)
            if (mio_str_starts(v->cells[c].items[i].path, folder))
                return true;
    return false;
}

static enum mio_code make_links(struct job *j)
{
    static const char *const merged[] = {"bin", "sbin", "lib", "lib32", "lib64", "libx32"};
    int64_t at = j->lock->epoch;
    struct mio_arena *a = j->v->arena;
    for (size_t i = 0; i < sizeof merged / sizeof *merged; i++) {
        struct mio_str target = mio_arena_printf(a, "usr/%s", merged[i]);
        if (i < 3 || any_below(j->v, mio_arena_printf(a, "%.*s/", MIO_FMT(target)).p))
            mio_env_tree_symlink(j->made, mio_str_z(merged[i]), target, at);
    }
    if (any_below(j->v, "usr/bin/dash") && !mio_env_view_get(j->v, MIO_STR("usr/bin/sh")).entry)
        mio_env_tree_symlink(j->made, MIO_STR("usr/bin/sh"), MIO_STR("dash"), at);
    if (any_below(j->v, "usr/share/zoneinfo/Etc/UTC")) {
        mio_env_tree_symlink(j->made, MIO_STR("etc/localtime"),
                             MIO_STR("/usr/share/zoneinfo/Etc/UTC"), at);
        return mio_env_tree_file(j->made, MIO_STR("etc/timezone"), 0644, at, MIO_STR("Etc/UTC\n"),
                                 j->err);
    }
    return MIO_OK;
}

/* Debian's Python links its sitecustomize into /etc; some versions leave the file to the script. */
static enum mio_code make_sitecustomize(struct job *j)
{
    for (size_t c = 0; c < j->v->n; c++)
        for (size_t i = 0; i < j->v->cells[c].n; i++) {
            const struct mio_env_entry *e = &j->v->cells[c].items[i];
            if (e->type != MIO_ENTRY_SYMLINK || !mio_str_starts(e->path, "usr/lib/python3") ||
                !mio_str_ends(e->path, "/sitecustomize.py") || !mio_str_starts(e->link, "/etc/") ||
                mio_env_view_get(j->v, mio_str_sub(e->link, 1, e->link.n)).entry)
                continue;
            if (mio_env_tree_file(j->made, mio_str_sub(e->link, 1, e->link.n), 0644, j->lock->epoch,
                                  MIO_STR("# Empty: the link to it must not dangle.\n"), j->err))
                return j->err->code;
        }
    return MIO_OK;
}

static enum mio_code make_dpkg(struct job *j)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    for (size_t i = 0; i < j->v->n; i++) {
        struct mio_str rest = j->v->cells[i].about.control, line;
        if (!rest.n)
            continue;
        mio_env_line(&rest, &line);
        mio_buf_printf(&b, "%.*s\nStatus: install ok %s\n%.*s\n\n", MIO_FMT(line),
                       j->mode == MIO_SCRIPTS_SANDBOX ? "unpacked" : "installed", MIO_FMT(rest));
    }
    if (!b.n)
        return MIO_OK;
    int64_t at = j->lock->epoch;
    if (mio_env_tree_file(j->made, MIO_STR("var/lib/dpkg/info/format"), 0644, at, MIO_STR("1\n"),
                          j->err))
        return j->err->code;
    return mio_env_tree_file(j->made, MIO_STR("var/lib/dpkg/status"), 0644, at, mio_buf_view(&b),
                             j->err);
}

/* A file that replaces another package's comes once more at the end, whatever the order of the
 * layers. */
static enum mio_code repeat_late(struct job *j)
{
    for (size_t i = 0; i < j->v->n_late; i++) {
        const struct mio_env_entry *e = j->v->late[i].entry;
        struct mio_str text;
        if (e->type == MIO_ENTRY_SYMLINK)
            mio_env_tree_symlink(j->made, e->path, e->link, e->mtime);
        else if (e->type == MIO_ENTRY_FILE &&
                 (mio_env_cell_read(j->v->arena, j->v->late[i].cell, e, &text, j->err) ||
                  mio_env_tree_file(j->made, e->path, e->mode, e->mtime, text, j->err)))
            return j->err->code;
    }
    return MIO_OK;
}

enum mio_code mio_env_static(struct mio_env_view *v, const struct mio_env_lock *lock,
                             struct mio_env_tree *made, struct mio_err *err)
{
    struct job j = {v, lock, made, mio_env_scripts_of(lock->config), err};
    static enum mio_code (*const always[])(struct job *) = {make_links, make_dpkg, repeat_late};
    static enum mio_code (*const more[])(struct job *) = {copy_templates, make_sitecustomize};
    bool full = j.mode == MIO_SCRIPTS_STATIC;
    v->made = made;
    if (lock->suite.n == 0) /* on an image that others made */
        return repeat_late(&j);
    if (j.mode != MIO_SCRIPTS_NONE && judge_all(&j))
        return err->code;
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (always[i](&j))
            return err->code;
    for (size_t i = 0; full && i < sizeof more / sizeof *more; i++)
        if (more[i](&j))
            return err->code;
    if (full && (mio_env_certificates(v, lock->epoch, made, err) ||
                 mio_env_alternatives(v, lock->epoch, accepted, &j, made, err) ||
                 mio_env_ld_cache(v, lock->epoch, made, err)))
        return err->code;
    if (j.mode != MIO_SCRIPTS_SANDBOX && mio_env_users(v, lock->config, lock->epoch, made, err))
        return err->code;
    return MIO_OK;
}
