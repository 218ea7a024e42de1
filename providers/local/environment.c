/* providers/local/environment.c: kind environment: a root file system that is built from a lock
 * (built.c), or a Python that is installed on this machine.
 *
 * What the latter holds is this machine's business, so it is declared as not reproducible: the
 * interpreter's version and a digest of its packages are recorded, and a change of them shows as
 * drift. See environment.h. */
#include "providers/local/environment.h"

#include <errno.h>
#include <unistd.h>

#include "providers/local/asset.h"
#include "providers/local/built.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/proc.h"

#define HOST_PYTHON "/usr/bin/python3"
enum { PROBE_MS = 60000, PROBE_MAX = 8 << 20, BINDS_MAX = 16 };

/* Asks an interpreter what it is. One JSON object on standard output. */
static const char probe_script[] =
    "import importlib.metadata as m, json, os, platform, sys\n"
    "p = {(str(d.metadata['Name']), str(d.version)) for d in m.distributions()}\n"
    "print(json.dumps({'version': platform.python_version(), 'packages': sorted(map(list, p)),\n"
    "  'paths': [x for x in sys.path if os.path.isdir(x)],\n"
    "  'prefixes': sorted({sys.prefix, sys.base_prefix})}))\n";

static struct mio_str interpreter_of(struct mio_value inputs)
{
    struct mio_str given = mio_get_str(local_get(inputs, "python"), "interpreter");
    return given.n ? given : MIO_STR(HOST_PYTHON);
}

static bool is_given(struct mio_value v)
{
    return v.type != MIO_NULL && v.type != MIO_UNKNOWN;
}

/* What this provider cannot run, said where it stands; the builder says what it cannot build. */
static void check_body(struct mio_value in, struct local_findings *f)
{
    static const char *const built_only[] = {"conda_file", "build", "debian", "files"};
    static const char hint[] = "Write `base: {debian: bookworm}` and lock it with `mlops-iac env "
                               "lock`, or `image: host` for what is installed here.";
    const struct mio_value *image = mio_get_z(in, "image");
    bool has_image = image && !mio_is_null(*image), has_python = mio_get_z(in, "python") != NULL;
    if (mio_str_ieq(mio_get_str(in, "os_type"), MIO_STR("windows")))
        local_find_error(f, "os_type", NULL, "this machine runs Linux");
    if (built_wanted(in)) {
        if (is_given(local_get(in, "build")))
            local_find_warning(f, "build", "`mlops-iac env verify` builds twice and compares.",
                               "what a Dockerfile builds is not proven to be the same everywhere");
        return;
    }
    for (size_t i = 0; i < sizeof built_only / sizeof *built_only; i++)
        if (is_given(local_get(in, built_only[i])))
            local_find_error(f, built_only[i], hint, "%s needs an environment that is built",
                             built_only[i]);
    if (!has_image && !has_python)
        local_find_error(f, "", hint, "the environment says neither `base`, `image` nor `python`");
}

static void environment_validate(struct local *l, const struct local_change *ch,
                                 struct local_findings *f)
{
    (void)l;
    check_body(ch->inputs, f);
    if (built_wanted(ch->inputs) || mio_has_unknown(local_get(ch->inputs, "python")))
        return;
    struct mio_str path = interpreter_of(ch->inputs);
    if (access(mio_arena_z(f->arena, path), X_OK) != 0)
        local_find_error(f, "python.interpreter",
                         "apt-get install python3, or give another interpreter.",
                         "%.*s cannot be run: %s", MIO_FMT(path), strerror(errno));
}

/* ---- facts ---- */

static enum mio_code run_probe(struct local *l, const char *interpreter, struct mio_value *out,
                               struct mio_err *err)
{
    MIO_AUTO_BUF text;
    int status = 0;
    const char *argv[] = {interpreter, "-I", "-c", probe_script, NULL};
    const char *env[] = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", NULL};
    struct mio_proc_opts o = {.argv = argv, .env = env, .cwd = "/", .in = -1, .out = -1, .err = -1};
    mio_buf_init(&text, PROBE_MAX);
    if (mio_proc_run(&o, mio_now_ms() + PROBE_MS, &text, &status, err))
        return err->code;
    struct mio_err bad = {0};
    struct mio_str json = mio_arena_str(l->a, mio_buf_view(&text));
    if (status == 0 && !mio_json_read(l->a, json, NULL, out, &bad))
        return MIO_OK;
    mio_fail(err, MIO_REALITY, "%s is no working Python interpreter", interpreter);
    return mio_err_cause(err, "%.*s", (int)(json.n < 200 ? json.n : 200), json.p);
}

/* {interpreter, interpreter_version, packages_digest, package_count, paths, prefixes} */
static enum mio_code find_facts(struct local *l, struct mio_str interpreter,
                                struct mio_value *facts, struct mio_err *err)
{
    struct mio_value probe;
    if (run_probe(l, mio_arena_z(l->a, interpreter), &probe, err))
        return err->code;
    struct mio_value packages = local_get(probe, "packages");
    MIO_AUTO_BUF text;
    uint8_t sum[MIO_SHA256_LEN];
    char hex[MIO_SHA256_HEX + 1];
    mio_buf_init(&text, 0);
    mio_json_write(&text, packages, MIO_JSON_PLAIN);
    mio_sha256_of(text.p ? text.p : "", text.n, sum);
    mio_hex(sum, sizeof sum, hex);
    *facts = local_map(l->a, "interpreter", mio_string(interpreter), "interpreter_version",
                       local_get(probe, "version"), "packages_digest",
                       mio_string(mio_arena_printf(l->a, "sha256:%s", hex)), "package_count",
                       mio_number_i64(l->a, packages.n), "paths", local_get(probe, "paths"),
                       "prefixes", local_get(probe, "prefixes"), NULL);
    return MIO_OK;
}

/* What tells one software from another: the image's digest, or which Python of this machine. */
static struct mio_str identity(struct mio_value facts)
{
    struct mio_str digest = mio_get_str(facts, "config_digest");
    return digest.n ? digest : mio_get_str(facts, "interpreter");
}

/* Without making anything; of a Python of this machine which one it is. */
static enum mio_code plan_facts(struct local *l, const struct local_change *ch,
                                struct mio_value *facts, struct mio_err *err)
{
    if (built_wanted(ch->inputs))
        return built_facts(l, ch, facts, err);
    *facts = local_map(l->a, "interpreter", mio_string(interpreter_of(ch->inputs)), NULL);
    return MIO_OK;
}

/* *lock holds the roots until the record is written; it stays -1 when there is none to make. */
static enum mio_code make_facts(struct local *l, const struct local_change *ch, int *lock,
                                struct mio_value *facts, struct mio_err *err)
{
    if (!built_wanted(ch->inputs))
        return find_facts(l, interpreter_of(ch->inputs), facts, err);
    return built_lock(l, lock, err) ? err->code : built_make(l, ch, facts, err);
}

static struct mio_value shown(struct local *l, struct mio_value facts)
{
    static const char *const names[] = {"interpreter", "interpreter_version", "packages_digest",
                                        "package_count", "config_digest"};
    bool built = mio_get_str(facts, "config_digest").n;
    struct mio_str root = mio_get_str(facts, "root");
    struct mio_value out = local_map(l->a, "reproducible",
                                     mio_bool(built && mio_get_bool(facts, "proven", true)), NULL);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_given(local_get(facts, names[i])))
            out = mio_map_with(l->a, out, mio_str_z(names[i]), local_get(facts, names[i]));
    if (built)
        out =
            mio_map_with(l->a, out, MIO_STR("root"), mio_string(root.n ? root : MIO_STR("intact")));
    return out;
}

static struct mio_str hashed(struct local *l, const struct mio_buf *text)
{
    uint8_t sum[MIO_SHA256_LEN];
    char hex[MIO_SHA256_HEX + 1];
    mio_sha256_of(text->p ? text->p : "", text->n, sum);
    mio_hex(sum, sizeof sum, hex);
    return mio_arena_str(l->a, mio_str_z(hex));
}

/* Interpreter and package folders as they lie there: equal stamps need no probe. */
static struct mio_str host_stamp(struct local *l, const struct local_version *v,
                                 struct mio_value facts)
{
    MIO_AUTO_BUF text;
    mio_buf_init(&text, 0);
    struct mio_value paths = local_get(facts, "paths");
    char *real = realpath(mio_arena_z(l->a, mio_get_str(facts, "interpreter")), NULL);
    mio_buf_str(&text, local_stamp(l, local_version_record(l, v)));
    mio_buf_str(&text, local_stamp(l, real ? real : ""));
    free(real);
    for (uint32_t i = 0; paths.type == MIO_LIST && i < paths.n; i++) {
        mio_buf_char(&text, ' ');
        mio_buf_str(&text, local_stamp(l, mio_arena_z(l->a, mio_value_str(paths.items[i]))));
    }
    return hashed(l, &text);
}

/* The record and the root (or the Python) as they lie there; *root is the root's part. */
static enum mio_code facts_stamp(struct local *l, const struct local_version *v,
                                 struct mio_value facts, struct mio_str *root, struct mio_str *all,
                                 struct mio_err *err)
{
    *root = (struct mio_str){0};
    if (!mio_get_str(facts, "config_digest").n) {
        *all = host_stamp(l, v, facts);
        return MIO_OK;
    }
    if (built_stamp(l, facts, root, err))
        return err->code;
    *all = mio_arena_printf(l->a, "%.*s %.*s", MIO_FMT(local_stamp(l, local_version_record(l, v))),
                            MIO_FMT(*root));
    return MIO_OK;
}

/* ---- verbs ---- */

static void describe(struct local *l, const struct local_version *v, struct mio_value record,
                     struct mio_value facts, struct local_object *out)
{
    struct mio_value attributes = mio_map_merge(l->a, local_get(record, "inputs"), shown(l, facts));
    struct mio_value names = local_map(l->a, "id", mio_string(local_version_id(l, v)), "version",
                                       mio_string(v->version), NULL);
    out->status = MLOPS_OK;
    out->id = local_version_id(l, v);
    out->attributes = mio_map_merge(l->a, attributes, names);
}

static enum mio_code write_record(struct local *l, const struct local_version *v,
                                  struct mio_str key, struct mio_str supersedes,
                                  struct mio_value inputs, struct mio_value facts,
                                  struct local_object *out, struct mio_err *err)
{
    struct mio_str root;
    struct mio_value record =
        local_map(l->a, "kind", mio_string_z("environment"), "name", mio_string(v->name), "version",
                  mio_string(v->version), "key", mio_string(key), "supersedes",
                  mio_string(supersedes), "inputs", inputs, "facts", facts, NULL);
    if (local_record_write(l, local_version_record(l, v), record, err))
        return err->code;
    describe(l, v, record, facts, out);
    return facts_stamp(l, v, facts, &root, &out->fingerprint, err);
}

/* The first thing wrong with a body, as an error. */
static enum mio_code refuse(struct local *l, struct mio_value inputs, struct mio_err *err)
{
    struct local_findings f = {.arena = l->a};
    check_body(inputs, &f);
    for (size_t i = 0; i < f.n; i++) {
        if (!mio_str_is(mio_get_str(f.items[i], "severity"), "error"))
            continue;
        mio_fail(err, MIO_TEMPLATE, "%.*s", MIO_FMT(mio_get_str(f.items[i], "message")));
        mio_err_hint(err, "%.*s", MIO_FMT(mio_get_str(f.items[i], "hint")));
    }
    return err->code;
}

static enum mio_code parse_wish(struct local *l, const struct local_change *ch,
                                struct local_version *v, struct mio_err *err)
{
    *v =
        (struct local_version){ch->workspace, MIO_STR("environment"),
                               mio_get_str(ch->inputs, "name"), mio_get_str(ch->inputs, "version")};
    if (local_name_check(v->name, "an environment", err) ||
        (v->version.n && local_name_check(v->version, "a version", err)))
        return err->code;
    return refuse(l, ch->inputs, err);
}

static enum mio_code read_record(struct local *l, struct mio_str id, struct local_version *v,
                                 struct mio_value *record, bool *found, struct mio_err *err)
{
    *record = mio_null();
    if (local_version_parse(l, "environment", id, v, err))
        return err->code;
    return local_record_read(l, local_version_record(l, v), record, found, err);
}

/* The same definition keeps its version; another one gets the version given, or the next free one.
 */
static enum mio_code decide(struct local *l, struct mio_value facts, struct mio_value record,
                            const struct local_version *cur, struct local_version *v,
                            struct mio_err *err)
{
    struct mio_str was = identity(local_get(record, "facts"));
    bool same = cur->version.n && mio_str_eq(was, identity(facts));
    if (same && (!v->version.n || mio_str_eq(v->version, cur->version))) {
        v->version = cur->version;
        return MIO_OK;
    }
    if (!v->version.n)
        return local_version_next(l, v, &v->version, err);
    if (!mio_fs_exists(local_version_record(l, v)))
        return MIO_OK;
    struct mio_str next;
    if (local_version_next(l, v, &next, err))
        return err->code;
    mio_fail(err, MIO_TEMPLATE, "environment \"%.*s\" version %.*s exists already",
             MIO_FMT(v->name), MIO_FMT(v->version));
    return mio_err_hint(err, "Write `version: \"%.*s\"`, or leave `version` out.", MIO_FMT(next));
}

static enum mio_code environment_plan(struct local *l, const struct local_change *ch,
                                      struct mio_value *answer, struct mio_err *err)
{
    struct local_version v, cur = {0};
    struct mio_value record = mio_null(), facts = mio_null();
    bool found = false;
    if (!ch->workspace.n || mio_has_unknown(ch->inputs))
        return MIO_OK;
    if (parse_wish(l, ch, &v, err) ||
        (ch->id.n && read_record(l, ch->id, &cur, &record, &found, err)) ||
        plan_facts(l, ch, &facts, err) || decide(l, facts, record, &cur, &v, err))
        return err->code;
    struct mio_value computed =
        mio_map_merge(l->a, shown(l, facts),
                      local_map(l->a, "id", mio_string(local_version_id(l, &v)), "version",
                                mio_string(v.version), NULL));
    static const char *const kept[] = {"interpreter_version", "packages_digest", "package_count"};
    bool keeps = mio_str_eq(v.version, cur.version) && !built_wanted(ch->inputs);
    for (size_t i = 0; keeps && i < sizeof kept / sizeof *kept; i++)
        computed = mio_map_with(l->a, computed, mio_str_z(kept[i]), local_get(ch->prior, kept[i]));
    *answer = local_map(l->a, "computed", computed, NULL);
    return MIO_OK;
}

static enum mio_code environment_create(struct local *l, const struct local_change *ch,
                                        struct local_object *out, struct mio_err *err)
{
    MIO_AUTO_CLOSE int roots = -1;
    MIO_AUTO_CLOSE int lock = -1;
    struct local_version v, none = {0};
    struct mio_str key = mio_str_z(l->c->idempotency_key);
    struct mio_value facts;
    bool made;
    if (local_ws_check(l, ch->workspace, err) || parse_wish(l, ch, &v, err) ||
        make_facts(l, ch, &roots, &facts, err) || local_version_lock(l, v.ws, &lock, err) ||
        local_version_by_key(l, &v, &made, err))
        return err->code;
    if (!made && decide(l, facts, mio_null(), &none, &v, err))
        return err->code;
    return write_record(l, &v, key, none.version, ch->inputs, facts, out, err);
}

static enum mio_code environment_update(struct local *l, const struct local_change *ch,
                                        struct local_object *out, struct mio_err *err)
{
    MIO_AUTO_CLOSE int roots = -1;
    MIO_AUTO_CLOSE int lock = -1;
    struct local_version v, cur;
    struct mio_value record, facts;
    bool found, made;
    if (read_record(l, ch->id, &cur, &record, &found, err) || parse_wish(l, ch, &v, err) ||
        make_facts(l, ch, &roots, &facts, err) || local_version_lock(l, cur.ws, &lock, err))
        return err->code;
    v.ws = cur.ws;
    struct local_version again = cur;
    if (local_version_by_key(l, &again, &made, err) || decide(l, facts, record, &cur, &v, err))
        return err->code;
    if (made && !mio_str_eq(again.version, cur.version)) {
        struct local_read r = {.id = local_version_id(l, &again), .full = true};
        return local_environment.read(l, &r, out, err);
    }
    if (mio_str_eq(v.version, cur.version))
        return write_record(l, &v, mio_get_str(record, "key"), mio_get_str(record, "supersedes"),
                            ch->inputs, facts, out, err);
    return write_record(l, &v, mio_str_z(l->c->idempotency_key), cur.version, ch->inputs, facts,
                        out, err);
}

static enum mio_code environment_read(struct local *l, const struct local_read *r,
                                      struct local_object *out, struct mio_err *err)
{
    struct local_version v;
    struct mio_value record, facts;
    bool found;
    if (read_record(l, r->id, &v, &record, &found, err))
        return err->code;
    if (!found) {
        out->status = MLOPS_NOT_FOUND;
        return MIO_OK;
    }
    facts = local_get(record, "facts");
    struct mio_str root, stamp, state = {0};
    if (facts_stamp(l, &v, facts, &root, &stamp, err))
        return err->code;
    if (!r->full && mio_str_eq(stamp, r->fingerprint)) {
        out->status = MLOPS_UNCHANGED;
        return MIO_OK;
    }
    struct mio_str interpreter = interpreter_of(local_get(record, "inputs"));
    if (root.n) {
        if (built_look(l, facts, root, &state, err))
            return err->code;
        facts = mio_map_with(l->a, facts, MIO_STR("root"), mio_string(state));
    } else if (access(mio_arena_z(l->a, interpreter), X_OK) != 0) {
        facts = mio_map_with(l->a, facts, MIO_STR("interpreter_version"), mio_string_z("missing"));
    } else if (find_facts(l, interpreter, &facts, err)) {
        return err->code;
    }
    describe(l, &v, record, facts, out);
    out->fingerprint = stamp;
    return MIO_OK;
}

static enum mio_code environment_remove(struct local *l, const struct local_change *ch,
                                        struct mio_err *err)
{
    return local_asset_remove(l, "environment", ch, err) ? err->code : built_release(l, err);
}

static enum mio_code environment_list(struct local *l, struct mio_str ws,
                                      struct local_findings *rows, struct mio_err *err)
{
    return local_asset_list(l, "environment", ws, rows, err);
}

/* ---- for jobs and replicas ---- */

static void bind_prefixes(struct local *l, struct mio_value facts, struct local_environment *out)
{
    static const char *const lists[] = {"prefixes", "paths"};
    struct local_bind *binds = MIO_NEW_N(l->a, struct local_bind, BINDS_MAX);
    size_t n = 0;
    for (size_t k = 0; k < 2; k++) {
        struct mio_value list = local_get(facts, lists[k]);
        for (uint32_t i = 0; list.type == MIO_LIST && i < list.n && n < BINDS_MAX; i++) {
            struct mio_str dir = mio_value_str(list.items[i]);
            if (mio_str_is(dir, "/usr") || mio_str_starts(dir, "/usr/") || mio_str_is(dir, "/"))
                continue; /* in every sandbox */
            const char *path = mio_arena_z(l->a, dir);
            binds[n++] = (struct local_bind){path, path, false};
        }
    }
    out->binds = binds;
    out->nbinds = n;
}

static enum mio_code open_built(struct local *l, struct mio_str ref, struct mio_value facts,
                                struct local_environment *out, struct mio_err *err)
{
    out->root = built_root(l, facts);
    if (!mio_fs_is_dir(out->root)) {
        mio_fail(err, MIO_REALITY, "the root file system of environment %.*s is not there",
                 MIO_FMT(ref));
        return mio_err_hint(err, "The next apply builds it anew.");
    }
    out->interpreter = mio_arena_z(l->a, mio_get_str(facts, "interpreter"));
    if (!mio_fs_exists(mio_arena_printf(l->a, "%s%s", out->root, out->interpreter).p))
        out->interpreter = NULL;
    return MIO_OK;
}

/* Those of an image below are known to the builder alone; it tells all of them, NAME=VALUE. */
static void take_variables(struct local *l, struct mio_value list, struct local_environment *out)
{
    struct mio_value env = mio_map(NULL, 0);
    for (uint32_t i = 0; list.type == MIO_LIST && i < list.n; i++) {
        struct mio_str pair = mio_value_str(list.items[i]);
        ptrdiff_t eq = mio_str_find(pair, '=');
        struct mio_str name = mio_str_sub(pair, 0, eq < 0 ? pair.n : (size_t)eq),
                       value = mio_str_sub(pair, name.n + 1, pair.n);
        if (mio_str_is(name, "PATH"))
            out->path = mio_arena_z(l->a, value);
        else if (name.n)
            env = mio_map_with(l->a, env, name, mio_string(value));
    }
    if (list.type == MIO_LIST)
        out->env = env;
}

enum mio_code local_environment_root(struct local *l, struct mio_str ws,
                                     struct mio_value environment, struct mio_str *out,
                                     struct mio_err *err)
{
    struct local_asset asset;
    struct mio_str ref = mio_value_str(environment), stamp;
    *out = (struct mio_str){0};
    if (!ref.n || local_asset_resolve(l, ws, "environment", ref, &asset, err))
        return err->code;
    struct mio_value facts = local_get(asset.record, "facts");
    struct mio_str digest = mio_get_str(facts, "config_digest");
    if (!digest.n || built_stamp(l, facts, &stamp, err))
        return err->code;
    *out = mio_arena_printf(l->a, "%.*s %.*s", MIO_FMT(digest), MIO_FMT(stamp));
    return MIO_OK;
}

enum mio_code local_environment_open(struct local *l, struct mio_str ws,
                                     struct mio_value environment, struct local_environment *out,
                                     struct mio_err *err)
{
    struct mio_value facts, body = mio_map(NULL, 0);
    struct mio_str ref = mio_value_str(environment);
    *out = (struct local_environment){.env = mio_null()};
    if (ref.n) {
        struct local_asset asset;
        if (local_asset_resolve(l, ws, "environment", ref, &asset, err))
            return err->code;
        facts = local_get(asset.record, "facts");
        body = local_get(asset.record, "inputs");
    } else {
        if (environment.type == MIO_MAP)
            body = environment;
        if (built_wanted(body)) {
            mio_fail(err, MIO_TEMPLATE, "an environment that is built cannot be declared in place");
            return mio_err_hint(err,
                                "Declare it under `resources:` as a block of kind environment, "
                                "lock it, and refer to it with ${environment.NAME.id}.");
        }
        if ((environment.type == MIO_MAP && refuse(l, body, err)) ||
            find_facts(l, interpreter_of(body), &facts, err))
            return err->code;
    }
    out->env = local_get(body, "env");
    if (mio_get_str(facts, "config_digest").n) {
        take_variables(l, local_get(facts, "variables"), out);
        return open_built(l, ref, facts, out, err);
    }
    out->interpreter = mio_arena_z(l->a, mio_get_str(facts, "interpreter"));
    bind_prefixes(l, facts, out);
    return MIO_OK;
}

const struct local_kind local_environment = {
    .name = "environment",
    .id = "WORKSPACE/NAME:VERSION",
    .validate = environment_validate,
    .plan = environment_plan,
    .create = environment_create,
    .update = environment_update,
    .remove = environment_remove,
    .read = environment_read,
    .list = environment_list,
};
