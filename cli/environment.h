/* cli/environment.h: secrets that come in environment variables, taken out of it before anything
 * else is started. */
#pragma once
#include "providers/sdk/arena.h"

struct mio_env {
    struct mio_env_item *items; /* in the arena */
    size_t n, cap;
};
/* Copies the secrets of backends and sealing and removes them from the environment of this process
 * and its children; none of them is shown from here on. Before any thread is started. */
void mio_env_take(struct mio_env *e, struct mio_arena *a);
/* A variable, taken or still there; `env` is the struct mio_env. NULL when it is not set. */
const char *mio_env_get(void *env, const char *name);
/* Overwrites the copies. */
void mio_env_wipe(struct mio_env *e);
