/* providers/environment/wheel.c: a wheel as a cell. */
#include "providers/environment/wheel.h"
#include "providers/environment/unpack.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/map.h"

struct wheel {
    struct mio_arena *a;
    const struct mio_env_wheel *w;
    struct mio_env_tree *t;
    struct mio_str info;   /* NAME-VERSION.dist-info */
    struct mio_str site;   /* where packages go */
    struct mio_str python; /* its interpreter */
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

/* "sha256=" and unpadded URL-safe base64. */
static bool hash_is(struct mio_arena *a, struct mio_str given, struct mio_str hex)
{
    uint8_t raw[MIO_SHA256_LEN];
    if (!mio_unhex(hex, raw, sizeof raw) || !mio_str_starts(given, "sha256="))
        return false;
    struct mio_str b64 = mio_base64(a, raw, sizeof raw);
    char *z = mio_arena_z(a, b64);
    size_t n = b64.n;
    while (n && z[n - 1] == '=')
        n--;
    for (size_t i = 0; i < n; i++)
        z[i] = z[i] == '+' ? '-' : z[i] == '/' ? '_' : z[i];
    return mio_str_eq(mio_str_sub(given, 7, given.n), (struct mio_str){z, n});
}

static enum mio_code verify_record(struct wheel *k)
{
    struct mio_str record = mio_arena_printf(k->a, "%.*s/RECORD", MIO_FMT(k->info)), text, line;
    struct mio_index seen;
    if (mio_env_tree_read(k->t, find(k, record), &text, k->err))
        return k->err->code;
    mio_index_init(&seen, k->a, k->t->n);
    while (mio_env_line(&text, &line)) {
        line = mio_str_trim(line);
        if (!line.n)
            continue;
        struct mio_str path = csv_field(k->a, &line), hash = csv_field(k->a, &line);
        const struct mio_env_entry *e = find(k, path);
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
        const char *key, *to;
    } schemes[] = {{"purelib/", NULL},
                   {"platlib/", NULL},
                   {"scripts/", "usr/local/bin/"},
                   {"data/", "usr/local/"},
                   {"headers/", "usr/local/include/"}};
    struct mio_str stem = mio_str_sub(k->info, 0, k->info.n - strlen(".dist-info"));
    struct mio_str data = mio_arena_printf(k->a, "%.*s.data/", MIO_FMT(stem));
    if (mio_str_starts(e->path, data.p)) {
        struct mio_str rest = mio_str_sub(e->path, data.n, e->path.n);
        for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
            if (mio_str_starts(rest, schemes[i].key)) {
                rest = mio_str_sub(rest, strlen(schemes[i].key), rest.n);
                e->path =
                    schemes[i].to
                        ? mio_arena_printf(k->a, "%s%.*s", schemes[i].to, MIO_FMT(rest))
                        : mio_arena_printf(k->a, "%.*s/%.*s", MIO_FMT(k->site), MIO_FMT(rest));
                if (i == 2)
                    e->mode = 0755;
                return MIO_OK;
            }
        return broken(k, "data for an unknown place", rest);
    }
    e->path = mio_arena_printf(k->a, "%.*s/%.*s", MIO_FMT(k->site), MIO_FMT(e->path));
    return MIO_OK;
}

/* Scripts that begin with "#!python" get the interpreter's path. */
static enum mio_code rewrite_script(struct wheel *k, struct mio_env_entry *e)
{
    struct mio_str text;
    if (!mio_str_starts(e->path, "usr/local/bin/") || e->size > (1u << 20))
        return MIO_OK;
    if (mio_env_tree_read(k->t, e, &text, k->err))
        return k->err->code;
    if (!mio_str_starts(text, "#!python"))
        return MIO_OK;
    ptrdiff_t nl = mio_str_find(text, '\n');
    struct mio_str body = nl < 0 ? (struct mio_str){0} : mio_str_sub(text, (size_t)nl, text.n);
    return mio_env_tree_file(
        k->t, e->path, 0755, k->mtime,
        mio_arena_printf(k->a, "#!%.*s%.*s", MIO_FMT(k->python), MIO_FMT(body)), k->err);
}

static bool plain_name(struct mio_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", s.p[i]))
            return false;
    return s.n > 0 && s.p[0] != '.';
}

/* entry_points.txt: "name = module:object [extras]" in the section of console scripts. */
static enum mio_code make_scripts(struct wheel *k)
{
    const struct mio_env_entry *e = find(k, mio_arena_printf(k->a, "%.*s/%.*s/entry_points.txt",
                                                             MIO_FMT(k->site), MIO_FMT(k->info)));
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
        if (colon < 0 || !plain_name(name) || !plain_name(module) || !plain_name(object))
            return broken(k, "an entry point that is no name", line);
        ptrdiff_t dot = mio_str_find(object, '.');
        struct mio_str top = mio_str_sub(object, 0, dot < 0 ? object.n : (size_t)dot);
        struct mio_str script = mio_arena_printf(
            k->a, "#!%.*s\nimport sys\nfrom %.*s import %.*s\n\nsys.exit(%.*s())\n",
            MIO_FMT(k->python), MIO_FMT(module), MIO_FMT(top), MIO_FMT(object));
        if (mio_env_tree_file(k->t, mio_arena_printf(k->a, "usr/local/bin/%.*s", MIO_FMT(name)),
                              0755, k->mtime, script, k->err))
            return k->err->code;
    }
    return MIO_OK;
}

static enum mio_code install(struct wheel *k)
{
    mio_env_tree_sort(k->t);
    if (mio_env_tree_check(k->t, k->err) || find_info(k) || verify_record(k))
        return k->err->code;
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
    struct mio_str at =
        mio_arena_printf(k->a, "%.*s/%.*s/INSTALLER", MIO_FMT(k->site), MIO_FMT(k->info));
    if (make_scripts(k) ||
        mio_env_tree_file(k->t, at, 0644, k->mtime, MIO_STR("mlops-iac\n"), k->err))
        return k->err->code;
    n = k->t->n;
    for (size_t i = 0; i < n; i++) {
        struct mio_str p = k->t->items[i].path;
        for (size_t c = strlen("usr/local/"); c < p.n; c++)
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
    const struct mio_value *python = mio_get_z(lock->config, "python");
    struct mio_str version = python ? mio_get_str(*python, "version") : MIO_STR("3");
    struct mio_str key =
        mio_env_sha256(a, mio_arena_printf(a, "wheel %d zstd %.*s %.*s", MIO_ENV_CELL_FORMAT,
                                           MIO_FMT(version), MIO_FMT(w->sha256)));
    bool found = false;
    if (mio_env_cell_load(a, s, key, &found, out, err))
        return err->code;
    if (!found) {
        struct mio_env_tree t;
        struct wheel k = {
            .a = a, .w = w, .t = &t, .err = err, .mtime = 315532800 /* 1980, as zip */};
        k.site = mio_arena_printf(a, "usr/local/lib/python%.*s/dist-packages", MIO_FMT(version));
        k.python = mio_arena_printf(a, "/usr/bin/python%.*s", MIO_FMT(version));
        mio_env_tree_init(&t, a, s);
        if (!mio_env_unpack_zip(mio_env_store_blob(a, s, w->sha256), &t, err) && !install(&k))
            mio_env_cell_put(a, s, key, &t, (struct mio_str){0}, (struct mio_str){0}, out, err);
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
