/* providers/environment/solv.h: an index as libsolv holds it, kept beside its text so that it is
 * parsed once. */
#pragma once
#include "providers/environment/index.h"
#include <solv/repo.h>

/* Fills an empty repo from x->cache, or from the text, which is then cached. `stanzas` (in the
 * arena): the text of each solvable of the repo, in their order. A cache that is damaged or of
 * another libsolv is as good as none. Errors: MIO_IO (the text cannot be read). */
enum mio_code mio_env_solv_load(struct mio_arena *a, const struct mio_env_index *x, Repo *repo,
                                struct mio_str **stanzas, struct mio_err *err);
/* A cached repo's dependencies are sorted; this puts those of one solvable back into the order of
 * the text. `requires` that were taken out meanwhile stay out. */
void mio_env_solv_order(Pool *pool, Solvable *s);
