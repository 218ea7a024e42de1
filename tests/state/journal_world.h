/* tests/state/journal_world.h: a store under lock whose journal has begun, and what is left of it
 * when its process is killed. */
#pragma once
#include "tests/state/support.h"

struct world {
    char dir[64];
    struct mio_arena arena;
    struct mio_store *s;
    struct mio_state state;
    struct mio_jrn *j;
};

static inline void world_store(struct world *w)
{
    struct mio_err err = {0};
    w->s = open_store(w->dir, "dev");
    assert_ok(err, mio_store_lock(w->s, "apply", 0, NULL, &err));
    load(w->s, &w->arena, &w->state);
}

static inline void world_begin(struct world *w, bool lazy)
{
    struct mio_err err = {0};
    struct mio_jrn_begin b = {
        .apply_id = Z("apply-1"), .plan_digest = Z("00"), .tool_version = Z("0.1"), .lazy = lazy};
    assert_ok(err, mio_store_begin(w->s, &w->state, &b, &w->j, &err));
}

static inline struct world *world_make(bool lazy)
{
    struct world *w = calloc(1, sizeof *w);
    scratch_make(w->dir);
    mio_arena_init(&w->arena);
    world_store(w);
    world_begin(w, lazy);
    return w;
}

/* As a kill would: the process is gone, the files stay. */
static inline void killed(struct world *w)
{
    mio_fault_setup(NULL);
    mio_jrn_close(w->j);
    w->j = NULL;
    mio_store_close(w->s);
    world_store(w);
}

static inline int teardown(void **ctx)
{
    struct world *w = *ctx;
    mio_fault_setup(NULL);
    mio_jrn_close(w->j);
    mio_store_close(w->s);
    scratch_remove(w->dir);
    mio_arena_free(&w->arena);
    free(w);
    return 0;
}
