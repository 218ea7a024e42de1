/* state/codec.c: the state file, read with its digest checked and written canonically. See codec.h.
 */
#include "state/codec.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/json.h"

const char mio_state_repair[] = "Nothing was changed. See what is wrong and which older generation "
                                "is good with `mlops-iac state fsck`; "
                                "`mlops-iac state fsck -repair` restores it.";

static struct mio_str first_line(struct mio_str text)
{
    const char *nl = text.n ? memchr(text.p, '\n', text.n) : NULL;
    return (struct mio_str){text.p, nl ? (size_t)(nl - text.p) : text.n};
}

/* ---- what is wrong with a damaged file, in words and with a line ---- */

static bool is_marker(struct mio_str line)
{
    return mio_str_starts(line, "<<<<<<< ") || mio_str_starts(line, ">>>>>>> ") ||
           mio_str_starts(line, "||||||| ") || mio_str_is(line, "=======");
}

/* Damage that can be named by its line. False: none such. */
static bool spotted(struct mio_str text, struct mio_err *err)
{
    size_t line = 1;
    for (size_t at = 0; at < text.n; line++) {
        struct mio_str l = first_line(mio_str_sub(text, at, text.n - at));
        at += l.n + 1;
        if (is_marker(l)) {
            mio_fail(err, MIO_STATE,
                     "line %zu is a merge conflict marker: two states cannot be merged", line);
            mio_err_hint(
                err, "Take one side whole (git checkout --ours or --theirs), then plan again; or "
                     "restore a generation with `mlops-iac state fsck -repair`.");
            return true;
        }
        if (memchr(l.p, '\0', l.n)) {
            mio_fail(err, MIO_STATE, "line %zu holds NUL bytes: the disk lost what was written",
                     line);
            mio_err_hint(err, "%s", mio_state_repair);
            return true;
        }
    }
    return false;
}

/* `rows`: what the header says, or 0 when it cannot be read. */
static enum mio_code diagnose(struct mio_str text, uint64_t rows, struct mio_err *err)
{
    if (spotted(text, err))
        return err->code;
    size_t lines = 0;
    for (size_t i = 0; i < text.n; i++)
        lines += text.p[i] == '\n';
    if (!text.n || text.p[text.n - 1] != '\n')
        mio_fail(err, MIO_STATE, "cut short: line %zu has no end", lines + 1);
    else if (rows && lines < rows + 1)
        mio_fail(err, MIO_STATE, "cut short: it ends after line %zu, %lu rows are missing", lines,
                 (unsigned long)(rows + 1 - lines));
    else
        mio_fail(err, MIO_STATE, "edited or damaged: its SHA-256 is not the one in line 1");
    return mio_err_hint(err, "%s", mio_state_repair);
}

static bool blank(struct mio_str text)
{
    return mio_str_trim(text).n == 0;
}

/* ---- the header ---- */

/* A number of the fixed part, the text before it included. */
static bool number_after(const char **p, const char *end, const char *before, uint64_t *out)
{
    size_t n = strlen(before);
    if ((size_t)(end - *p) < n || memcmp(*p, before, n) != 0)
        return false;
    *p += n;
    const char *q = *p;
    while (q < end && *q >= '0' && *q <= '9')
        q++;
    struct mio_str digits = {*p, (size_t)(q - *p)};
    *p = q;
    return mio_str_u64(digits, out);
}

/* Where the digest's digits lie; false when the fixed part of the header is not ours. */
static bool fixed_part(struct mio_str line, uint64_t *format, uint64_t *reader,
                       struct mio_str *digits)
{
    static const char before[] = ",\"sha256\":\"";
    const char *p = line.p, *end = line.p + line.n;
    *digits = MIO_STR("");
    if (!number_after(&p, end, "{\"format\":", format) ||
        !number_after(&p, end, ",\"min_reader\":", reader))
        return false;
    size_t n = sizeof before - 1;
    if ((size_t)(end - p) > n + MIO_SHA256_HEX && memcmp(p, before, n) == 0)
        *digits = (struct mio_str){p + n, MIO_SHA256_HEX};
    return true;
}

static bool u64_of(struct mio_value v, const char *key, uint64_t *out)
{
    return mio_str_u64(mio_get_str(v, key), out);
}

enum mio_code mio_state_header(struct mio_arena *a, struct mio_str text,
                               struct mio_state_header *out, struct mio_err *err)
{
    struct mio_str line = first_line(text), digits;
    uint64_t format, reader;
    if (!fixed_part(line, &format, &reader, &digits)) {
        if (spotted(text, err) || line.n == text.n)
            return diagnose(text, 0, err);
        mio_fail(err, MIO_STATE, "line 1 is not the header of a state of mlops-iac");
        return mio_err_hint(err, "%s", mio_state_repair);
    }
    struct mio_value v;
    struct mio_err why = {0};
    struct mio_state_header h = {0};
    if (reader > MIO_STATE_READER) {
        struct mio_str by = mio_json_read(a, line, NULL, &v, &why) == MIO_OK
                                ? mio_str_sub(mio_get_str(v, "tool_version"), 0, 40)
                                : MIO_STR("");
        mio_fail(err, MIO_STATE,
                 "written by a newer mlops-iac%s%.*s: only readers of format %lu and above "
                 "understand it, and this one, " MIO_VERSION ", reads format %d",
                 by.n ? ", " : "", MIO_FMT(by), (unsigned long)reader, MIO_STATE_READER);
        return mio_err_hint(
            err,
            "Use mlops-iac%s%.*s or a later one. `mlops-iac state fsck` says whether "
            "the state is whole.",
            by.n ? " " : "", MIO_FMT(by));
    }
    if (digits.n && mio_json_read(a, line, NULL, &v, &why) == MIO_OK) {
        h = (struct mio_state_header){.sha256 = digits,
                                      .lineage = mio_get_str(v, "lineage"),
                                      .stage = mio_get_str(v, "stage"),
                                      .salt = mio_get_str(v, "salt"),
                                      .tool_version = mio_get_str(v, "tool_version"),
                                      .apply = mio_get_str(v, "apply")};
        const struct mio_value *outputs = mio_get_z(v, "outputs");
        h.outputs = outputs ? mio_json_unmarshal_marks(a, *outputs) : mio_null();
        if (u64_of(v, "serial", &h.serial) && u64_of(v, "epoch", &h.epoch) &&
            u64_of(v, "rows", &h.rows) && h.lineage.n && h.salt.n == MIO_SHA256_HEX) {
            *out = h;
            return MIO_OK;
        }
    }
    return diagnose(text, 0, err);
}

/* Over all of the text but the 64 digits. */
static void digest_of(struct mio_str text, struct mio_str digits, char hex[MIO_SHA256_HEX + 1])
{
    struct mio_sha256 *d = mio_sha256_new();
    size_t before = (size_t)(digits.p - text.p), after = before + digits.n;
    uint8_t sum[MIO_SHA256_LEN];
    mio_sha256_start(d);
    mio_sha256_add(d, text.p, before);
    mio_sha256_add(d, text.p + after, text.n - after);
    mio_sha256_end(d, sum);
    mio_sha256_free(d);
    mio_hex(sum, sizeof sum, hex);
}

bool mio_state_newer(struct mio_str text)
{
    struct mio_str line = first_line(text), digits;
    uint64_t format, reader;
    char hex[MIO_SHA256_HEX + 1];
    if (!fixed_part(line, &format, &reader, &digits) || reader <= MIO_STATE_READER || !digits.n)
        return false;
    digest_of(text, digits, hex); /* this much all formats have in common */
    return memcmp(hex, digits.p, digits.n) == 0;
}

/* ---- reading ---- */

static enum mio_code read_rows(struct mio_str text, uint64_t rows, struct mio_state *s,
                               struct mio_err *err)
{
    const char *p = text.p + first_line(text).n + 1, *end = text.p + text.n;
    /* A row is never shorter than this, so a lying header cannot make the allocation explode. */
    enum { SHORTEST = 64 };
    if (rows > text.n / SHORTEST)
        return diagnose(text, rows, err);
    s->cap = rows;
    s->rows = rows ? mio_arena_alloc(s->arena, rows * sizeof *s->rows) : NULL;
    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        if (!nl || s->nrows == rows)
            return diagnose(text, rows, err);
        struct mio_row *row = &s->rows[s->nrows];
        if (nl == p || !mio_row_scan(s->arena, (struct mio_str){p, (size_t)(nl - p)}, row)) {
            mio_fail(err, MIO_STATE, "line %zu is not a recorded resource in canonical form",
                     s->nrows + 2);
            return mio_err_hint(err, "%s", mio_state_repair);
        }
        s->nrows++;
        p = nl + 1;
    }
    return s->nrows == rows ? MIO_OK : diagnose(text, rows, err);
}

static enum mio_code read_outputs(const struct mio_state_header *h, struct mio_state *s,
                                  struct mio_err *err)
{
    if (h->outputs.type != MIO_LIST) {
        mio_fail(err, MIO_STATE, "line 1 has no list of outputs");
        return mio_err_hint(err, "%s", mio_state_repair);
    }
    s->noutputs = h->outputs.n;
    s->outputs = MIO_NEW_N(s->arena, struct mio_state_output, s->noutputs);
    for (size_t i = 0; i < s->noutputs; i++) {
        struct mio_value o = h->outputs.items[i];
        const struct mio_value *v = mio_get_z(o, "value");
        s->outputs[i] = (struct mio_state_output){.name = mio_get_str(o, "name"),
                                                  .value = v ? *v : mio_null(),
                                                  .sensitive = mio_get_bool(o, "sensitive", false)};
    }
    return MIO_OK;
}

enum mio_code mio_state_read(struct mio_arena *a, struct mio_str text, struct mio_state *out,
                             struct mio_err *err)
{
    if (blank(text)) {
        mio_fail(err, MIO_STATE, "empty: a state that was written is never empty");
        return mio_err_hint(err, "%s", mio_state_repair);
    }
    struct mio_state_header h;
    if (mio_state_header(a, text, &h, err))
        return err->code;
    char hex[MIO_SHA256_HEX + 1];
    digest_of(text, h.sha256, hex);
    if (memcmp(hex, h.sha256.p, MIO_SHA256_HEX) != 0)
        return diagnose(text, h.rows, err);
    struct mio_state s = {
        .arena = a,
        .lineage = h.lineage,
        .serial = h.serial,
        .stage = h.stage,
        .digest = h.sha256,
        .salt = h.salt,
        .epoch = h.epoch,
        .apply = h.apply,
    };
    enum mio_code rc = read_rows(text, h.rows, &s, err);
    if (rc || (rc = read_outputs(&h, &s, err)))
        return rc;
    size_t twice;
    if (!mio_state_reindex(&s, &twice)) {
        mio_fail(err, MIO_STATE, "line %zu records %.*s a second time", twice + 2,
                 (int)(s.rows[twice].address.n > 150 ? 150 : s.rows[twice].address.n),
                 s.rows[twice].address.p);
        return mio_err_hint(err, "%s", mio_state_repair);
    }
    *out = s;
    return MIO_OK;
}

/* ---- writing ---- */

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

static void put_outputs(struct mio_buf *b, const struct mio_state *s)
{
    mio_buf_z(b, ",\"outputs\":[");
    for (size_t i = 0; i < s->noutputs; i++) {
        const struct mio_state_output *o = &s->outputs[i];
        put_str(b, i ? ",{\"name\":" : "{\"name\":", o->name);
        mio_buf_z(b, o->sensitive ? ",\"sensitive\":true" : ",\"sensitive\":false");
        mio_buf_z(b, ",\"value\":");
        mio_stored_value(b, mio_keep(s->arena, s, mio_output_value(o)));
        mio_buf_char(b, '}');
    }
    mio_buf_char(b, ']');
}

void mio_state_write(struct mio_buf *b, struct mio_state *s)
{
    mio_state_sort(s);
    size_t from = b->n;
    put_u64(b, "{\"format\":", MIO_STATE_FORMAT);
    put_u64(b, ",\"min_reader\":", MIO_STATE_READER);
    mio_buf_z(b, ",\"sha256\":\"");
    size_t digits = b->n;
    mio_buf_pad(b, '0', MIO_SHA256_HEX);
    put_str(b, "\",\"lineage\":", s->lineage);
    put_u64(b, ",\"serial\":", s->serial);
    put_u64(b, ",\"epoch\":", s->epoch);
    put_str(b, ",\"stage\":", s->stage);
    put_str(b, ",\"salt\":", s->salt);
    put_str(b, ",\"tool_version\":", MIO_STR(MIO_VERSION));
    if (s->apply.n)
        put_str(b, ",\"apply\":", s->apply);
    put_u64(b, ",\"rows\":", s->nrows);
    put_outputs(b, s);
    mio_buf_z(b, "}\n");
    for (size_t i = 0; i < s->nrows; i++) {
        mio_buf_str(b, s->rows[i].line);
        mio_buf_char(b, '\n');
    }
    if (mio_buf_full(b))
        return;
    char hex[MIO_SHA256_HEX + 1];
    digest_of((struct mio_str){b->p + from, b->n - from},
              (struct mio_str){b->p + digits, MIO_SHA256_HEX}, hex);
    memcpy(b->p + digits, hex, MIO_SHA256_HEX);
}
