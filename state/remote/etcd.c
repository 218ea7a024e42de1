/* state/remote/etcd.c: objects as keys of etcd, through its JSON gateway.
 *
 * A value is one byte and the rest: 'D' and the text, or, when it is larger than a request may be,
 * 'M' and
 * "<count> <id>" with the text in numbered keys of their own. Those are written first and named by
 * a random id, so that the one conditional write of the object itself makes the new text current as
 * a whole. */
#include "providers/sdk/alloc.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/json.h"
#include "state/remote/object.h"
#include "state/remote/wait.h"
#include "state/remote/web.h"

enum { PART = 512 * 1024 };

struct etcd {
    struct mio_objects base;
    struct mio_arena arena;
    struct mio_web *web;
    const char *endpoint, *prefix, *token; /* token NULL: no authentication */
};

/* ---- the gateway ---- */

/* A database that is full answers like a server that is busy, and stays full. */
static enum mio_code refused(enum mio_code rc, struct mio_err *err)
{
    if (!strstr(err->cause, "database space exceeded"))
        return rc;
    err->code = MIO_IO;
    return mio_err_hint(err, "etcd keeps every revision until it is compacted. `etcdctl compact`, "
                             "`defrag` and `alarm disarm` make room; run the server with "
                             "--auto-compaction-retention, and --quota-backend-bytes.");
}

static enum mio_code post(struct etcd *e, struct mio_arena *a, const char *path,
                          struct mio_str body, struct mio_value *out, struct mio_err *err)
{
    struct mio_web_call c = {
        .method = "POST",
        .url = mio_arena_printf(a, "%s/v3/%s", e->endpoint, path).p,
        .headers = {MIO_STR("Content-Type: application/json"),
                    e->token ? mio_arena_printf(a, "Authorization: %s", e->token) : MIO_STR("")},
        .body = body,
        .has_body = true,
    };
    struct mio_web_reply r;
    enum mio_code rc = mio_web_call(e->web, a, &c, &r, err);
    if (rc == MIO_OK && r.status != 200)
        rc = mio_web_unexpected(&c, &r, err);
    if (rc)
        return refused(rc, err);
    return mio_json_read(a, r.body, NULL, out, err);
}

static void put_b64(struct mio_buf *b, struct mio_arena *a, const char *before, struct mio_str s)
{
    mio_buf_z(b, before);
    mio_buf_char(b, '"');
    mio_buf_str(b, mio_base64(a, s.p, s.n));
    mio_buf_char(b, '"');
}

static struct mio_str key_of(const struct etcd *e, struct mio_arena *a, const char *name)
{
    return mio_arena_printf(a, "%sobjects/%s", e->prefix, name);
}

static struct mio_str part_of(const struct etcd *e, struct mio_arena *a, struct mio_str id,
                              unsigned i)
{
    return mio_arena_printf(a, "%sparts/%.*s/%06u", e->prefix, MIO_FMT(id), i);
}

/* One key: its value decoded, and its revision. */
static enum mio_code get_key(struct etcd *e, struct mio_arena *a, struct mio_str key,
                             struct mio_str *value, struct mio_str *revision, bool *found,
                             struct mio_err *err)
{
    MIO_AUTO_BUF b = {0};
    struct mio_value v;
    put_b64(&b, a, "{\"key\":", key);
    mio_buf_char(&b, '}');
    enum mio_code rc = post(e, a, "kv/range", mio_buf_view(&b), &v, err);
    if (rc)
        return rc;
    const struct mio_value *kvs = mio_get_z(v, "kvs");
    *found = kvs && kvs->type == MIO_LIST && kvs->n == 1;
    if (!*found)
        return MIO_OK;
    *revision = mio_get_str(kvs->items[0], "mod_revision");
    if (!mio_unbase64(a, mio_get_str(kvs->items[0], "value"), value))
        return mio_fail(err, MIO_IO, "etcd answered a value that is not base64");
    return MIO_OK;
}

static enum mio_code put_key(struct etcd *e, struct mio_arena *a, struct mio_str key,
                             struct mio_str value, struct mio_err *err)
{
    MIO_AUTO_BUF b = {0};
    struct mio_value v;
    put_b64(&b, a, "{\"key\":", key);
    put_b64(&b, a, ",\"value\":", value);
    mio_buf_char(&b, '}');
    return post(e, a, "kv/put", mio_buf_view(&b), &v, err);
}

/* Removes every key from `from` up to but not including `to`; to empty: that key alone. */
static enum mio_code del_keys(struct etcd *e, struct mio_arena *a, struct mio_str from,
                              struct mio_str to, struct mio_err *err)
{
    MIO_AUTO_BUF b = {0};
    struct mio_value v;
    put_b64(&b, a, "{\"key\":", from);
    if (to.n)
        put_b64(&b, a, ",\"range_end\":", to);
    mio_buf_char(&b, '}');
    return post(e, a, "kv/deleterange", mio_buf_view(&b), &v, err);
}

/* The first key after all that begin with `prefix`. */
static struct mio_str after(struct mio_arena *a, struct mio_str prefix)
{
    char *p = mio_arena_z(a, prefix);
    p[prefix.n - 1]++; /* prefixes end in '/' or a name's letter, never in 0xff */
    return (struct mio_str){p, prefix.n};
}

/* ---- objects ---- */

/* The text behind an object's value. *lost_race: a part is gone, so the object was replaced
 * meanwhile. */
static enum mio_code text_of(struct etcd *e, struct mio_arena *a, struct mio_str value,
                             struct mio_str *text, bool *lost_race, struct mio_err *err)
{
    *lost_race = false;
    if (value.n && value.p[0] == 'D') {
        *text = mio_str_sub(value, 1, value.n);
        return MIO_OK;
    }
    ptrdiff_t gap = mio_str_find(value, ' ');
    uint64_t count = 0;
    if (gap < 2 || value.p[0] != 'M' ||
        !mio_str_u64(mio_str_sub(value, 1, (size_t)gap - 1), &count))
        return mio_fail(err, MIO_STATE, "an object in etcd is not one of ours");
    struct mio_str id = mio_str_sub(value, (size_t)gap + 1, value.n);
    MIO_AUTO_BUF all = {0};
    for (unsigned i = 0; i < count; i++) {
        struct mio_str part, revision;
        bool found;
        enum mio_code rc = get_key(e, a, part_of(e, a, id, i), &part, &revision, &found, err);
        if (rc)
            return rc;
        if (!found) {
            *lost_race = true;
            return MIO_OK;
        }
        mio_buf_str(&all, part);
    }
    *text = mio_arena_str(a, mio_buf_view(&all));
    return MIO_OK;
}

static enum mio_code etcd_get(struct mio_objects *o, struct mio_arena *a, const char *name,
                              struct mio_str *text, struct mio_str *tag, bool *found,
                              struct mio_err *err)
{
    enum { TRIES = 5 };
    struct etcd *e = (struct etcd *)o;
    for (int i = 0; i < TRIES; i++) {
        struct mio_str value;
        bool again;
        enum mio_code rc = get_key(e, a, key_of(e, a, name), &value, tag, found, err);
        if (rc || !*found)
            return rc;
        rc = text_of(e, a, value, text, &again, err);
        if (rc || !again)
            return rc;
    }
    return mio_fail(err, MIO_TRANSIENT, "an object in etcd changes faster than it can be read");
}

/* Writes the parts; *value is what the object itself is to hold. */
static enum mio_code put_parts(struct etcd *e, struct mio_arena *a, struct mio_str text,
                               struct mio_str *value, struct mio_str *id, struct mio_err *err)
{
    *id = MIO_STR("");
    if (text.n <= PART) {
        char *p = mio_arena_alloc(a, text.n + 1);
        p[0] = 'D';
        if (text.n)
            memcpy(p + 1, text.p, text.n);
        *value = (struct mio_str){p, text.n + 1};
        return MIO_OK;
    }
    uint8_t noise[12];
    char hex[25];
    mio_random(noise, sizeof noise);
    mio_hex(noise, sizeof noise, hex);
    *id = mio_arena_str(a, mio_str_z(hex));
    unsigned count = 0;
    for (size_t at = 0; at < text.n; at += PART) {
        enum mio_code rc =
            put_key(e, a, part_of(e, a, *id, count++), mio_str_sub(text, at, PART), err);
        if (rc)
            return rc;
    }
    *value = mio_arena_printf(a, "M%u %.*s", count, MIO_FMT(*id));
    return MIO_OK;
}

static void drop_parts(struct etcd *e, struct mio_arena *a, struct mio_str id)
{
    struct mio_err ignored = {0}; /* garbage costs room, nothing else */
    struct mio_str from = mio_arena_printf(a, "%sparts/%.*s/", e->prefix, MIO_FMT(id));
    if (id.n)
        (void)del_keys(e, a, from, after(a, from), &ignored);
}

/* The id of the parts that an object's value names, or "". */
static struct mio_str parts_id(struct mio_str value)
{
    ptrdiff_t gap = mio_str_find(value, ' ');
    return value.n && value.p[0] == 'M' && gap > 0 ? mio_str_sub(value, (size_t)gap + 1, value.n)
                                                   : MIO_STR("");
}

static enum mio_code swap_key(struct etcd *e, struct mio_arena *a, struct mio_str key,
                              struct mio_str value, const char *if_tag, struct mio_str *tag,
                              bool *lost, struct mio_err *err)
{
    MIO_AUTO_BUF b = {0};
    struct mio_value v;
    mio_buf_char(&b, '{');
    if (if_tag) {
        put_b64(&b, a, "\"compare\":[{\"target\":\"MOD\",\"result\":\"EQUAL\",\"key\":", key);
        mio_buf_printf(&b, ",\"mod_revision\":\"%s\"}],", *if_tag ? if_tag : "0");
    }
    put_b64(&b, a, "\"success\":[{\"request_put\":{\"key\":", key);
    put_b64(&b, a, ",\"value\":", value);
    mio_buf_z(&b, "}}]}");
    enum mio_code rc = post(e, a, "kv/txn", mio_buf_view(&b), &v, err);
    if (rc)
        return rc;
    *lost = !mio_get_bool(v, "succeeded", false);
    const struct mio_value *header = mio_get_z(v, "header");
    *tag = header ? mio_get_str(*header, "revision") : MIO_STR("");
    return MIO_OK;
}

static enum mio_code etcd_put(struct mio_objects *o, struct mio_arena *a, const char *name,
                              struct mio_str text, const char *if_tag, struct mio_str *tag,
                              bool *lost, struct mio_err *err)
{
    struct etcd *e = (struct etcd *)o;
    struct mio_str key = key_of(e, a, name), value, id, old = MIO_STR(""), revision;
    bool found = false;
    enum mio_code rc = MIO_OK;
    if (!if_tag || *if_tag)
        rc = get_key(e, a, key, &old, &revision, &found, err);
    rc = rc ? rc : put_parts(e, a, text, &value, &id, err);
    rc = rc ? rc : swap_key(e, a, key, value, if_tag, tag, lost, err);
    if (rc)
        return rc;
    drop_parts(e, a, *lost ? id : parts_id(found ? old : MIO_STR("")));
    return MIO_OK;
}

static enum mio_code etcd_del(struct mio_objects *o, const char *name, struct mio_err *err)
{
    struct etcd *e = (struct etcd *)o;
    struct mio_arena a;
    struct mio_str value = MIO_STR(""), revision;
    bool found;
    mio_arena_init(&a);
    struct mio_str key = key_of(e, &a, name);
    enum mio_code rc = get_key(e, &a, key, &value, &revision, &found, err);
    if (rc == MIO_OK && found) {
        rc = del_keys(e, &a, key, MIO_STR(""), err);
        drop_parts(e, &a, parts_id(value));
    }
    mio_arena_free(&a);
    return rc;
}

static enum mio_code etcd_list(struct mio_objects *o, struct mio_arena *a, const char *prefix,
                               struct mio_str **names, size_t *n, struct mio_err *err)
{
    struct etcd *e = (struct etcd *)o;
    struct mio_str from = key_of(e, a, prefix);
    size_t skip = from.n - strlen(prefix);
    MIO_AUTO_BUF b = {0};
    struct mio_value v;
    put_b64(&b, a, "{\"keys_only\":true,\"key\":", from);
    put_b64(&b, a, ",\"range_end\":", after(a, from));
    mio_buf_char(&b, '}');
    enum mio_code rc = post(e, a, "kv/range", mio_buf_view(&b), &v, err);
    if (rc)
        return rc;
    const struct mio_value *kvs = mio_get_z(v, "kvs");
    *n = kvs && kvs->type == MIO_LIST ? kvs->n : 0;
    *names = MIO_NEW_N(a, struct mio_str, *n);
    for (size_t i = 0; i < *n; i++) {
        struct mio_str key;
        if (!mio_unbase64(a, mio_get_str(kvs->items[i], "key"), &key))
            return mio_fail(err, MIO_IO, "etcd answered a key that is not base64");
        (*names)[i] = mio_str_sub(key, skip, key.n);
    }
    return MIO_OK; /* etcd gives keys in byte order */
}

static void etcd_close(struct mio_objects *o)
{
    struct etcd *e = (struct etcd *)o;
    mio_web_close(e->web);
    mio_arena_free(&e->arena);
    free(e);
}

static enum mio_code log_in(struct etcd *e, const char *user, const char *password,
                            struct mio_err *err)
{
    MIO_AUTO_BUF b = {0};
    struct mio_value v;
    mio_buf_z(&b, "{\"name\":");
    mio_json_string(&b, mio_str_z(user));
    mio_buf_z(&b, ",\"password\":");
    mio_json_string(&b, mio_str_z(password));
    mio_buf_char(&b, '}');
    enum mio_code rc = post(e, &e->arena, "auth/authenticate", mio_buf_view(&b), &v, err);
    explicit_bzero(b.p, b.n);
    if (rc)
        return rc;
    e->token = mio_arena_z(&e->arena, mio_get_str(v, "token"));
    return *e->token ? MIO_OK : mio_fail(err, MIO_AUTH, "etcd does not accept user %s", user);
}

static enum mio_code settings(struct etcd *e, const struct mio_backend_args *args,
                              struct mio_err *err)
{
    struct mio_arena *a = &e->arena;
    struct mio_web_opts w = {.insecure_http = mio_get_bool(args->config, "insecure_http", false)};
    struct mio_str stage = args->stage.n ? args->stage : MIO_STR("default");
    const char *prefix, *user, *password, *ca;
    enum mio_code rc = mio_setting(a, args, "endpoint", NULL, &e->endpoint, err);
    rc = rc ? rc
            : mio_setting(a, args, "prefix",
                          mio_arena_printf(a, "/mlops-iac/%.*s", MIO_FMT(stage)).p, &prefix, err);
    rc = rc ? rc : mio_setting(a, args, "username", "", &user, err);
    rc = rc ? rc : mio_setting(a, args, "password", "", &password, err);
    rc = rc ? rc : mio_setting(a, args, "ca_file", "", &ca, err);
    rc = rc ? rc : mio_setting_timeout(a, args, &w.timeout_s, err);
    if (rc)
        return rc;
    e->prefix = mio_arena_printf(a, "%s/", prefix).p;
    w.ca_file = *ca ? ca : NULL;
    e->base.where = mio_arena_printf(a, "etcd at %s, %s", e->endpoint, prefix).p;
    rc = mio_web_open(&w, &e->web, err);
    return rc || !*user ? rc : log_in(e, user, password, err);
}

__attribute__((visibility("default"))) mio_backend_entry mio_backend_open_v1;

enum mio_code mio_backend_open_v1(const struct mio_backend_args *args, struct mio_backend **out,
                                  struct mio_err *err)
{
    struct etcd *e = mio_zalloc(1, sizeof *e);
    mio_arena_init(&e->arena);
    e->base = (struct mio_objects){.where = "etcd",
                                   .get = etcd_get,
                                   .put = etcd_put,
                                   .del = etcd_del,
                                   .list = etcd_list,
                                   .close = etcd_close};
    enum mio_code rc = settings(e, args, err);
    if (rc) {
        etcd_close(&e->base);
        return rc;
    }
    return mio_backend_objects(&e->base, "etcd", args, out, err);
}
