/* state/remote/azure.h: what the files of the Azure Blob backend share. Nobody else includes it. */
#pragma once
#include "state/remote/object.h"
#include "state/remote/web.h"

struct azure_lease;
enum { AZURE_LEASE_MIN = 15, AZURE_LEASE_MAX = 60 }; /* seconds */
struct azure {
    struct mio_objects base;
    struct mio_arena arena;
    struct mio_web *web;
    struct mio_web_opts web_opts;
    const char *endpoint, *account, *container, *prefix, *sas;
    const char *account_path;  /* of the endpoint: "" or "/account" (path-style addresses) */
    struct mio_str key;        /* decoded; empty with a SAS */
    unsigned lease_s;          /* how long the lock outlives its holder; AZURE_LEASE_MAX at most */
    struct azure_lease *lease; /* NULL: none is held */
};

enum { AZURE_HEADERS = 5 };
struct azure_request {
    const char *method, *path;
    const char *query;             /* in order, "k=v&k=v", decoded; NULL: none */
    const char *if_match;          /* NULL, "*" for If-None-Match, else an ETag */
    const char *ms[AZURE_HEADERS]; /* "x-ms-name:value"; ended by NULL */
    struct mio_str body;
    bool has_body;
};
/* MIO_OK for 1xx to 2xx, 404, 409 and 412; the container is there. `web`: of the calling thread. */
enum mio_code azure_call(struct azure *z, struct mio_web *web, struct mio_arena *a,
                         const struct azure_request *q, struct mio_web_reply *r,
                         struct mio_err *err);
/* "/container/prefix/name", percent-encoded. */
const char *azure_path(const struct azure *z, struct mio_arena *a, const char *name);

/* The lock of struct mio_objects, as a lease that is renewed while its holder lives. */
enum mio_code azure_lock(struct mio_objects *o, struct mio_arena *a, const char *name,
                         struct mio_str note, const char *id, bool *lost, struct mio_err *err);
void azure_unlock(struct mio_objects *o, const char *name);
enum mio_code azure_break(struct mio_objects *o, const char *name, struct mio_err *err);
void azure_stop_renewing(struct azure *z); /* of a held lease, which is not released */
