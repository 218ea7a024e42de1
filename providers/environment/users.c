/* providers/environment/users.c: declared users: rows of /etc/passwd and /etc/group, and home
 * folders. */
#include "providers/environment/users.h"
#include "providers/environment/sources.h"
#include "providers/sdk/buf.h"

enum { MAX_ID = 65533 };

static enum mio_code bad(struct mio_err *err, struct mio_str name, const char *what)
{
    return mio_fail(err, MIO_TEMPLATE, "environment: users: %.*s %s", MIO_FMT(name), what);
}

static bool plain(struct mio_str s, const char *more)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= '0' && s.p[i] <= '9') ||
              (s.p[i] && strchr(more, s.p[i]))))
            return false;
    return s.n > 0 && s.n <= 256;
}

static bool plain_path(struct mio_str s)
{
    struct mio_str up = MIO_STR("/..");
    return s.n > 1 && s.p[0] == '/' && plain(s, "/ABCDEFGHIJKLMNOPQRSTUVWXYZ._-") &&
           !memmem(s.p, s.n, up.p, up.n);
}

static enum mio_code read_user(struct mio_value v, struct mio_env_user *out, struct mio_err *err)
{
    struct mio_str name = mio_get_str(v, "name"), home = mio_get_str(v, "home"),
                   shell = mio_get_str(v, "shell");
    int64_t uid = mio_get_i64(v, "uid", -1), gid = mio_get_i64(v, "gid", uid);
    if (!plain(name, "_-") || name.n > 32 || name.p[0] < 'a')
        return bad(err, name, "is no name of a user: small letters, digits, - and _");
    if (uid < 1 || uid > MAX_ID || gid < 1 || gid > MAX_ID)
        return bad(err, name, "needs a uid (and a gid, if any) between 1 and 65533");
    if ((home.n && !plain_path(home)) || (shell.n && !plain_path(shell)))
        return bad(err, name, "needs absolute paths as home and shell");
    *out = (struct mio_env_user){
        .name = name,
        .home = home,
        .shell = shell.n ? shell : MIO_STR("/usr/sbin/nologin"),
        .uid = (unsigned)uid,
        .gid = (unsigned)gid,
    };
    return MIO_OK;
}

enum mio_code mio_env_users_read(struct mio_arena *a, struct mio_value config,
                                 struct mio_env_user **out, size_t *n, struct mio_err *err)
{
    const struct mio_value *v = mio_get_z(config, "users");
    *out = NULL;
    *n = 0;
    if (!v || mio_is_null(*v))
        return MIO_OK;
    if (v->type != MIO_LIST)
        return mio_fail(err, MIO_TEMPLATE,
                        "environment: users must be a list of {name, uid, gid, home, shell}");
    *out = MIO_NEW_N(a, struct mio_env_user, v->n + 1u);
    for (uint32_t i = 0; i < v->n; i++) {
        if (read_user(v->items[i], &(*out)[i], err))
            return err->code;
        for (uint32_t k = 0; k < i; k++)
            if (mio_str_eq((*out)[k].name, (*out)[i].name) || (*out)[k].uid == (*out)[i].uid)
                return bad(err, (*out)[i].name, "is there twice, or its uid is");
        ++*n;
    }
    return MIO_OK;
}

/* What a file holds so far: as static mode made it, as a package brings it, or the first row. */
static enum mio_code text_so_far(struct mio_env_view *v, const struct mio_env_tree *made,
                                 const char *path, const char *first, struct mio_buf *out,
                                 struct mio_err *err)
{
    struct mio_str text = {0};
    bool found = false;
    for (size_t i = made->n; i-- > 0 && !found;)
        if (mio_str_is(made->items[i].path, path)) {
            if (mio_env_tree_read(made, &made->items[i], &text, err))
                return err->code;
            found = true;
        }
    if (!found && mio_env_view_read(v, path, &text, &found, err))
        return err->code;
    mio_buf_str(out, found ? text : mio_str_z(first));
    return MIO_OK;
}

/* Whether a row has the name, or the number in its third column. */
static bool has_row(struct mio_str text, struct mio_str name, unsigned id)
{
    struct mio_str line;
    while (mio_env_line(&text, &line)) {
        uint64_t number = UINT64_MAX;
        ptrdiff_t end = mio_str_find(line, ':');
        struct mio_str rest = mio_str_sub(line, (size_t)(end + 1), line.n);
        rest = mio_str_sub(rest, (size_t)(mio_str_find(rest, ':') + 1), rest.n);
        ptrdiff_t stop = mio_str_find(rest, ':');
        mio_str_u64(mio_str_sub(rest, 0, stop < 0 ? rest.n : (size_t)stop), &number);
        if (mio_str_eq(mio_str_sub(line, 0, end < 0 ? line.n : (size_t)end), name) || number == id)
            return true;
    }
    return false;
}

static void make_home(struct mio_env_tree *made, const struct mio_env_user *u, int64_t mtime)
{
    if (!u->home.n)
        return;
    mio_env_tree_dir(made, mio_str_sub(u->home, 1, u->home.n), 0755, mtime);
    made->items[made->n - 1].uid = u->uid;
    made->items[made->n - 1].gid = u->gid;
}

enum mio_code mio_env_users(struct mio_env_view *v, struct mio_value config, int64_t mtime,
                            struct mio_env_tree *made, struct mio_err *err)
{
    struct mio_env_user *users;
    size_t n;
    MIO_AUTO_BUF passwd;
    MIO_AUTO_BUF group;
    mio_buf_init(&passwd, 0);
    mio_buf_init(&group, 0);
    if (mio_env_users_read(v->arena, config, &users, &n, err) || !n ||
        text_so_far(v, made, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n", &passwd, err) ||
        text_so_far(v, made, "etc/group", "root:x:0:\n", &group, err))
        return err->code;
    for (size_t i = 0; i < n; i++) {
        const struct mio_env_user *u = &users[i];
        if (has_row(mio_buf_view(&passwd), u->name, u->uid))
            return bad(err, u->name, "has the name or the uid of one that the packages bring");
        mio_buf_printf(&passwd, "%.*s:x:%u:%u::%.*s:%.*s\n", MIO_FMT(u->name), u->uid, u->gid,
                       MIO_FMT(u->home.n ? u->home : MIO_STR("/nonexistent")), MIO_FMT(u->shell));
        if (!has_row(mio_buf_view(&group), u->name, u->gid))
            mio_buf_printf(&group, "%.*s:x:%u:\n", MIO_FMT(u->name), u->gid);
        make_home(made, u, mtime);
    }
    if (mio_env_tree_file(made, MIO_STR("etc/passwd"), 0644, mtime, mio_buf_view(&passwd), err))
        return err->code;
    return mio_env_tree_file(made, MIO_STR("etc/group"), 0644, mtime, mio_buf_view(&group), err);
}
