/* providers/environment/base_facts.c: what lies in an image that others made: distribution,
 * packages, Python. */
#include "providers/environment/base_image.h"
#include "providers/environment/sources.h"
#include "providers/sdk/fs.h"

enum { MAX_TEXT = 64 << 20, MAX_PYTHONS = 16 };

struct facts {
    struct mio_arena *a;
    struct mio_env_content all;
    const struct mio_env_layer *layers;
    size_t n;
    struct mio_value *packages;
    size_t n_packages, cap;
    struct mio_err *err;
};

/* The layer's cell that an entry belongs to. */
static const struct mio_env_cell *cell_of(const struct facts *f, const struct mio_env_entry *e)
{
    for (size_t i = 0; i < f->n; i++) {
        const struct mio_env_cell *c = f->layers[i].cells[0];
        if (e >= c->items && e < c->items + c->n)
            return c;
    }
    return NULL;
}

/* Text of a file, links followed; empty when there is none. */
static struct mio_str text_of(struct facts *f, struct mio_str path)
{
    struct mio_str text = {0};
    const struct mio_env_entry *e = mio_env_content_follow(&f->all, path);
    if (e && e->type == MIO_ENTRY_FILE && e->size && e->size < MAX_TEXT)
        mio_env_cell_read(f->a, cell_of(f, e), e, &text, f->err);
    return text;
}

/* ---- packages ---- */

static void take_stanza(struct facts *f, struct mio_str stanza, bool status)
{
    struct mio_str name = mio_env_field(stanza, "Package"),
                   version = mio_env_field(stanza, "Version"),
                   arch = mio_env_field(stanza, "Architecture");
    if (!name.n || !version.n ||
        (status && !mio_str_ends(mio_env_field(stanza, "Status"), " installed")))
        return;
    struct mio_pair *p = MIO_NEW_N(f->a, struct mio_pair, 3);
    p[0] = (struct mio_pair){MIO_STR("name"), mio_string(name)};
    p[1] = (struct mio_pair){MIO_STR("version"), mio_string(version)};
    p[2] = (struct mio_pair){MIO_STR("arch"), mio_string(arch)};
    MIO_PUSH(f->a, f->packages, f->n_packages, f->cap) = mio_map(p, 3);
}

static void take_database(struct facts *f, struct mio_str text, bool status)
{
    while (text.n) {
        const char *end = memmem(text.p, text.n, "\n\n", 2);
        size_t n = end ? (size_t)(end - text.p) + 1 : text.n;
        take_stanza(f, mio_str_sub(text, 0, n), status);
        text = mio_str_sub(text, n, text.n);
    }
}

static int by_name(const void *x, const void *y)
{
    const struct mio_value *a = x, *b = y;
    int c = mio_str_cmp(mio_get_str(*a, "name"), mio_get_str(*b, "name"));
    return c ? c : mio_str_cmp(mio_get_str(*a, "arch"), mio_get_str(*b, "arch"));
}

/* dpkg's database, or the one file a package that images without dpkg have. */
static void find_packages(struct facts *f)
{
    static const char folder[] = "var/lib/dpkg/status.d/";
    take_database(f, text_of(f, MIO_STR("var/lib/dpkg/status")), true);
    for (size_t i = 0; i < f->all.n && !f->err->code; i++)
        if (mio_str_starts(f->all.items[i]->path, folder) &&
            !mio_str_ends(f->all.items[i]->path, ".md5sums"))
            take_database(f, text_of(f, f->all.items[i]->path), false);
    if (f->n_packages)
        qsort(f->packages, f->n_packages, sizeof *f->packages, by_name);
}

/* "debian-12" of ID=debian and VERSION_ID="12". */
static struct mio_str distribution(struct facts *f)
{
    struct mio_str text = text_of(f, MIO_STR("etc/os-release")), line, part[2] = {{0}};
    static const char *const keys[] = {"ID=", "VERSION_ID="};
    while (mio_env_line(&text, &line))
        for (size_t i = 0; i < 2; i++)
            if (mio_str_starts(line, keys[i])) {
                part[i] = mio_str_sub(line, strlen(keys[i]), line.n);
                if (part[i].n > 1 && part[i].p[0] == '"')
                    part[i] = mio_str_sub(part[i], 1, part[i].n - 2);
            }
    return part[0].n && part[1].n
               ? mio_arena_printf(f->a, "%.*s-%.*s", MIO_FMT(part[0]), MIO_FMT(part[1]))
               : part[0];
}

/* ---- Python ---- */

/* The C library: 36 for glibc 2.36, 0 for one that is not glibc or not known. */
static int64_t glibc(struct facts *f)
{
    for (size_t i = 0; i < f->n_packages; i++) {
        struct mio_str v = mio_get_str(f->packages[i], "version");
        uint64_t minor;
        size_t n = 2;
        if (!mio_str_is(mio_get_str(f->packages[i], "name"), "libc6") || !mio_str_starts(v, "2."))
            continue;
        while (n < v.n && v.p[n] >= '0' && v.p[n] <= '9')
            n++;
        if (mio_str_u64(mio_str_sub(v, 2, n - 2), &minor))
            return (int64_t)minor;
    }
    for (size_t i = 0; i < f->all.n; i++)
        if (mio_str_starts(mio_path_base(f->all.items[i]->path), "ld-linux"))
            return 28; /* what most have at least */
    return 0;
}

static struct mio_value interpreter(struct facts *f, struct mio_str path, struct mio_str real,
                                    bool debian)
{
    struct mio_str bin = mio_path_dir(real), prefix = mio_path_dir(bin);
    bool own = mio_str_is(prefix, "usr") && debian; /* Debian's own place for wheels */
    struct mio_pair *p = MIO_NEW_N(f->a, struct mio_pair, 4);
    size_t n = 0;
    struct mio_str name = mio_path_base(real);
    p[n++] = (struct mio_pair){MIO_STR("glibc"), mio_number_i64(f->a, glibc(f))};
    p[n++] = (struct mio_pair){MIO_STR("interpreter"),
                               mio_string(mio_arena_printf(f->a, "/%.*s", MIO_FMT(path)))};
    if (!own)
        p[n++] = (struct mio_pair){MIO_STR("prefix"),
                                   mio_string(mio_arena_printf(f->a, "/%.*s", MIO_FMT(prefix)))};
    p[n++] = (struct mio_pair){MIO_STR("version"),
                               mio_string(mio_str_sub(name, strlen("python"), name.n))};
    return mio_map(p, n);
}

/* python3.11 is version 3.11 by its own name. */
static bool versioned(struct mio_str name, struct mio_str wanted)
{
    struct mio_str v = mio_str_sub(name, strlen("python"), name.n);
    if (!mio_str_starts(name, "python3.") || mio_str_find(v, '-') >= 0)
        return false;
    return !wanted.n || mio_str_eq(v, wanted);
}

/* The Python of that version (or any) that is found first: on PATH, then where conda lies. */
static struct mio_value find_python(struct facts *f, struct mio_str path, struct mio_str wanted)
{
    const char *const names[] = {"python3", "python",
                                 wanted.n ? mio_arena_printf(f->a, "python%.*s", MIO_FMT(wanted)).p
                                          : ""};
    struct mio_str all = mio_arena_printf(
        f->a, "%.*s:/usr/local/bin:/usr/bin:/opt/miniconda/bin:/opt/conda/bin", MIO_FMT(path));
    while (all.n) {
        ptrdiff_t colon = mio_str_find(all, ':');
        struct mio_str dir = mio_str_sub(all, 0, colon < 0 ? all.n : (size_t)colon);
        all = colon < 0 ? (struct mio_str){0} : mio_str_sub(all, (size_t)colon + 1, all.n);
        while (dir.n && dir.p[0] == '/')
            dir = mio_str_sub(dir, 1, dir.n);
        for (size_t i = 0; i < 3 && dir.n; i++) {
            struct mio_str at = mio_arena_printf(f->a, "%.*s/%s", MIO_FMT(dir), names[i]);
            const struct mio_env_entry *e = *names[i] ? mio_env_content_follow(&f->all, at) : NULL;
            if (e && e->type == MIO_ENTRY_FILE && versioned(mio_path_base(e->path), wanted))
                return interpreter(f, at, e->path, f->n_packages > 0);
        }
    }
    return mio_null();
}

/* PATH of the configuration's Env. */
static struct mio_str path_of(struct mio_value config)
{
    const struct mio_value *run = mio_get_z(config, "config"),
                           *env = run ? mio_get_z(*run, "Env") : NULL;
    for (uint32_t i = 0; env && env->type == MIO_LIST && i < env->n; i++) {
        struct mio_str s = mio_value_str(env->items[i]);
        if (mio_str_starts(s, "PATH="))
            return mio_str_sub(s, 5, s.n);
    }
    return MIO_STR("/usr/local/bin:/usr/bin:/bin");
}

struct mio_value mio_env_base_run(struct mio_arena *a, struct mio_value config)
{
    static const char *const keys[] = {"Cmd", "Entrypoint", "Env", "User", "WorkingDir"};
    const struct mio_value *run = mio_get_z(config, "config");
    struct mio_value out = mio_map(NULL, 0);
    for (size_t i = 0; run && i < sizeof keys / sizeof *keys; i++) {
        const struct mio_value *v = mio_get_z(*run, keys[i]);
        if (v && !mio_is_null(*v))
            out = mio_map_with(a, out, mio_str_z(keys[i]), *v);
    }
    return out;
}

enum mio_code mio_env_base_facts(struct mio_arena *a, const struct mio_env_layer *layers, size_t n,
                                 struct mio_value config, struct mio_str python_version,
                                 struct mio_value *image, struct mio_err *err)
{
    struct facts f = {.a = a, .layers = layers, .n = n, .err = err};
    mio_env_content_init(&f.all, a);
    for (size_t i = 0; i < n; i++)
        mio_env_content_lay(&f.all, layers[i].cells[0]->items, layers[i].cells[0]->n);
    struct mio_str name = distribution(&f);
    find_packages(&f);
    struct mio_value python = find_python(&f, path_of(config), python_version);
    if (err->code)
        return err->code;
    *image = mio_map_with(a, *image, MIO_STR("run"), mio_env_base_run(a, config));
    if (name.n)
        *image = mio_map_with(a, *image, MIO_STR("distribution"), mio_string(name));
    *image = mio_map_with(a, *image, MIO_STR("packages"), mio_list(f.packages, f.n_packages));
    if (!mio_is_null(python))
        *image = mio_map_with(a, *image, MIO_STR("python"), python);
    return MIO_OK;
}

enum mio_code mio_env_base_python(struct mio_arena *a, struct mio_value image,
                                  struct mio_value *python, struct mio_err *err)
{
    static const char *const keys[] = {"glibc", "prefix", "version"};
    const struct mio_value *found = mio_get_z(image, "python");
    struct mio_str wanted = mio_get_str(*python, "version");
    if (!found && mio_get_str(*python, "prefix").n && wanted.n)
        return MIO_OK; /* one that is found where they say */
    if (!found) {
        mio_fail(err, MIO_TEMPLATE, "the image has no Python%s%.*s that wheels could be for",
                 wanted.n ? " " : "", MIO_FMT(wanted));
        return mio_err_hint(err,
                            "name the version that it has by python.version, and where it lies "
                            "by python.prefix: /opt/conda");
    }
    if (!mio_get_i64(*found, "glibc", 0))
        return mio_fail(err, MIO_TEMPLATE, "the image has no glibc: there are no wheels for it");
    for (size_t i = 0; i < 3; i++) {
        const struct mio_value *v = mio_get_z(*found, keys[i]);
        if (v && !mio_get_z(*python, keys[i]))
            *python = mio_map_with(a, *python, mio_str_z(keys[i]), *v);
    }
    return MIO_OK;
}
