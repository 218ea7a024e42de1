/* providers/sim/cloud.h: the simulated cloud, one SQLite file.
 *
 * It outlives every process, several may share it, and tests ask it what exists: tables things, ops
 * (every change that took effect, in order), calls (how often each call was made) and fired (faults
 * that were used up). */
#pragma once
#include "providers/sdk/arena.h"
#include "providers/sdk/err.h"

struct sim_cloud; /* any thread */

struct sim_row {
    int64_t id, version;
    int64_t commit_at;  /* wall clock, ms: before it the thing does not exist, though it will */
    int64_t visible_at; /* before it the thing exists and cannot be seen */
    struct mio_str kind;
    struct mio_str name; /* "" or unique in its kind */
    struct mio_str key;  /* idempotency key it was created with */
    struct mio_str body; /* inputs, JSON */
};

enum mio_code sim_cloud_open(const char *path, struct sim_cloud **out, struct mio_err *err);
void sim_cloud_close(struct sim_cloud *c); /* NULL accepted */
int64_t sim_now_ms(void);                  /* wall clock */

/* Adds a thing. `dedupe`: one with the same key is given back instead; `marked`: the key is stored
 * to be looked up; a taken name is MIO_REALITY. Nothing is added when *existed. `out` lives in the
 * arena. */
enum mio_code sim_cloud_insert(struct sim_cloud *c, struct mio_arena *a, const struct sim_row *in,
                               bool dedupe, bool marked, struct sim_row *out, bool *existed,
                               struct mio_err *err);
/* Rows in the arena; *found is false for what is absent, not committed, or (seen: true) not visible
 * yet. */
enum mio_code sim_cloud_get(struct sim_cloud *c, struct mio_arena *a, int64_t id, bool seen,
                            struct sim_row *out, bool *found, struct mio_err *err);
enum mio_code sim_cloud_by_name(struct sim_cloud *c, struct mio_arena *a, struct mio_str kind,
                                struct mio_str name, struct sim_row *out, bool *found,
                                struct mio_err *err);
/* Gives the thing a new body and the next version. */
enum mio_code sim_cloud_update(struct sim_cloud *c, struct mio_arena *a, int64_t id,
                               struct mio_str key, struct mio_str body, struct sim_row *out,
                               bool *found, struct mio_err *err);
enum mio_code sim_cloud_delete(struct sim_cloud *c, int64_t id, struct mio_str key,
                               struct mio_err *err);
/* A batched read of n things sees one moment of the cloud: versions and get go between begin and
 * end, on one thread. When begin fails there is no end. */
enum mio_code sim_cloud_read_begin(struct sim_cloud *c, size_t n, struct mio_err *err);
void sim_cloud_read_end(struct sim_cloud *c, struct mio_err *err);
/* The version of each visible thing, 0 for what is not there. */
enum mio_code sim_cloud_versions(struct sim_cloud *c, const int64_t *ids, size_t n,
                                 int64_t *versions, struct mio_err *err);
/* Visible things of a kind in order of creation; key.n > 0: those that bear it. */
enum mio_code sim_cloud_list(struct sim_cloud *c, struct mio_arena *a, struct mio_str kind,
                             struct mio_str key, struct sim_row **out, size_t *n,
                             struct mio_err *err);
enum mio_code sim_cloud_count(struct sim_cloud *c, int64_t *n, struct mio_err *err);
/* One more call of `op` about so many things. */
enum mio_code sim_cloud_called(struct sim_cloud *c, const char *op, size_t items,
                               struct mio_err *err);
/* True the first `times` times it is asked for this rule, whichever process asks. */
bool sim_cloud_fires(struct sim_cloud *c, const char *rule, int64_t times);
