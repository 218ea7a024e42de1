/* providers/environment/registry_session.h: requests to one registry, for push.c and pull.c alone.
 */
#pragma once
#include "providers/environment/registry.h"
#include <curl/curl.h>

#define MIO_OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define MIO_OCI_INDEX "application/vnd.oci.image.index.v1+json"
enum { MIO_REGISTRY_ANSWER = 8 << 20, MIO_REGISTRY_TRIES = 5 };

struct mio_env_session {
    struct mio_arena *a;
    const struct mio_env_registry *r;
    CURL *curl;
    bool lost;            /* the registry no longer knows the upload */
    struct mio_str token; /* what a token server gave; empty: the user's own name and password */
    struct mio_err *err;
};
struct mio_env_exchange {
    const char *method, *url, *type;
    const char *accept;
    int body_fd;         /* body: `body_size` bytes of this file from `body_at` on; else */
    struct mio_str body; /* from memory */
    uint64_t body_at, body_size;
    const char *range; /* of the body, as the registry counts: "0-99" */
    int out_fd;        /* where the answer goes; else into `answer` */
    uint64_t most;     /* bytes that may go there; 0: as many as come */
    uint64_t from;     /* of what was asked for: the part before it is there already */
    bool follow;       /* blobs may lie elsewhere */
    long status;
    struct mio_buf answer;
    char location[2048], offset[64], challenge[2048], answer_type[128];
};
enum mio_code mio_env_session_open(struct mio_env_session *s, struct mio_arena *a,
                                   const struct mio_env_registry *r, struct mio_err *err);
void mio_env_session_close(struct mio_env_session *s);
void mio_env_exchange_init(struct mio_env_exchange *x, const char *method, const char *url);
void mio_env_exchange_free(struct mio_env_exchange *x);
/* One request and its answer; asks for a token where the registry wants one. 404 and 416 are no
 * errors. Errors: MIO_AUTH, MIO_REALITY (refused), MIO_TRANSIENT (no answer, cut off, busy),
 * MIO_IO. */
enum mio_code mio_env_exchange_do(struct mio_env_session *s, struct mio_env_exchange *x);
/* https://HOST/v2/NAME/REST */
const char *mio_env_session_url(struct mio_env_session *s, const char *rest);
/* The same, again as long as the error is a transient one. */
enum mio_code mio_env_exchange_insist(struct mio_env_session *s, struct mio_env_exchange *x);
/* Waits longer from try to try; true (and the error is cleared) when it is worth another. */
bool mio_env_session_again(struct mio_env_session *s, unsigned *tries);
