/* tests/state/support.h: a folder of its own, records to put in, and files to damage. */
#pragma once
/* cmocka.h wants these before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>
/* clang-format on */
#include "providers/sdk/buf.h"
#include "providers/sdk/fault.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include "state/store.h"

#define assert_ok(err, call)                                                                \
    do {                                                                                    \
        if (call)                                                                           \
            fail_msg("%s: %s (%s)", mio_code_name((err).code), (err).message, (err).cause); \
    } while (0)
#define assert_contains(text, part)                                 \
    do {                                                            \
        if (!strstr((text), (part)))                                \
            fail_msg("\"%s\" does not say \"%s\"", (text), (part)); \
    } while (0)

static inline struct mio_str Z(const char *z) {
    return mio_str_z(z);
}

static inline struct mio_value
json(struct mio_arena *a, const char *text)
{
    struct mio_value v;
    struct mio_err err = {0};
    assert_ok(err, mio_json_read(a, mio_arena_str(a, Z(text)), NULL, &v, &err));
    return v;
}

static inline struct mio_record record(struct mio_arena *a, const char *address, const char *id)
{
    return (struct mio_record){
        .digest = Z("1111111111111111111111111111111111111111111111111111111111111111"),
        .address = Z(address),
        .deposed = Z(""),
        .kind = Z("thing"),
        .provider = Z("sim"),
        .id = Z(id),
        .fingerprint = Z("v1"),
        .status = MIO_ROW_OK,
        .schema_version = 3,
        .generation = 1,
        .inputs = json(a, "{\"size\":1.10,\"tags\":[\"a\",null,true]}"),
        .attributes = json(a, "{\"id\":\"x\",\"size\":1.10}"),
        .content = json(a, "{\"code\":\"sha256:00\"}"),
        .dependencies = json(a, "[\"thing.base\"]"),
    };
}

static inline void put(struct mio_state *s, const char *address, const char *id)
{
    struct mio_err err = {0};
    struct mio_record r = record(s->arena, address, id);
    assert_ok(err, mio_state_put(s, &r, &err));
}

/* A new folder below /tmp; gone with scratch_remove. */
static inline void scratch_make(char dir[64])
{
    snprintf(dir, 64, "/tmp/mio-state-XXXXXX");
    assert_non_null(mkdtemp(dir));
}

static inline void scratch_remove(const char *dir)
{
    struct mio_err err = {0};
    assert_ok(err, mio_fs_remove_tree(dir, &err));
}

static inline const char *in(const char *dir, const char *name)
{
    static char path[2][128];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
    return path[turn];
}

static inline struct mio_str slurp(struct mio_arena *a, const char *dir, const char *name)
{
    struct mio_str text;
    struct mio_err err = {0};
    assert_ok(err, mio_fs_read(a, in(dir, name), 1u << 30, &text, NULL, &err));
    return text;
}

/* Overwrites in place, as an editor or a broken disk would. */
static inline void spill(const char *dir, const char *name, struct mio_str text)
{
    FILE *f = fopen(in(dir, name), "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text.p, 1, text.n, f), text.n);
    assert_int_equal(fclose(f), 0);
}

static inline struct mio_store *open_store(const char *dir, const char *stage)
{
    struct mio_store *s;
    struct mio_err err = {0};
    struct mio_store_opts o = {.dir = dir, .stage = Z(stage), .create = true};
    assert_ok(err, mio_store_open(&o, &s, &err));
    return s;
}

static inline void load(struct mio_store *s, struct mio_arena *a, struct mio_state *out)
{
    struct mio_err err = {0};
    assert_ok(err, mio_store_load(s, a, out, &err));
}

static inline void commit(struct mio_store *s, struct mio_state *state)
{
    struct mio_err err = {0};
    assert_ok(err, mio_store_commit(s, state, &err));
}
