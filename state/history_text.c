/* state/history_text.c: the lines of the history as the backend holds them: in clear, or sealed one
 * by one under a key of the file's own. See store_impl.h.
 *
 * Sealed: the first line is {"history":1,"key":"<base64>"}, a sealed text with the file's key in
 * it; every other one {"sealed":"<base64>"}, bound to its number. The chain is over the lines in
 * clear, so that sealing them, and sealing them anew, leaves it as it is. */
#include "providers/sdk/alloc.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/json.h"
#include "state/store_impl.h"
#include <endian.h>
#include <openssl/crypto.h>

static bool sealing(const struct mio_store *s)
{
    return s->sealer && !mio_sealer_opts(s->sealer)->write_clear;
}

/* The first line of *text, without its newline, taken off it; false at the end and for a torn last
 * line. */
static bool take_line(struct mio_str *text, struct mio_str *line)
{
    const char *nl = text->n ? memchr(text->p, '\n', text->n) : NULL;
    if (!nl)
        return false;
    *line = (struct mio_str){text->p, (size_t)(nl - text->p)};
    *text = mio_str_sub(*text, line->n + 1, text->n);
    return true;
}

/* The value of a line's one member, unpacked from base64. */
static bool unpack(struct mio_arena *a, struct mio_str line, const char *name, struct mio_str *out)
{
    struct mio_value v;
    struct mio_err ignored = {0};
    return mio_json_read(a, line, NULL, &v, &ignored) == MIO_OK &&
           mio_unbase64(a, mio_get_str(v, name), out) && out->n > 0;
}

static void pack(struct mio_arena *a, struct mio_buf *out, const char *before, struct mio_str bytes)
{
    mio_buf_z(out, before);
    mio_json_string(out, mio_base64(a, bytes.p, bytes.n));
    mio_buf_z(out, "}\n");
}

/* ---- reading ---- */

static enum mio_code open_key(struct mio_store *s, struct mio_arena *a, struct mio_str line,
                              struct mio_history_text *h, struct mio_err *err)
{
    struct mio_str sealed, plain;
    struct mio_seal_about about;
    if (!unpack(a, line, "key", &sealed))
        return mio_fail(err, MIO_STATE, "its first line was altered");
    enum mio_code rc = mio_unseal(s->sealer, a, "history", sealed, &plain, &about, err);
    if (rc == MIO_OK && (plain.n != sizeof h->key || !mio_str_eq(about.lineage, s->stage)))
        rc = mio_fail(err, MIO_STATE, "sealed as the history of another stage");
    if (rc == MIO_OK)
        memcpy(h->key, plain.p, sizeof h->key);
    h->sealed = rc == MIO_OK;
    return rc;
}

static enum mio_code in_clear(const struct mio_store *s, struct mio_err *err)
{
    if (!s->sealer || !mio_sealer_opts(s->sealer)->enforced ||
        mio_sealer_opts(s->sealer)->accept_clear)
        return MIO_OK;
    mio_fail(err, MIO_AUTH, "it is in clear although sealing is enforced");
    return mio_err_hint(err, "If it is yours, from before it was sealed: `mlops-iac state rekey "
                             "-accept-clear` seals it.");
}

static enum mio_code read_lines(struct mio_store *s, struct mio_arena *a, struct mio_str text,
                                struct mio_history_text *h, struct mio_err *err)
{
    struct mio_str line, rest = text, plain;
    size_t cap = 0;
    bool has_key = mio_str_starts(text, "{\"history\":") && take_line(&rest, &line);
    enum mio_code rc = has_key ? open_key(s, a, line, h, err) : text.n ? in_clear(s, err) : MIO_OK;
    if (rc)
        return rc;
    while (take_line(&rest, &line)) {
        uint64_t number = htobe64(h->n + 1);
        struct mio_str bytes;
        plain = line;
        if (h->sealed && (!unpack(a, line, "sealed", &bytes) ||
                          !mio_unseal_record(h->key, &number, sizeof number, bytes, a, &plain))) {
            plain = MIO_STR(""); /* altered, or not where it was written */
            h->altered = h->altered ? h->altered : h->n + 1;
        }
        MIO_PUSH(a, h->lines, h->n, cap) = plain;
    }
    h->keep = text.n - rest.n;
    return MIO_OK;
}

enum mio_code mio_history_read(struct mio_store *s, struct mio_arena *a,
                               struct mio_history_text *out, struct mio_err *err)
{
    struct mio_str text;
    *out = (struct mio_history_text){0};
    enum mio_code rc = s->b->ops->history_read(s->b, a, &text, err);
    rc = rc ? rc : read_lines(s, a, text, out, err);
    return rc ? mio_err_wrap(err, "the history in %s", s->b->where) : MIO_OK;
}

/* ---- writing ---- */

static void put_sealed(struct mio_arena *a, const struct mio_history_text *h, size_t number,
                       struct mio_str plain, struct mio_buf *out)
{
    MIO_AUTO_BUF b = {0};
    uint64_t context = htobe64(number);
    mio_seal_record(h->key, &context, sizeof context, plain, &b);
    pack(a, out, "{\"sealed\":", mio_buf_view(&b));
}

enum mio_code mio_history_write(struct mio_store *s, struct mio_arena *a,
                                const struct mio_history_text *h, struct mio_err *err)
{
    MIO_AUTO_BUF out = {0}, key = {0};
    struct mio_history_text fresh = {.sealed = sealing(s)};
    enum mio_code rc = MIO_OK;
    if (h->altered)
        return mio_fail(err, MIO_STATE, "line %zu of the history was altered; it stays as it is",
                        h->altered);
    if (fresh.sealed) {
        struct mio_seal_about about = {.kind = MIO_STR("history"), .lineage = s->stage};
        mio_random(fresh.key, sizeof fresh.key);
        rc = mio_seal(s->sealer, &about,
                      (struct mio_str){(const char *)fresh.key, sizeof fresh.key}, &key, err);
        pack(a, &out, "{\"history\":1,\"key\":", mio_buf_view(&key));
    }
    for (size_t i = 0; i < h->n; i++) {
        if (fresh.sealed) {
            put_sealed(a, &fresh, i + 1, h->lines[i], &out);
        } else {
            mio_buf_str(&out, h->lines[i]);
            mio_buf_char(&out, '\n');
        }
    }
    rc = rc ? rc : s->b->ops->history_replace(s->b, mio_buf_view(&out), err);
    OPENSSL_cleanse(fresh.key, sizeof fresh.key);
    return rc;
}

enum mio_code mio_history_append(struct mio_store *s, struct mio_arena *a,
                                 struct mio_history_text *h, struct mio_str line,
                                 struct mio_err *err)
{
    MIO_AUTO_BUF b = {0};
    if (h->sealed != sealing(s)) { /* from before sealing, or from when there was sealing */
        struct mio_str *lines = MIO_NEW_N(a, struct mio_str, h->n + 1);
        if (h->n)
            memcpy(lines, h->lines, h->n * sizeof *lines);
        lines[h->n++] = line;
        h->lines = lines;
        return mio_history_write(s, a, h, err);
    }
    if (h->sealed) {
        put_sealed(a, h, h->n + 1, line, &b);
    } else {
        mio_buf_str(&b, line);
        mio_buf_char(&b, '\n');
    }
    return s->b->ops->history_add(s->b, h->keep, mio_buf_view(&b), err);
}
