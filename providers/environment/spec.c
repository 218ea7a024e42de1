/* providers/environment/spec.c: the resource's body to struct mio_env_spec. */
#include "providers/environment/spec.h"
#include "providers/environment/users.h"
#include "providers/environment/pep.h"
#include "providers/environment/requirements.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"

struct reader {
    struct mio_arena *a;
    struct mio_err *err;
};

static enum mio_code bad(struct reader *r, const char *key, const char *what)
{
    return mio_fail(r->err, MIO_TEMPLATE, "environment: %s %s", key, what);
}

static enum mio_code read_strings(struct reader *r, const char *key, const struct mio_value *v,
                                  struct mio_str **out, size_t *n)
{
    if (!v || mio_is_null(*v))
        return MIO_OK;
    if (v->type != MIO_LIST)
        return bad(r, key, "must be a list of strings");
    struct mio_str *items = MIO_NEW_N(r->a, struct mio_str, v->n + 1);
    for (uint32_t i = 0; i < v->n; i++) {
        items[i] = mio_str_trim(mio_value_str(v->items[i]));
        if (!items[i].n)
            return bad(r, key, "holds something that is no string");
    }
    *out = items;
    *n = v->n;
    return MIO_OK;
}

static enum mio_code read_reasoned(struct reader *r, const char *key, const struct mio_value *v,
                                   struct mio_env_reasoned **out, size_t *n)
{
    if (!v || mio_is_null(*v))
        return MIO_OK;
    if (v->type != MIO_LIST)
        return bad(r, key, "must be a list of {name, reason}");
    struct mio_env_reasoned *items = MIO_NEW_N(r->a, struct mio_env_reasoned, v->n + 1);
    for (uint32_t i = 0; i < v->n; i++) {
        items[i] = (struct mio_env_reasoned){mio_get_str(v->items[i], "name"),
                                             mio_get_str(v->items[i], "reason")};
        if (!items[i].name.n || !items[i].reason.n)
            return bad(r, key, "needs a name and a reason for each item");
    }
    *out = items;
    *n = v->n;
    return MIO_OK;
}

static enum mio_code read_variables(struct reader *r, const struct mio_value *v,
                                    struct mio_env_spec *s)
{
    if (!v || mio_is_null(*v))
        return MIO_OK;
    if (v->type != MIO_MAP)
        return bad(r, "env", "must be a map of strings");
    s->variables = MIO_NEW_N(r->a, struct mio_env_pair, v->n + 1);
    for (uint32_t i = 0; i < v->n; i++)
        s->variables[s->n_variables++] =
            (struct mio_env_pair){v->pairs[i].key, mio_value_str(v->pairs[i].value)};
    return MIO_OK;
}

static enum mio_code read_files(struct reader *r, const struct mio_value *v, struct mio_env_spec *s)
{
    if (!v || mio_is_null(*v))
        return MIO_OK;
    if (v->type != MIO_LIST)
        return bad(r, "files", "must be a list of {source, target}");
    s->files = MIO_NEW_N(r->a, struct mio_env_pair, v->n + 1);
    for (uint32_t i = 0; i < v->n; i++) {
        struct mio_env_pair f = {mio_get_str(v->items[i], "source"),
                                 mio_get_str(v->items[i], "target")};
        if (!f.key.n || f.value.n < 2 || f.value.p[0] != '/')
            return bad(r, "files", "needs a source and an absolute target for each item");
        s->files[s->n_files++] = f;
    }
    return MIO_OK;
}

/* Keys that are read here or belong to the envelope of every asset; anything else is a misspelling.
 */
static const char *const known[] = {
    "base",     "debian",           "python",  "files",       "env",     "serve", "scripts",
    "layers",   "workdir",          "command", "name",        "version", "tags",  "image",
    "build",    "conda_file",       "os_type", "description", "gpu",     "users", "workspace",
    "registry", "inference_config", "user",    "bytecode",    "conda",
};

static enum mio_code check_keys(struct reader *r, struct mio_value body)
{
    struct mio_str names[sizeof known / sizeof *known];
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        names[i] = mio_str_z(known[i]);
    for (uint32_t i = 0; i < body.n; i++) {
        struct mio_str key = body.pairs[i].key;
        bool found = mio_is_null(body.pairs[i].value);
        for (size_t k = 0; k < sizeof known / sizeof *known && !found; k++)
            found = mio_str_eq(key, names[k]);
        if (found)
            continue;
        struct mio_str near = mio_str_nearest(key, names, sizeof known / sizeof *known);
        mio_fail(r->err, MIO_TEMPLATE, "environment: unknown key %.*s", MIO_FMT(key));
        return near.n ? mio_err_hint(r->err, "did you mean %.*s?", MIO_FMT(near)) : r->err->code;
    }
    return MIO_OK;
}

static enum mio_code refuse(struct reader *r, struct mio_value body)
{
    static const struct {
        const char *key, *hint;
    } rows[] = {
        {"conda_file", "it is read by the builder alone, beside the template"},
        {"gpu", "install the wheels that bring the CUDA libraries by python.packages"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct mio_value *v = mio_get_z(body, rows[i].key);
        if (!v || mio_is_null(*v) || mio_get_z(*v, "mapping")) /* a conda_file that was read */
            continue;
        mio_fail(r->err, MIO_TEMPLATE, "environment: %s cannot be built into a locked environment",
                 rows[i].key);
        return mio_err_hint(r->err, "%s", rows[i].hint);
    }
    return MIO_OK;
}

/* An image or a Dockerfile, as Azure ML writes them. */
static enum mio_code read_image(struct reader *r, struct mio_value base, struct mio_env_spec *s)
{
    static const char *const keys[] = {"path", "dockerfile_path", "network"};
    const struct mio_value *build = mio_get_z(s->body, "build");
    struct mio_str image = mio_get_str(s->body, "image");
    s->image = image.n ? image : mio_get_str(base, "image");
    if (mio_str_is(s->image, "host"))
        return bad(r, "image", "host is the software of this machine, which nothing locks");
    if (image.n && mio_get_str(base, "image").n)
        return bad(r, "base.image", "stands beside image: one of them must go");
    if (!build || mio_is_null(*build))
        return MIO_OK;
    if (s->image.n)
        return bad(r, "build", "cannot stand beside image: the Dockerfile names its own");
    for (uint32_t i = 0; build->type == MIO_MAP && i < build->n; i++) {
        size_t k = 0;
        while (k < 3 && !mio_str_is(build->pairs[i].key, keys[k]))
            k++;
        if (k == 3)
            return bad(r, mio_arena_printf(r->a, "build.%.*s", MIO_FMT(build->pairs[i].key)).p,
                       "is not known: path, dockerfile_path and network are");
    }
    s->context = mio_get_str(*build, "path");
    s->dockerfile = mio_get_str(*build, "dockerfile_path");
    s->network = mio_get_bool(*build, "network", false);
    if (!s->dockerfile.n)
        s->dockerfile = MIO_STR("Dockerfile");
    return s->context.n ? MIO_OK : bad(r, "build.path", "must name the folder of the Dockerfile");
}

/* What only a base of our own packages can have. */
static enum mio_code foreign_base(struct reader *r, struct mio_env_spec *s)
{
    static const char *const own[] = {"debian", "users", "scripts", "bytecode"}, *const inside[] = {
                                                                                     "python",
                                                                                     "conda",
                                                                                     "conda_file"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        const struct mio_value *v = mio_get_z(s->body, own[i]);
        if (v && !mio_is_null(*v))
            return bad(r, own[i],
                       "needs base: { debian: SUITE }: nothing runs in an image that "
                       "others made");
    }
    for (size_t i = 0; s->context.n && i < sizeof inside / sizeof *inside; i++) {
        const struct mio_value *v = mio_get_z(s->body, inside[i]);
        if (v && !mio_is_null(*v))
            return bad(r, inside[i], "cannot stand beside build: install it in the Dockerfile");
    }
    return MIO_OK;
}

static enum mio_code read_base(struct reader *r, struct mio_env_spec *s)
{
    const struct mio_value *base = mio_get_z(s->body, "base"), none = mio_map(NULL, 0);
    if (base && !mio_is_null(*base) && base->type != MIO_MAP)
        return bad(r, "base", "must be a map: base: { debian: bookworm }");
    if (!base || base->type != MIO_MAP)
        base = &none;
    if (read_image(r, *base, s))
        return r->err->code;
    s->suite = mio_get_str(*base, "debian");
    s->arch = mio_get_str(*base, "arch");
    s->mirror = mio_get_str(*base, "mirror");
    s->security_mirror = mio_get_str(*base, "security_mirror");
    s->keyring = mio_get_str(*base, "keyring");
    struct mio_str variant = mio_get_str(*base, "variant");
    s->bare = mio_str_is(variant, "none");
    s->essential = mio_str_is(variant, "essential");
    if (variant.n && !s->bare && !s->essential && !mio_str_is(variant, "slim"))
        return bad(r, "base.variant", "must be slim, essential or none");
    if (!s->arch.n)
        s->arch = MIO_STR("amd64");
    if (s->image.n || s->context.n)
        return s->suite.n ? bad(r, "base.debian", "cannot stand beside image or build")
                          : foreign_base(r, s);
    if (base == &none)
        return bad(r, "base", "is missing: write base: { debian: bookworm }, or image: REFERENCE");
    if (!s->suite.n)
        return bad(r, "base.debian", "must name a suite such as bookworm");
    for (size_t i = 0; i < s->suite.n; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-", s->suite.p[i]))
            return bad(r, "base.debian", "must be a suite's code name in small letters");
    return MIO_OK;
}

static enum mio_code read_debian(struct reader *r, struct mio_env_spec *s)
{
    const struct mio_value *d = mio_get_z(s->body, "debian");
    if (!d || mio_is_null(*d))
        return MIO_OK;
    if (d->type != MIO_MAP)
        return bad(r, "debian", "must be { packages: [...] }");
    if (read_strings(r, "debian.packages", mio_get_z(*d, "packages"), &s->packages,
                     &s->n_packages) ||
        read_reasoned(r, "debian.drop", mio_get_z(*d, "drop"), &s->drops, &s->n_drops) ||
        read_reasoned(r, "debian.setuid", mio_get_z(*d, "setuid"), &s->setuid, &s->n_setuid))
        return r->err->code;
    return read_reasoned(r, "debian.accept_scripts", mio_get_z(*d, "accept_scripts"), &s->accepted,
                         &s->n_accepted);
}

static bool file_name(struct mio_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+!-", s.p[i]))
            return false;
    return s.n && s.p[0] != '-' && s.p[0] != '.';
}

static enum mio_code read_builds(struct reader *r, const struct mio_value *v,
                                 struct mio_env_spec *s)
{
    if (!v || mio_is_null(*v))
        return MIO_OK;
    if (v->type != MIO_LIST)
        return bad(r, "python.build_wheel", "must be a list of {name, version}");
    s->builds = MIO_NEW_N(r->a, struct mio_env_built, v->n + 1);
    for (uint32_t i = 0; i < v->n; i++) {
        struct mio_env_built b = {mio_env_pep_name(r->a, mio_get_str(v->items[i], "name")),
                                  mio_get_str(v->items[i], "version"),
                                  mio_get_str(v->items[i], "source")};
        if (!file_name(b.name) || !file_name(b.version))
            return bad(r, "python.build_wheel",
                       "needs name and version for each item: { name: jsmin, version: \"3.0.1\" }");
        s->builds[s->n_builds++] = b;
    }
    return MIO_OK;
}

static bool python_number(struct mio_str s)
{
    ptrdiff_t dot = mio_str_find(s, '.');
    uint64_t x, y;
    return dot > 0 && mio_str_u64(mio_str_sub(s, 0, (size_t)dot), &x) &&
           mio_str_u64(mio_str_sub(s, (size_t)dot + 1, s.n), &y);
}

/* from: a pylock.toml is told by its name, as PEP 751 has it; everything else is requirements. */
static enum mio_code read_from(struct reader *r, struct mio_value p, struct mio_env_spec *s)
{
    struct mio_str from = mio_get_str(p, "from"), base = mio_path_base(from);
    s->pylock = mio_get_str(p, "pylock");
    if (mio_str_is(base, "uv.lock")) {
        mio_fail(r->err, MIO_TEMPLATE, "environment: %.*s is uv's own lock, which only uv reads",
                 MIO_FMT(from));
        return mio_err_hint(r->err,
                            "run 'uv export --format pylock.toml --no-emit-project -o pylock.toml' "
                            "beside it, and write from: pylock.toml");
    }
    if (mio_str_starts(base, "pylock.") && mio_str_ends(base, ".toml")) {
        if (s->pylock.n)
            return bad(r, "python", "names two locks: from and pylock");
        s->pylock = from;
    } else
        s->requirements = from;
    if (s->pylock.n && (s->requirements.n || s->n_requirement_lines))
        return bad(r, "python.pylock", "is a whole lock: from and packages must go");
    return MIO_OK;
}

static enum mio_code read_python(struct reader *r, struct mio_env_spec *s)
{
    const struct mio_value *p = mio_get_z(s->body, "python");
    if (!p || mio_is_null(*p))
        return MIO_OK;
    if (p->type != MIO_MAP)
        return bad(r, "python", "must be { version, from | packages | pylock }");
    s->python_version = mio_get_str(*p, "version");
    struct mio_str prefix = mio_get_str(*p, "prefix");
    if (!python_number(s->python_version) && !(s->image.n && !s->python_version.n))
        return bad(r, "python.version", "must be major and minor number: version: \"3.11\"");
    if (prefix.n && (prefix.p[0] != '/' || prefix.n < 2))
        return bad(r, "python.prefix", "must be an absolute path such as /usr/local");
    if (read_strings(r, "python.packages", mio_get_z(*p, "packages"), &s->requirement_lines,
                     &s->n_requirement_lines) ||
        read_builds(r, mio_get_z(*p, "build_wheel"), s) ||
        read_reasoned(r, "python.overlap", mio_get_z(*p, "overlap"), &s->overlap, &s->n_overlap))
        return r->err->code;
    for (size_t i = 0; i < s->n_overlap; i++)
        s->overlap[i].name = mio_env_pep_name(r->a, s->overlap[i].name);
    return read_from(r, *p, s);
}

static enum mio_code read_conda(struct reader *r, struct mio_env_spec *s)
{
    const struct mio_value *c = mio_get_z(s->body, "conda");
    if (!c || mio_is_null(*c))
        return MIO_OK;
    struct mio_str prefix = mio_get_str(*c, "prefix");
    s->conda = mio_get_str(*c, "from");
    if (!s->conda.n)
        return bad(r, "conda", "must be { from: conda-lock.yml }");
    if (prefix.n && (prefix.p[0] != '/' || prefix.n < 2 || prefix.p[prefix.n - 1] == '/'))
        return bad(r, "conda.prefix", "must be an absolute path such as /opt/conda");
    return MIO_OK;
}

enum mio_env_scripts mio_env_scripts_of(struct mio_value body)
{
    struct mio_str word = mio_get_str(body, "scripts");
    return mio_str_is(word, "none")      ? MIO_SCRIPTS_NONE
           : mio_str_is(word, "sandbox") ? MIO_SCRIPTS_SANDBOX
                                         : MIO_SCRIPTS_STATIC;
}

static enum mio_code read_rest(struct reader *r, struct mio_env_spec *s)
{
    struct mio_value b = s->body;
    struct mio_str scripts = mio_get_str(b, "scripts");
    s->scripts = mio_env_scripts_of(b);
    if (scripts.n && s->scripts == MIO_SCRIPTS_STATIC && !mio_str_is(scripts, "static"))
        return bad(r, "scripts", "must be static, sandbox or none");
    const struct mio_value *bytecode = mio_get_z(b, "bytecode");
    if (bytecode && !mio_is_null(*bytecode) && bytecode->type != MIO_BOOL)
        return bad(r, "bytecode", "must be true or false");
    s->bytecode =
        bytecode && bytecode->type == MIO_BOOL ? bytecode->b : mio_str_is(s->arch, "amd64");
    s->bytecode &= s->suite.n > 0;
    struct mio_env_user *users;
    size_t n_users;
    if (mio_env_users_read(r->a, b, &users, &n_users, r->err))
        return r->err->code;
    s->workdir = mio_get_str(b, "workdir");
    const struct mio_value *serve = mio_get_z(b, "serve"), *layers = mio_get_z(b, "layers");
    s->serve = serve ? *serve : mio_null();
    struct mio_value l = layers ? *layers : mio_null();
    int64_t budget = mio_get_i64(l, "budget", 10);
    if (budget < 1 || budget > 100)
        return bad(r, "layers.budget", "must lie between 1 and 100");
    s->budget = (unsigned)budget;
    struct mio_str codec = mio_get_str(l, "compression");
    s->gzip = mio_str_is(codec, "gzip");
    if (codec.n && !s->gzip && !mio_str_is(codec, "zstd"))
        return bad(r, "layers.compression", "must be zstd or gzip");
    return read_strings(r, "command", mio_get_z(b, "command"), &s->command, &s->n_command);
}

/* One spelling of what can be written in two: Azure ML's inference_config is serve, and a version
 * without quotes is a string. */
static struct mio_value one_spelling(struct mio_arena *a, struct mio_value body)
{
    static const char *const routes[][2] = {{"liveness_route", "liveness"},
                                            {"readiness_route", "readiness"},
                                            {"scoring_route", "scoring"}};
    const struct mio_value *config = mio_get_z(body, "inference_config"),
                           *python = mio_get_z(body, "python"), *route;
    struct mio_value serve = mio_map(NULL, 0);
    for (size_t i = 0; config && i < sizeof routes / sizeof *routes; i++)
        if ((route = mio_get_z(*config, routes[i][0])) && !mio_is_null(*route))
            serve = mio_map_with(a, serve, mio_str_z(routes[i][1]), *route);
    if (serve.n && !mio_get_z(body, "serve"))
        body = mio_map_with(a, body, MIO_STR("serve"), serve);
    if (python && python->type == MIO_MAP && mio_get_str(*python, "version").n)
        body = mio_map_with(a, body, MIO_STR("python"),
                            mio_map_with(a, *python, MIO_STR("version"),
                                         mio_string(mio_get_str(*python, "version"))));
    return body;
}

enum mio_code mio_env_spec_read(struct mio_arena *a, struct mio_str name, struct mio_value body,
                                struct mio_env_spec *out, struct mio_err *err)
{
    struct reader r = {a, err};
    struct mio_env_spec s = {.name = name, .body = body, .serve = mio_null()};
    if (body.type != MIO_MAP)
        return bad(&r, "the body", "must be a map");
    s.body = body = one_spelling(a, body);
    if (check_keys(&r, body) || refuse(&r, body) || read_base(&r, &s) || read_debian(&r, &s) ||
        read_python(&r, &s) || read_conda(&r, &s) ||
        read_variables(&r, mio_get_z(body, "env"), &s) ||
        read_files(&r, mio_get_z(body, "files"), &s) || read_rest(&r, &s))
        return err->code;
    *out = s;
    return MIO_OK;
}

/* Labels, versions and descriptions change nothing that is locked. */
static const char *const locked_keys[] = {"base",  "debian",  "python",   "files",      "env",
                                          "serve", "scripts", "layers",   "workdir",    "command",
                                          "users", "user",    "bytecode", "conda_file", "conda",
                                          "image", "build"};

struct digests {
    struct mio_arena *a;
    const char *dir;
    struct mio_buf *to;
    struct mio_pair *items;
    size_t n, cap;
};

static enum mio_code add_digest(struct digests *d, struct mio_str path, struct mio_str *digest,
                                struct mio_err *err)
{
    if (mio_digest_path(d->a, mio_path_join(d->a, mio_str_z(d->dir), path).p, digest, err))
        return err->code;
    mio_buf_printf(d->to, "%.*s %.*s\n", MIO_FMT(path), MIO_FMT(*digest));
    return MIO_OK;
}

static enum mio_code add_source(struct digests *d, struct mio_str path, struct mio_err *err)
{
    struct mio_str digest;
    if (!add_digest(d, path, &digest, err))
        MIO_PUSH(d->a, d->items, d->n, d->cap) = (struct mio_pair){path, mio_string(digest)};
    return err->code;
}

static enum mio_code add_files(struct digests *d, const struct mio_env_spec *s,
                               struct mio_value *out, struct mio_err *err)
{
    struct mio_value *items = MIO_NEW_N(d->a, struct mio_value, s->n_files + 1);
    for (size_t i = 0; i < s->n_files; i++) {
        struct mio_str digest;
        if (add_digest(d, s->files[i].key, &digest, err))
            return err->code;
        struct mio_pair *p = MIO_NEW_N(d->a, struct mio_pair, 3);
        p[0] = (struct mio_pair){MIO_STR("source"), mio_string(s->files[i].key)};
        p[1] = (struct mio_pair){MIO_STR("target"), mio_string(s->files[i].value)};
        p[2] = (struct mio_pair){MIO_STR("digest"), mio_string(digest)};
        items[i] = mio_map(p, 3);
    }
    *out = mio_list(items, s->n_files);
    return MIO_OK;
}

static enum mio_code add_sources(struct digests *d, const struct mio_env_spec *s,
                                 struct mio_err *err)
{
    struct mio_env_requirements r = {0};
    if (s->requirements.n && mio_env_requirements(d->a, d->dir, s->requirements, &r, err))
        return err->code;
    for (size_t i = 0; i < r.n_files; i++)
        if (add_source(d, r.files[i], err))
            return err->code;
    for (size_t i = 0; i < s->n_builds; i++)
        if (s->builds[i].source.n && add_source(d, s->builds[i].source, err))
            return err->code;
    if (s->conda.n && add_source(d, s->conda, err))
        return err->code;
    if (s->context.n && add_source(d, s->context, err))
        return err->code;
    return s->pylock.n ? add_source(d, s->pylock, err) : MIO_OK;
}

enum mio_code mio_env_spec_inputs(struct mio_arena *a, const struct mio_env_spec *s,
                                  const char *dir, struct mio_env_inputs *out, struct mio_err *err)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    for (size_t i = 0; i < sizeof locked_keys / sizeof *locked_keys; i++) {
        const struct mio_value *v = mio_get_z(s->body, locked_keys[i]);
        if (!v || mio_is_null(*v))
            continue; /* a key that a later version learns to read changes no digest */
        mio_buf_printf(&b, "%s=", locked_keys[i]);
        mio_json_write(&b, *v, MIO_JSON_OPEN);
        mio_buf_char(&b, '\n');
    }
    struct digests d = {.a = a, .dir = dir, .to = &b};
    if (add_files(&d, s, &out->files, err) || add_sources(&d, s, err))
        return mio_err_wrap(err, "environment %.*s", MIO_FMT(s->name));
    uint8_t sum[MIO_SHA256_LEN];
    char *hex = mio_arena_alloc(a, MIO_SHA256_HEX + 1);
    mio_sha256_of(b.p, b.n, sum);
    mio_hex(sum, sizeof sum, hex);
    out->digest = mio_str_z(hex);
    out->sources = mio_map(d.items, d.n);
    return MIO_OK;
}
