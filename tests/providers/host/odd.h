/* tests/providers/host/odd.h: what the tests of the host share: opening the odd plugin, one call by
 * its address. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "providers/host/host.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"

struct odd {
    struct mio_arena a;
    struct mio_provider *p;
    char folder[64]; /* temporary, removed by odd_close */
    char log[4096];  /* what the plugin logged, a line each */
    size_t nlog;
};

static inline const char *odd_build(void)
{
    const char *b = getenv("MIO_BUILD");
    assert_non_null(b);
    return b;
}

static inline struct mio_str odd_plugin_path(struct mio_arena *a, const char *name)
{
    return mio_arena_printf(a, "%s/tests/plugins/%s.so", odd_build(), name);
}

static inline void odd_log(void *arg, int level, struct mio_str instance, struct mio_str message)
{
    struct odd *t = arg;
    (void)level, (void)instance;
    int n = snprintf(t->log + t->nlog, sizeof t->log - t->nlog, "%.*s\n", MIO_FMT(message));
    if (n > 0 && t->nlog + (size_t)n < sizeof t->log)
        t->nlog += (size_t)n;
}

/* Opens a plugin by path with the digest given ("" : none). */
static inline enum mio_code odd_open_path(struct odd *t, const char *path, const char *sha256,
                                          unsigned parallelism, struct mio_err *err)
{
    struct mio_provider_opts o = {
        .instance = MIO_STR("test"),
        .plugin_path = path,
        .sha256 = mio_str_z(sha256),
        .host_program =
            mio_arena_printf(&t->a, "%s/libexec/mlops-iac/mlops-iac-provider-host", odd_build()).p,
        .base_dir = MIO_STR("/"),
        .parallelism = parallelism,
        .on_log = odd_log,
        .arg = t};
    return mio_provider_open(&t->a, &o, &t->p, err);
}

static inline void odd_begin(struct odd *t)
{
    *t = (struct odd){0};
    mio_arena_init(&t->a);
    snprintf(t->folder, sizeof t->folder, "/tmp/mio-odd-XXXXXX");
    assert_non_null(mkdtemp(t->folder));
}

static inline void odd_configure(struct odd *t, const char *config)
{
    struct mio_err err = {0};
    struct mio_value v;
    assert_int_equal(mio_json_read(&t->a, mio_str_z(config), NULL, &v, &err), MIO_OK);
    mio_provider_configure(t->p, v, MIO_STR("lineage-1"), &err);
    if (err.code)
        fail_msg("%s", err.message);
}

/* A configured provider. */
static inline void odd_open(struct odd *t, const char *name, unsigned parallelism)
{
    struct mio_err err = {0};
    odd_begin(t);
    if (odd_open_path(t, odd_plugin_path(&t->a, name).p, "", parallelism, &err))
        fail_msg("%s", err.message);
    odd_configure(t, "{}");
}

static inline void odd_close(struct odd *t)
{
    struct mio_err err = {0};
    mio_provider_close(t->p);
    mio_fs_remove_tree(t->folder, &err);
    mio_arena_free(&t->a);
}

/* Creates `address` (which says what goes wrong) within `ms`. */
static inline enum mio_code odd_create(struct odd *t, const char *address, int64_t ms,
                                       struct mio_object *out, struct mio_err *err)
{
    struct mio_prov_change c = {
        .kind = MIO_STR("odd"), .address = mio_str_z(address), .inputs = mio_map(NULL, 0)};
    struct mio_call_opts o = {.key = MIO_STR("abcdefghijklmnopqrstuvwxyz"),
                              .deadline_ms = mio_now_ms() + ms};
    return mio_provider_change(t->p, &t->a, MIO_PROV_CREATE, &c, &o, out, err);
}

/* An attribute of a fresh "tell" object: pid, fds, ... */
static inline int64_t odd_tell(struct odd *t, const char *what)
{
    struct mio_object obj;
    struct mio_err err = {0};
    if (odd_create(t, "tell", 20000, &obj, &err))
        fail_msg("%s (%s)", err.message, err.cause);
    return mio_get_i64(obj.attributes, what, -1);
}

#define assert_has(text, part)                                       \
    do {                                                             \
        if (!strstr((text), (part)))                                 \
            fail_msg("\"%s\" does not hold \"%s\"", (text), (part)); \
    } while (0)
