/* state/history.c: one line an apply, each with the digest of the line before it. See store.h; how
 * the lines lie in the backend is history_text.c's. */
#include "providers/sdk/buf.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/json.h"
#include "state/store_impl.h"

static void put_str(struct mio_buf *b, const char *before, struct mio_str s)
{
    mio_buf_z(b, before);
    mio_json_string(b, s);
}

static void put_u64(struct mio_buf *b, const char *before, uint64_t v)
{
    mio_buf_z(b, before);
    mio_buf_u64(b, v);
}

static void chain_of(struct mio_str line, char hex[MIO_SHA256_HEX + 1])
{
    uint8_t sum[MIO_SHA256_LEN];
    mio_sha256_of(line.p, line.n, sum);
    mio_hex(sum, sizeof sum, hex);
}

static const char no_line[MIO_SHA256_HEX + 1] =
    "0000000000000000000000000000000000000000000000000000000000000000";

static void write_line(struct mio_buf *b, const char *prev, const struct mio_history *h)
{
    char when[24];
    mio_rfc3339(h->when, when);
    put_str(b, "{\"prev\":", mio_str_z(prev));
    put_str(b, ",\"when\":", mio_str_z(when));
    put_str(b, ",\"who\":", h->who);
    put_str(b, ",\"host\":", h->host);
    put_str(b, ",\"operation\":", h->operation);
    put_str(b, ",\"commit\":", h->commit);
    put_str(b, ",\"plan_digest\":", h->plan_digest);
    put_str(b, ",\"stage\":", h->stage);
    if (h->tpl.n)
        put_str(b, ",\"template\":", h->tpl);
    if (h->signed_by.n)
        put_str(b, ",\"signed_by\":", h->signed_by);
    if (h->approvals.type == MIO_LIST && h->approvals.n) {
        mio_buf_z(b, ",\"approvals\":");
        mio_json_write(b, h->approvals, MIO_JSON_PLAIN);
    }
    put_u64(b, ",\"serial\":", h->serial);
    put_u64(b, ",\"added\":", h->added);
    put_u64(b, ",\"changed\":", h->changed);
    put_u64(b, ",\"destroyed\":", h->destroyed);
    put_u64(b, ",\"imported\":", h->imported);
    put_u64(b, ",\"forgotten\":", h->forgotten);
    mio_buf_z(b, h->complete ? ",\"complete\":true}" : ",\"complete\":false}");
}

enum mio_code mio_store_history_add(struct mio_store *s, const struct mio_history *h,
                                    struct mio_err *err)
{
    struct mio_arena a;
    struct mio_history_text text;
    char prev[MIO_SHA256_HEX + 1];
    mio_arena_init(&a);
    enum mio_code rc = mio_history_read(s, &a, &text, err);
    if (rc == MIO_OK) {
        memcpy(prev, no_line, sizeof prev);
        if (text.n)
            chain_of(text.lines[text.n - 1], prev);
        struct mio_history full = *h;
        struct mio_str who, host;
        mio_store_who(&a, &who, &host);
        if (full.who.n == 0)
            full.who = who;
        if (full.host.n == 0)
            full.host = host;
        if (full.when == 0)
            full.when = mio_wall_s();
        MIO_AUTO_BUF b = {0};
        write_line(&b, prev, &full);
        rc = mio_history_append(s, &a, &text, mio_buf_view(&b), err);
    }
    mio_arena_free(&a);
    return rc;
}

static bool count_of(struct mio_value v, const char *key, unsigned *out)
{
    uint64_t n;
    if (!mio_str_u64(mio_get_str(v, key), &n) || n > UINT32_MAX)
        return false;
    *out = (unsigned)n;
    return true;
}

static bool read_line(struct mio_arena *a, struct mio_str line, struct mio_history *h)
{
    struct mio_value v;
    struct mio_err err = {0};
    if (mio_json_read(a, line, NULL, &v, &err))
        return false;
    const struct mio_value *approvals = mio_get_z(v, "approvals");
    *h = (struct mio_history){
        .who = mio_get_str(v, "who"),
        .host = mio_get_str(v, "host"),
        .operation = mio_get_str(v, "operation"),
        .commit = mio_get_str(v, "commit"),
        .plan_digest = mio_get_str(v, "plan_digest"),
        .tpl = mio_get_str(v, "template"),
        .stage = mio_get_str(v, "stage"),
        .signed_by = mio_get_str(v, "signed_by"),
        .approvals = approvals ? *approvals : mio_null(),
        .complete = mio_get_bool(v, "complete", false),
    };
    return mio_rfc3339_parse(mio_get_str(v, "when"), &h->when) &&
           mio_str_u64(mio_get_str(v, "serial"), &h->serial) && count_of(v, "added", &h->added) &&
           count_of(v, "changed", &h->changed) && count_of(v, "destroyed", &h->destroyed) &&
           count_of(v, "imported", &h->imported) && count_of(v, "forgotten", &h->forgotten);
}

enum mio_code mio_store_history(struct mio_store *s, struct mio_arena *a, struct mio_history **out,
                                size_t *n, size_t *broken, struct mio_err *err)
{
    struct mio_history_text text;
    enum mio_code rc = mio_history_read(s, a, &text, err);
    if (rc)
        return rc;
    char prev[MIO_SHA256_HEX + 1];
    size_t cap = 0;
    memcpy(prev, no_line, sizeof prev);
    *out = NULL;
    *n = *broken = 0;
    for (size_t i = 0; i < text.n; i++) {
        struct mio_str line = text.lines[i];
        struct mio_history h;
        bool chained = mio_str_starts(line, "{\"prev\":\"") && line.n > 9 + MIO_SHA256_HEX &&
                       memcmp(line.p + 9, prev, MIO_SHA256_HEX) == 0;
        bool read = read_line(a, line, &h);
        if ((!chained || !read) && *broken == 0)
            *broken = i + 1;
        if (read)
            MIO_PUSH(a, *out, *n, cap) = h;
        chain_of(line, prev);
    }
    return MIO_OK;
}
