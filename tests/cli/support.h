/* tests/cli/support.h: plans made by hand from JSON, and comparison of long texts that shows where
 * they part. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "planner/change/plan.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/json.h"

/* {"$mio":"unknown"} and {"$mio":"sensitive","v":...} become marks. */
static inline struct mio_value value_of(struct mio_arena *a, const char *json)
{
    struct mio_value v;
    struct mio_err err = {0};
    if (mio_json_read(a, mio_str_z(json), NULL, &v, &err))
        fail_msg("bad JSON in the test: %s", err.message);
    return mio_json_unmarshal_marks(a, v);
}

/* A change of `kind.name`, which may have a key or a module in its address. */
static inline struct mio_change change_of(struct mio_arena *a, const char *address,
                                          enum mio_action action, const char *before,
                                          const char *after)
{
    return (struct mio_change){.address = mio_str_z(address),
                               .kind = MIO_STR("thing"),
                               .name = MIO_STR("a"),
                               .provider = MIO_STR("sim"),
                               .action = action,
                               .before = value_of(a, before),
                               .after = value_of(a, after)};
}

#define UNKNOWN "{\"$mio\":\"unknown\"}"
#define SECRET(json) "{\"$mio\":\"sensitive\",\"v\":" json "}"

static inline void assert_text(const struct mio_buf *got, const char *want)
{
    const char *g = got->n ? got->p : "";
    size_t i = 0;
    while (g[i] && g[i] == want[i])
        i++;
    if (g[i] != want[i])
        fail_msg("texts differ at byte %zu\n--- got ---\n%s\n--- want ---\n%s\n--- got from there "
                 "---\n%s",
                 i, g, want, g + i);
}
