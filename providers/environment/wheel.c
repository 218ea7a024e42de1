/* providers/environment/wheel.c: a wheel as a cell. */
#include "providers/environment/wheel.h"
#include "providers/environment/python.h"
#include "providers/environment/unpack.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/map.h"

/* Part of a cell's key: another number for another result. */
enum { WHEEL_FORMAT = MIO_ENV_CELL_FORMAT * 100 + 2 };

struct wheel {
    struct mio_arena *a;
    const struct mio_env_wheel *w;
    struct mio_env_tree *t;
    struct mio_str info; /* NAME-VERSION.dist-info */
    struct mio_env_places to;
    int64_t mtime;
    struct mio_err *err;
};

static enum mio_code broken(struct wheel *k, const char *what, struct mio_str name)
{
    const char *z = name.n ? mio_arena_z(k->a, name) : "";
    return mio_fail(k->err, MIO_REALITY, "%s%s%s", what, *z ? ": " : "", z);
}

static struct mio_env_entry *find(const struct wheel *k, struct mio_str path)
{
    for (size_t i = 0; i < k->t->n; i++)
        if (mio_str_eq(k->t->items[i].path, path))
            return &k->t->items[i];
    return NULL;
}

static enum mio_code find_info(struct wheel *k)
{
    for (size_t i = 0; i < k->t->n; i++) {
        struct mio_str p = k->t->items[i].path, dir = mio_path_dir(p);
        if (!mio_str_is(mio_path_base(p), "RECORD") || !mio_str_ends(dir, ".dist-info") ||
            mio_str_find(dir, '/') >= 0)
            continue;
        if (k->info.n)
            return broken(k, "it has two RECORD files", dir);
        k->info = dir;
    }
    return k->info.n ? MIO_OK : broken(k, "it has no RECORD", (struct mio_str){0});
}

/* One CSV field; quotes around it may hold commas and doubled quotes. */
static struct mio_str csv_field(struct mio_arena *a, struct mio_str *line)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    bool quoted = false;
    size_t i = 0;
    for (; i < line->n; i++) {
        char c = line->p[i];
        if (c == '"' && quoted && i + 1 < line->n && line->p[i + 1] == '"')
            mio_buf_char(&b, line->p[i++]);
        else if (c == '"')
            quoted = !quoted;
        else if (c == ',' && !quoted)
            break;
        else
            mio_buf_char(&b, c);
    }
    *line = mio_str_sub(*line, i + 1, line->n);
    return mio_arena_str(a, mio_buf_view(&b));
}

/* A digest as RECORD has it: unpadded URL-safe base64. */
static const char *hash_text(struct mio_arena *a, struct mio_str hex)
{
    uint8_t raw[MIO_SHA256_LEN];
    if (!mio_unhex(hex, raw, sizeof raw))
        return "";
    char *z = mio_arena_z(a, mio_base64(a, raw, sizeof raw));
    for (char *c = z; *c; c++)
        *c = (char)(*c == '+' ? '-' : *c == '/' ? '_' : *c == '=' ? 0 : *c);
    return z;
}

static bool hash_is(struct mio_arena *a, struct mio_str given, struct mio_str hex)
{
    return mio_str_starts(given, "sha256=") &&
           mio_str_is(mio_str_sub(given, 7, given.n), hash_text(a, hex));
}

static enum mio_code verify_record(struct wheel *k)
{
    struct mio_str record = mio_arena_printf(k->a, "%.*s/RECORD", MIO_FMT(k->info)), text, line;
    struct mio_index seen, all;
    if (mio_env_tree_read(k->t, find(k, record), &text, k->err))
        return k->err->code;
    mio_index_init(&seen, k->a, k->t->n);
    mio_index_init(&all, k->a, k->t->n);
    for (size_t i = 0; i < k->t->n; i++)
        mio_index_set(&all, k->t->items[i].path, (uintptr_t)&k->t->items[i]);
    while (mio_env_line(&text, &line)) {
        line = mio_str_trim(line);
        if (!line.n)
            continue;
        struct mio_str path = csv_field(k->a, &line), hash = csv_field(k->a, &line);
        uintptr_t at = 0;
        mio_index_get(&all, path, &at);
        const struct mio_env_entry *e = (const struct mio_env_entry *)at;
        if (!e || e->type != MIO_ENTRY_FILE)
            return broken(k, "RECORD names a file that is not there", path);
        bool signature = mio_str_eq(path, record) || mio_str_ends(path, ".dist-info/RECORD.jws") ||
                         mio_str_ends(path, ".dist-info/RECORD.p7s");
        if (!signature && !hash_is(k->a, hash, e->sha256))
            return broken(k, "the content does not match its RECORD", path);
        mio_index_set(&seen, path, 1);
    }
    for (size_t i = 0; i < k->t->n; i++) {
        uintptr_t ignored;
        if (k->t->items[i].type == MIO_ENTRY_FILE &&
            !mio_index_get(&seen, k->t->items[i].path, &ignored))
            return broken(k, "a file is missing in its RECORD", k->t->items[i].path);
    }
    return MIO_OK;
}

/* NAME-VERSION.data/KEY/... goes to the place of KEY, everything else below the site folder. */
static enum mio_code place(struct wheel *k, struct mio_env_entry *e)
{
    static const struct {
        const char *key, *to; /* to: below the prefix; NULL: the site folder */
    } schemes[] = {{"purelib/", NULL},
                   {"platlib/", NULL},
                   {"scripts/", "bin/"},
                   {"data/", ""},
                   {"headers/", "include/"}};
    struct mio_str stem = mio_str_sub(k->info, 0, k->info.n - strlen(".dist-info"));
    struct mio_str data = mio_arena_printf(k->a, "%.*s.data/", MIO_FMT(stem)), rest = e->path;
    size_t i = 0;
    if (mio_str_starts(e->path, data.p)) {
        rest = mio_str_sub(e->path, data.n, e->path.n);
        while (i < sizeof schemes / sizeof *schemes && !mio_str_starts(rest, schemes[i].key))
            i++;
        if (i == sizeof schemes / sizeof *schemes)
            return broken(k, "data for an unknown place", rest);
        rest = mio_str_sub(rest, strlen(schemes[i].key), rest.n);
    }
    if (schemes[i].to && mio_str_is(mio_str_z(schemes[i].to), "include/"))
        rest = mio_arena_printf(k->a, "%.*s/%.*s", MIO_FMT(k->w->name), MIO_FMT(rest));
    if (schemes[i].to && mio_str_is(mio_str_z(schemes[i].to), "bin/"))
        e->mode = 0755;
    e->path = schemes[i].to
                  ? mio_arena_printf(k->a, "%.*s/%s%.*s", MIO_FMT(k->to.prefix), schemes[i].to,
                                     MIO_FMT(rest))
                  : mio_arena_printf(k->a, "%.*s/%.*s", MIO_FMT(k->to.site), MIO_FMT(rest));
    return MIO_OK;
}

/* Scripts that begin with "#!python" get the interpreter's path. */
static enum mio_code rewrite_script(struct wheel *k, struct mio_env_entry *e)
{
    struct mio_str text, bin = mio_arena_printf(k->a, "%.*s/bin/", MIO_FMT(k->to.prefix));
    if (!mio_str_starts(e->path, bin.p) || e->size > (1u << 20))
        return MIO_OK;
    if (mio_env_tree_read(k->t, e, &text, k->err))
        return k->err->code;
    if (!mio_str_starts(text, "#!python"))
        return MIO_OK;
    ptrdiff_t nl = mio_str_find(text, '\n');
    struct mio_str body = nl < 0 ? (struct mio_str){0} : mio_str_sub(text, (size_t)nl, text.n);
    return mio_env_tree_file(
        k->t, e->path, 0755, k->mtime,
        mio_arena_printf(k->a, "#!%.*s%.*s", MIO_FMT(k->to.interpreter), MIO_FMT(body)), k->err);
}

static bool plain_name(struct mio_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", s.p[i]))
            return false;
    return s.n > 0 && s.p[0] != '.';
}

bool mio_env_entry_script(struct mio_arena *a, struct mio_str interpreter, struct mio_str name,
                          struct mio_str module, struct mio_str object, struct mio_str *out)
{
    ptrdiff_t dot = mio_str_find(object, '.');
    struct mio_str top = mio_str_sub(object, 0, dot < 0 ? object.n : (size_t)dot);
    if (!plain_name(name) || !plain_name(module) || !plain_name(object))
        return false;
    *out = mio_arena_printf(a, "#!%.*s\nimport sys\nfrom %.*s import %.*s\n\nsys.exit(%.*s())\n",
                            MIO_FMT(interpreter), MIO_FMT(module), MIO_FMT(top), MIO_FMT(object));
    return true;
}

/* entry_points.txt: "name = module:object [extras]" in the section of console scripts. */
static enum mio_code make_scripts(struct wheel *k)
{
    const struct mio_env_entry *e =
        find(k, mio_arena_printf(k->a, "%.*s/%.*s/entry_points.txt", MIO_FMT(k->to.site),
                                 MIO_FMT(k->info)));
    struct mio_str text, line;
    bool ours = false;
    if (!e)
        return MIO_OK;
    if (mio_env_tree_read(k->t, e, &text, k->err))
        return k->err->code;
    while (mio_env_line(&text, &line)) {
        line = mio_str_trim(line);
        if (line.n && line.p[0] == '[')
            ours = mio_str_is(line, "[console_scripts]") || mio_str_is(line, "[gui_scripts]");
        ptrdiff_t eq = mio_str_find(line, '=');
        if (!ours || eq <= 0 || line.p[0] == '#')
            continue;
        struct mio_str name = mio_str_trim(mio_str_sub(line, 0, (size_t)eq));
        struct mio_str target = mio_str_trim(mio_str_sub(line, (size_t)eq + 1, line.n)), word;
        mio_env_word(&target, &word);
        ptrdiff_t colon = mio_str_find(word, ':');
        struct mio_str module = mio_str_sub(word, 0, colon < 0 ? word.n : (size_t)colon),
                       object = mio_str_sub(word, (size_t)(colon + 1), word.n);
        struct mio_str script;
        if (colon < 0 ||
            !mio_env_entry_script(k->a, k->to.interpreter, name, module, object, &script))
            return broken(k, "an entry point that is no name", line);
        if (mio_env_tree_file(
                k->t, mio_arena_printf(k->a, "%.*s/bin/%.*s", MIO_FMT(k->to.prefix), MIO_FMT(name)),
                0755, k->mtime, script, k->err))
            return k->err->code;
    }
    return MIO_OK;
}

/* "../../../bin/tool": the path as the installed RECORD names it, relative to the site folder. */
static void put_relative(struct mio_buf *b, struct mio_str site, struct mio_str path)
{
    size_t same = 0;
    for (size_t i = 0; i < site.n && i < path.n && site.p[i] == path.p[i]; i++)
        if (site.p[i] == '/')
            same = i + 1;
    if (path.n > site.n && !memcmp(path.p, site.p, site.n) && path.p[site.n] == '/')
        same = site.n + 1;
    for (size_t i = same; i <= site.n && same <= site.n; i++)
        if (i == site.n || site.p[i] == '/')
            mio_buf_z(b, "../");
    mio_buf_str(b, mio_str_sub(path, same, path.n));
}

/* RECORD of what is installed, in which tools look for a package's files. */
static enum mio_code write_record(struct wheel *k)
{
    struct mio_str at =
        mio_arena_printf(k->a, "%.*s/%.*s/RECORD", MIO_FMT(k->to.site), MIO_FMT(k->info));
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    mio_env_tree_sort(k->t);
    for (size_t i = 0; i < k->t->n; i++) {
        const struct mio_env_entry *e = &k->t->items[i];
        bool quoted = mio_str_find(e->path, ',') >= 0 || mio_str_find(e->path, '"') >= 0;
        if (mio_str_eq(e->path, at) || quoted)
            continue;
        put_relative(&b, k->to.site, e->path);
        mio_buf_printf(&b, ",sha256=%s,%llu\n", hash_text(k->a, e->sha256),
                       (unsigned long long)e->size);
    }
    mio_buf_printf(&b, "%.*s/RECORD,,\n", MIO_FMT(k->info));
    return mio_env_tree_file(k->t, at, 0644, k->mtime, mio_buf_view(&b), k->err);
}

static enum mio_code check_format(struct wheel *k)
{
    const struct mio_env_entry *e = find(k, mio_arena_printf(k->a, "%.*s/WHEEL", MIO_FMT(k->info)));
    struct mio_str text;
    if (!e)
        return broken(k, "it has no WHEEL file", (struct mio_str){0});
    if (mio_env_tree_read(k->t, e, &text, k->err))
        return k->err->code;
    struct mio_str version = mio_env_field(text, "Wheel-Version");
    return mio_str_starts(version, "1.") ? MIO_OK
                                         : broken(k, "its format is not known here", version);
}

/* Everything to its place, with the modes and times that an installation has. */
static enum mio_code move_files(struct wheel *k)
{
    size_t n = 0;
    for (size_t i = 0; i < k->t->n; i++) {
        struct mio_env_entry e = k->t->items[i];
        if (e.type == MIO_ENTRY_DIR)
            continue; /* zip files list them or not; below they are made from the files */
        if (e.type != MIO_ENTRY_FILE)
            return broken(k, "it holds a link", e.path);
        e.mode = e.mode & 0100 ? 0755 : 0644;
        e.uid = e.gid = 0;
        e.mtime = k->mtime;
        if (place(k, &e))
            return k->err->code;
        k->t->items[n++] = e;
    }
    k->t->n = n;
    for (size_t i = 0; i < n; i++)
        if (rewrite_script(k, &k->t->items[i]))
            return k->err->code;
    return MIO_OK;
}

static enum mio_code install(struct wheel *k)
{
    mio_env_tree_sort(k->t);
    if (mio_env_tree_check(k->t, k->err) || find_info(k) || verify_record(k) || check_format(k) ||
        move_files(k))
        return k->err->code;
    struct mio_str at =
        mio_arena_printf(k->a, "%.*s/%.*s/INSTALLER", MIO_FMT(k->to.site), MIO_FMT(k->info));
    if (make_scripts(k) ||
        mio_env_tree_file(k->t, at, 0644, k->mtime, MIO_STR("mlops-iac\n"), k->err) ||
        write_record(k))
        return k->err->code;
    size_t n = k->t->n;
    for (size_t i = 0; i < n; i++) {
        struct mio_str p = k->t->items[i].path;
        for (size_t c = k->to.prefix.n + 1; c < p.n; c++)
            if (p.p[c] == '/')
                mio_env_tree_dir(k->t, mio_str_sub(p, 0, c), 0755, k->mtime);
    }
    mio_env_tree_sort(k->t);
    return mio_env_tree_check(k->t, k->err);
}

enum mio_code mio_env_cell_wheel(struct mio_arena *a, const struct mio_env_store *s,
                                 const struct mio_env_lock *lock, const struct mio_env_wheel *w,
                                 struct mio_env_cell *out, struct mio_err *err)
{
    struct mio_env_places to = mio_env_python_places(a, lock->config);
    struct mio_str key = mio_env_sha256(
        a, mio_arena_printf(a, "wheel %d zstd %.*s %.*s %.*s", WHEEL_FORMAT, MIO_FMT(to.site),
                            MIO_FMT(to.interpreter), MIO_FMT(w->sha256)));
    bool found = false;
    if (mio_env_cell_load(a, s, key, NULL, &found, out, err))
        return err->code;
    if (!found) {
        struct mio_env_tree t;
        struct wheel k = {
            .a = a, .w = w, .t = &t, .to = to, .err = err, .mtime = 315532800 /* 1980, as zip */};
        mio_env_tree_init(&t, a, s);
        if (!mio_env_store_sound(a, s, w->sha256, err) &&
            !mio_env_unpack_zip(mio_env_store_blob(a, s, w->sha256), &t, err) && !install(&k))
            mio_env_cell_put(a, s, key, &t, NULL, out, err);
        mio_env_tree_free(&t);
        if (err->code == MIO_REALITY && !err->hint[0])
            mio_err_hint(err, "its hash is the locked one, so it was made like this: take another "
                              "version of it");
        if (err->code)
            return mio_err_wrap(err, "wheel %.*s", MIO_FMT(w->file));
    }
    out->name = out->group = w->name;
    return MIO_OK;
}
