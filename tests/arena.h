/* tests/arena.h: one arena for all tests of a program: made before the first, freed after the last.
 * Included once a program, after cmocka. */
#pragma once
#include "providers/sdk/arena.h"

static struct mio_arena arena;

static int setup(void **state)
{
    (void)state;
    mio_arena_init(&arena);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mio_arena_free(&arena);
    return 0;
}
