/* state/remote/http.c: the protocol that Terraform's http backend speaks: GET, POST, DELETE on one
 * address, LOCK and UNLOCK on another.
 *
 * Where the server gives an ETag every write says If-Match, so that no update is lost; where it
 * gives none the state is read again right before a write, which only makes the gap small: users
 * are told. The protocol has room for the state alone: journal and history are files of this
 * machine. */
#include "providers/sdk/alloc.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/json.h"
#include "state/remote/object.h"
#include "state/remote/wait.h"
#include "state/remote/web.h"

struct http_backend {
    struct mio_backend base;
    struct mio_arena arena; /* the settings */
    struct mio_web *web;
    struct mio_backend *local; /* journal and history */
    const char *address, *lock_address, *unlock_address, *lock_method, *unlock_method,
        *update_method;
    struct mio_str lock_id; /* "" when not locked by us */
    struct mio_str lock_body;
    bool no_etag;
};

static const char unsafe[] =
    "The http backend's server sends no ETag or ignores If-Match: two runs without a lock can "
    "overwrite each other's "
    "state. The journal of a killed apply stays on the machine that ran it.";

/* ---- lock ---- */

/* Our note as the protocol's lock info. */
static struct mio_str lock_info(struct mio_arena *a, struct mio_str note, struct mio_str *id)
{
    struct mio_value v;
    struct mio_err ignored = {0};
    MIO_AUTO_BUF b = {0};
    if (mio_json_read(a, note, NULL, &v, &ignored))
        v = mio_null();
    *id = mio_get_str(v, "id");
    static const struct {
        const char *theirs, *ours;
    } names[] = {{"{\"ID\":", "id"},           {",\"Operation\":", "operation"},
                 {",\"Who\":", "who"},         {",\"Version\":", "version"},
                 {",\"Created\":", "created"}, {",\"Info\":", "info"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        mio_buf_z(&b, names[i].theirs);
        mio_json_string(&b, mio_get_str(v, names[i].ours));
    }
    mio_buf_z(&b, ",\"Path\":\"\"");
    mio_buf_printf(&b, ",\"Host\":");
    mio_json_string(&b, mio_get_str(v, "host"));
    mio_buf_printf(&b, ",\"Pid\":%ld}", (long)mio_get_i64(v, "pid", 0));
    return mio_arena_str(a, mio_buf_view(&b));
}

/* The protocol's lock info as a note of ours. */
static struct mio_str note_of(struct mio_arena *a, struct mio_str info)
{
    struct mio_value v;
    struct mio_err ignored = {0};
    if (mio_json_read(a, info, NULL, &v, &ignored) || mio_get_str(v, "ID").n == 0)
        return MIO_STR("");
    MIO_AUTO_BUF b = {0};
    static const struct {
        const char *ours, *theirs;
    } names[] = {{"{\"id\":", "ID"},           {",\"operation\":", "Operation"},
                 {",\"who\":", "Who"},         {",\"version\":", "Version"},
                 {",\"created\":", "Created"}, {",\"host\":", "Host"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        mio_buf_z(&b, names[i].ours);
        mio_json_string(&b, mio_get_str(v, names[i].theirs));
    }
    mio_buf_printf(&b, ",\"pid\":%ld}", (long)mio_get_i64(v, "Pid", 0));
    return mio_arena_str(a, mio_buf_view(&b));
}

static const struct mio_str json_type = MIO_STR_INIT("Content-Type: application/json");

static enum mio_code http_lock(struct mio_backend *base, struct mio_str note, struct mio_arena *a,
                               struct mio_str *held, struct mio_err *err)
{
    struct http_backend *b = (struct http_backend *)base;
    struct mio_str id;
    struct mio_web_call c = {
        .method = b->lock_method, .url = b->lock_address, .headers = {json_type}, .has_body = true};
    struct mio_web_reply r;
    *held = MIO_STR("");
    if (!b->lock_address)
        return MIO_OK; /* a server without locks; writes are still compared */
    c.body = lock_info(a, note, &id);
    enum mio_code rc = mio_web_call(b->web, a, &c, &r, err);
    if (rc)
        return rc;
    if (r.status == 423 || r.status == 409) {
        *held = note_of(a, r.body);
        struct mio_value v;
        struct mio_err ignored = {0};
        bool ours = r.repeated && mio_json_read(a, r.body, NULL, &v, &ignored) == MIO_OK &&
                    mio_str_eq(mio_get_str(v, "ID"), id);
        if (!ours)
            return mio_fail(err, MIO_LOCKED, "the state is locked");
    } else if (r.status != 200) {
        return mio_web_unexpected(&c, &r, err);
    }
    b->lock_id = mio_arena_str(&b->arena, id);
    b->lock_body = mio_arena_str(&b->arena, c.body);
    return MIO_OK;
}

static enum mio_code unlock_with(struct http_backend *b, struct mio_str body, struct mio_err *err)
{
    struct mio_arena a;
    struct mio_web_call c = {.method = b->unlock_method,
                             .url = b->unlock_address,
                             .headers = {json_type},
                             .body = body,
                             .has_body = true};
    struct mio_web_reply r;
    if (!b->unlock_address)
        return MIO_OK;
    mio_arena_init(&a);
    enum mio_code rc = mio_web_call(b->web, &a, &c, &r, err);
    if (rc == MIO_OK && r.status != 200)
        rc = mio_web_unexpected(&c, &r, err);
    mio_arena_free(&a);
    return rc;
}

static void http_unlock(struct mio_backend *base)
{
    struct http_backend *b = (struct http_backend *)base;
    struct mio_err ignored = {0};
    if (b->lock_id.n)
        (void)unlock_with(b, b->lock_body, &ignored);
    b->lock_id = MIO_STR("");
}

/* The protocol has no question for it: a lock that cannot be taken tells who holds it. */
static enum mio_code http_holder(struct mio_backend *base, struct mio_arena *a,
                                 struct mio_str *note, bool *live, struct mio_err *err)
{
    struct http_backend *b = (struct http_backend *)base;
    *live = false;
    *note = MIO_STR("");
    enum mio_code rc =
        http_lock(base, MIO_STR("{\"id\":\"look\",\"operation\":\"force-unlock\"}"), a, note, err);
    if (rc == MIO_LOCKED) {
        mio_err_clear(err);
        if (note->n == 0)
            *note = MIO_STR("{}"); /* locked, by whom is not said */
        return MIO_OK;
    }
    if (rc == MIO_OK && b->lock_id.n)
        http_unlock(base);
    return rc;
}

static enum mio_code http_break(struct mio_backend *base, struct mio_str id, struct mio_err *err)
{
    MIO_AUTO_BUF body = {0};
    mio_buf_z(&body, "{\"ID\":");
    mio_json_string(&body, id);
    mio_buf_char(&body, '}');
    return unlock_with((struct http_backend *)base, mio_buf_view(&body), err);
}

/* ---- state ---- */

static enum mio_code http_read(struct mio_backend *base, struct mio_arena *a, struct mio_blob *out,
                               struct mio_err *err)
{
    struct http_backend *b = (struct http_backend *)base;
    struct mio_web_call c = {.method = "GET", .url = b->address};
    struct mio_web_reply r;
    *out = (struct mio_blob){.text = MIO_STR(""), .tag = MIO_STR("")};
    enum mio_code rc = mio_web_call(b->web, a, &c, &r, err);
    if (rc || r.status == 404 || r.status == 204)
        return rc;
    if (r.status != 200)
        return mio_web_unexpected(&c, &r, err);
    *out = (struct mio_blob){.text = r.body, .found = true};
    if (r.etag.n) {
        out->tag = mio_arena_printf(a, "etag %.*s", MIO_FMT(r.etag));
        return MIO_OK;
    }
    uint8_t sum[MIO_SHA256_LEN];
    char hex[MIO_SHA256_HEX + 1];
    mio_sha256_of(r.body.p, r.body.n, sum);
    mio_hex(sum, sizeof sum, hex);
    out->tag = mio_arena_printf(a, "sha256 %s", hex);
    b->no_etag = true;
    base->warning = unsafe;
    return MIO_OK;
}

static enum mio_code changed(struct mio_backend *base, struct mio_err *err)
{
    mio_fail(err, MIO_STATE, "the state in %s was changed by someone else meanwhile", base->where);
    return mio_err_hint(
        err, "Nothing was overwritten. Run the command again: it starts from the new state.");
}

/* POST with the condition that the tag stands for. *lost: the server says that it does not hold. */
static enum mio_code post(struct http_backend *b, struct mio_arena *a, struct mio_str tag,
                          struct mio_str text, bool *lost, struct mio_err *err)
{
    struct mio_web_call c = {.method = b->update_method,
                             .url = b->address,
                             .headers = {json_type},
                             .body = text,
                             .has_body = true};
    struct mio_web_reply r;
    if (b->lock_id.n) { /* proves to the server who writes */
        bool query = strchr(b->address, '?') != NULL;
        c.url =
            mio_arena_printf(a, "%s%cID=%.*s", b->address, query ? '&' : '?', MIO_FMT(b->lock_id))
                .p;
    }
    if (tag.n == 0)
        c.headers[1] = MIO_STR("If-None-Match: *");
    else if (mio_str_starts(tag, "etag "))
        c.headers[1] = mio_arena_printf(a, "If-Match: %.*s", MIO_FMT(mio_str_sub(tag, 5, tag.n)));
    enum mio_code rc = mio_web_call(b->web, a, &c, &r, err);
    *lost = rc == MIO_OK && (r.status == 412 || r.status == 428);
    if (rc == MIO_OK && !*lost && (r.status == 423 || r.status == 409))
        return mio_fail(err, MIO_LOCKED,
                        "the server refuses the state: somebody else holds the lock");
    if (rc == MIO_OK && !*lost && (r.status < 200 || r.status > 204))
        return mio_web_unexpected(&c, &r, err);
    return rc;
}

static enum mio_code http_swap(struct mio_backend *base, struct mio_arena *a, struct mio_str tag,
                               struct mio_str text, struct mio_str *new_tag, struct mio_err *err)
{
    struct http_backend *b = (struct http_backend *)base;
    struct mio_blob now;
    bool lost;
    enum mio_code rc = MIO_OK;
    if (tag.n == 0 ||
        mio_str_starts(tag, "sha256 ")) { /* a condition that the server may not know */
        rc = http_read(base, a, &now, err);
        if (rc == MIO_OK && !mio_str_eq(now.tag, tag))
            return changed(base, err);
    }
    rc = rc ? rc : post(b, a, tag, text, &lost, err);
    rc = rc ? rc : http_read(base, a, &now, err); /* what is there now, and its tag */
    if (rc)
        return rc;
    if (!now.found || !mio_str_eq(now.text, text))
        return changed(base, err);
    *new_tag = now.tag;
    return MIO_OK;
}

/* ---- generations: the protocol has none; journal and history: beside, on this machine ---- */

static enum mio_code http_generations(struct mio_backend *base, struct mio_arena *a,
                                      struct mio_generation **out, size_t *n, struct mio_err *err)
{
    (void)base;
    (void)a;
    (void)err;
    *out = NULL;
    *n = 0;
    return MIO_OK;
}

static enum mio_code http_generation_read(struct mio_backend *base, struct mio_arena *a,
                                          struct mio_generation *g, struct mio_err *err)
{
    (void)a;
    return mio_fail(err, MIO_USAGE, "%s keeps no generation %.*s", base->where, MIO_FMT(g->name));
}

static struct mio_backend *local(struct mio_backend *b)
{
    return ((struct http_backend *)b)->local;
}

static enum mio_code http_journal_read(struct mio_backend *b, struct mio_arena *a,
                                       struct mio_journal_text *out, struct mio_err *err)
{
    return local(b)->ops->journal_read(local(b), a, out, err);
}

static enum mio_code http_journal_open(struct mio_backend *b, uint64_t keep, struct mio_sink **out,
                                       struct mio_err *err)
{
    return local(b)->ops->journal_open(local(b), keep, out, err);
}

static enum mio_code http_journal_replace(struct mio_backend *b, struct mio_str text,
                                          struct mio_err *err)
{
    return local(b)->ops->journal_replace(local(b), text, err);
}

static enum mio_code http_journal_drop(struct mio_backend *b, struct mio_err *err)
{
    return local(b)->ops->journal_drop(local(b), err);
}

static enum mio_code http_history_read(struct mio_backend *b, struct mio_arena *a,
                                       struct mio_str *out, struct mio_err *err)
{
    return local(b)->ops->history_read(local(b), a, out, err);
}

static enum mio_code http_history_add(struct mio_backend *b, uint64_t keep, struct mio_str line,
                                      struct mio_err *err)
{
    return local(b)->ops->history_add(local(b), keep, line, err);
}

static enum mio_code http_history_replace(struct mio_backend *b, struct mio_str text,
                                          struct mio_err *err)
{
    return local(b)->ops->history_replace(local(b), text, err);
}

/* ---- probe, open, close ---- */

/* The same state again, on a condition that cannot hold: a server that compares refuses. */
static enum mio_code http_probe(struct mio_backend *base, struct mio_err *err)
{
    struct http_backend *b = (struct http_backend *)base;
    struct mio_arena a;
    struct mio_blob now;
    bool lost = true;
    mio_arena_init(&a);
    enum mio_code rc = http_read(base, &a, &now, err);
    if (rc == MIO_OK && now.found && !b->no_etag)
        rc = post(b, &a, MIO_STR("etag \"mlops-iac-probe\""), now.text, &lost, err);
    if (rc == MIO_OK && !lost)
        base->warning = unsafe;
    mio_arena_free(&a);
    return rc;
}

static void http_close(struct mio_backend *base)
{
    struct http_backend *b = (struct http_backend *)base;
    if (b->local)
        b->local->ops->close(b->local);
    mio_web_close(b->web);
    mio_arena_free(&b->arena);
    free(b);
}

static const struct mio_backend_ops http_ops = {
    .type = "http",
    .lock_outlives = true,
    .journal_stays = true,
    .close = http_close,
    .probe = http_probe,
    .lock = http_lock,
    .unlock = http_unlock,
    .holder = http_holder,
    .break_lock = http_break,
    .read = http_read,
    .swap = http_swap,
    .generations = http_generations,
    .generation_read = http_generation_read,
    .journal_read = http_journal_read,
    .journal_open = http_journal_open,
    .journal_replace = http_journal_replace,
    .journal_drop = http_journal_drop,
    .history_read = http_history_read,
    .history_add = http_history_add,
    .history_replace = http_history_replace,
};

static enum mio_code settings(struct http_backend *b, const struct mio_backend_args *args,
                              struct mio_err *err)
{
    struct mio_arena *a = &b->arena;
    struct mio_web_opts w = {.insecure_http = mio_get_bool(args->config, "insecure_http", false)};
    enum mio_code rc = mio_setting(a, args, "address", NULL, &b->address, err);
    if (rc)
        return rc;
    (void)mio_setting(a, args, "lock_address", "", &b->lock_address, err);
    (void)mio_setting(a, args, "unlock_address", b->lock_address, &b->unlock_address, err);
    (void)mio_setting(a, args, "lock_method", "LOCK", &b->lock_method, err);
    (void)mio_setting(a, args, "unlock_method", "UNLOCK", &b->unlock_method, err);
    (void)mio_setting(a, args, "update_method", "POST", &b->update_method, err);
    (void)mio_setting(a, args, "username", "", &w.user, err);
    (void)mio_setting(a, args, "password", "", &w.password, err);
    (void)mio_setting(a, args, "ca_file", "", &w.ca_file, err);
    rc = mio_setting_timeout(a, args, &w.timeout_s, err);
    if (rc)
        return rc;
    if (!*b->lock_address)
        b->lock_address = b->unlock_address = NULL;
    w.user = *w.user ? w.user : NULL;
    w.ca_file = *w.ca_file ? w.ca_file : NULL;
    struct mio_str where = mio_str_z(b->address);
    ptrdiff_t q = mio_str_find(where, '?');
    b->base.where = q < 0 ? b->address : mio_arena_z(a, mio_str_sub(where, 0, (size_t)q));
    return mio_web_open(&w, &b->web, err);
}

__attribute__((visibility("default"))) mio_backend_entry mio_backend_open_v1;

enum mio_code mio_backend_open_v1(const struct mio_backend_args *args, struct mio_backend **out,
                                  struct mio_err *err)
{
    struct http_backend *b = mio_zalloc(1, sizeof *b);
    mio_arena_init(&b->arena);
    b->base.ops = &http_ops;
    b->lock_id = MIO_STR("");
    enum mio_code rc = settings(b, args, err);
    rc = rc ? rc : mio_backend_file(args->dir, args->create, &b->local, err);
    if (rc) {
        http_close(&b->base);
        return rc;
    }
    *out = &b->base;
    return MIO_OK;
}
