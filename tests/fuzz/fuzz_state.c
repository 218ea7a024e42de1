/* tests/fuzz/fuzz_state.c: any bytes as what a run finds on disk: a state file (its digest made
 * right first, else nothing behind it is ever reached), a journal (each line a record, framed and
 * chained here), a plan file, a record. The first byte chooses.
 *
 * Properties: a value or an error, never both or neither; a state that was read is written and read
 * again to the same bytes. */
#include "planner/change/planfile.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/json.h"
#include "state/codec.h"
#include "state/frame.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mend_digest(struct mio_arena *a, char *text, size_t n)
{
    struct mio_state_header h;
    struct mio_err err = {0};
    if (mio_state_header(a, (struct mio_str){text, n}, &h, &err))
        return;
    struct mio_sha256 *d = mio_sha256_new();
    uint8_t sum[MIO_SHA256_LEN];
    char hex[MIO_SHA256_HEX + 1];
    size_t before = (size_t)(h.sha256.p - text), after = before + h.sha256.n;
    mio_sha256_start(d);
    mio_sha256_add(d, text, before);
    mio_sha256_add(d, text + after, n - after);
    mio_sha256_end(d, sum);
    mio_sha256_free(d);
    mio_hex(sum, sizeof sum, hex);
    memcpy(text + before, hex, MIO_SHA256_HEX);
}

static void state(struct mio_arena *a, struct mio_str in)
{
    struct mio_state s, again;
    struct mio_err err = {0};
    char *text = mio_arena_z(a, in);
    mend_digest(a, text, in.n);
    bool ok = mio_state_read(a, (struct mio_str){text, in.n}, &s, &err) == MIO_OK;
    if (ok != !err.code)
        abort();
    if (!ok)
        return;
    MIO_AUTO_BUF one = {0};
    MIO_AUTO_BUF two = {0};
    mio_state_write(&one, &s);
    if (mio_state_read(a, mio_buf_view(&one), &again, &err))
        abort();
    mio_state_write(&two, &again);
    if (!mio_str_eq(mio_buf_view(&one), mio_buf_view(&two)))
        abort();
    for (size_t i = 0; i < s.nrows; i++) {
        struct mio_record r;
        struct mio_err e = {0};
        if ((mio_row_read(a, &s.rows[i], &r, &e) == MIO_OK) != !e.code)
            abort();
    }
}

static void journal(struct mio_arena *a, struct mio_str in)
{
    MIO_AUTO_BUF out = {0};
    uint8_t prev[32] = {0};
    struct mio_err err = {0};
    struct mio_jrn_origin origin;
    struct mio_jrn_replay replay;
    bool begun = false;
    for (uint64_t seq = 1; in.n; seq++) {
        ptrdiff_t nl = mio_str_find(in, '\n');
        struct mio_str line = mio_str_sub(in, 0, nl < 0 ? in.n : (size_t)nl);
        in = mio_str_sub(in, line.n + (nl >= 0), in.n);
        if (!line.n)
            continue;
        size_t from = out.n;
        mio_frame_put(&out, line.p[0], seq, seq - 1, prev, mio_str_sub(line, 1, line.n));
        mio_sha256_of(out.p + from, out.n - from, prev);
    }
    bool ok = mio_replay(a, NULL, mio_buf_view(&out), MIO_STR(""), &origin, &replay, &begun,
                         &err) == MIO_OK;
    if (ok != !err.code)
        abort();
}

static void plan(struct mio_arena *a, struct mio_str in)
{
    struct mio_planfile f;
    struct mio_err err = {0};
    if ((mio_planfile_read(a, in, true, &f, &err) == MIO_OK) != !err.code)
        abort();
}

static void record(struct mio_arena *a, struct mio_str in)
{
    struct mio_value v;
    struct mio_record r;
    struct mio_err err = {0};
    if (mio_json_read(a, in, NULL, &v, &err))
        return;
    if ((mio_record_from(a, v, &r, &err) == MIO_OK) != !err.code)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(struct mio_arena *, struct mio_str) = {state, journal, plan,
                                                                          record};
    if (!size)
        return 0;
    struct mio_arena a;
    mio_arena_init(&a);
    readers[data[0] % 4](&a, mio_arena_str(&a, (struct mio_str){(const char *)data + 1, size - 1}));
    mio_arena_free(&a);
    return 0;
}
