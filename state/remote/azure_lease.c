/* state/remote/azure_lease.c: the lock of the Azure Blob backend: a lease of a minute or less on
 * the object `lock`, renewed by a thread of its own as long as its holder lives. What its content
 * says of the holder is only for people.
 *
 * A holder that sleeps loses it. It finds out at its next write to the journal or the state, which
 * the one that came after it has made conditional on something else. */
#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/log.h"
#include "state/remote/azure.h"
#include <errno.h>
#include <pthread.h>
#include <time.h>

struct azure_lease {
    struct azure *z;
    struct mio_web *web; /* the renewing thread's */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    bool over;
    char id[37], path[1100];
};

/* ---- one call ---- */

static enum mio_code lease_call(struct azure *z, struct mio_web *web, struct mio_arena *a,
                                const char *path, const char *action, const char *id,
                                struct mio_web_reply *r, struct mio_err *err)
{
    struct azure_request q = {.method = "PUT",
                              .path = path,
                              .query = "comp=lease",
                              .ms = {mio_arena_printf(a, "x-ms-lease-action:%s", action).p}};
    if (strcmp(action, "acquire") == 0) {
        q.ms[1] = mio_arena_printf(a, "x-ms-lease-duration:%u", z->lease_s).p;
        q.ms[2] = mio_arena_printf(a, "x-ms-proposed-lease-id:%s", id).p;
    } else if (id) {
        q.ms[1] = mio_arena_printf(a, "x-ms-lease-id:%s", id).p;
    } else {
        q.ms[1] = "x-ms-lease-break-period:0";
    }
    return azure_call(z, web, a, &q, r, err);
}

/* Content of the lock object; id NULL: without a lease. */
static enum mio_code put_note(struct azure *z, struct mio_arena *a, const char *path,
                              struct mio_str note, const char *id, const char *if_match,
                              struct mio_web_reply *r, struct mio_err *err)
{
    struct azure_request q = {.method = "PUT",
                              .path = path,
                              .if_match = if_match,
                              .ms = {"x-ms-blob-type:BlockBlob"},
                              .body = note,
                              .has_body = true};
    if (id)
        q.ms[1] = mio_arena_printf(a, "x-ms-lease-id:%s", id).p;
    return azure_call(z, z->web, a, &q, r, err);
}

/* ---- renewal ---- */

static void *renew(void *arg)
{
    struct azure_lease *l = arg;
    pthread_mutex_lock(&l->mutex);
    while (!l->over) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += l->z->lease_s / 3;
        int rc = 0;
        while (!l->over && rc != ETIMEDOUT)
            rc = pthread_cond_timedwait(&l->ended, &l->mutex, &until);
        if (l->over)
            break;
        pthread_mutex_unlock(&l->mutex);
        struct mio_arena a;
        struct mio_web_reply r;
        struct mio_err err = {0}; /* the next attempt comes in time; the lock is courtesy */
        mio_arena_init(&a);
        if (lease_call(l->z, l->web, &a, l->path, "renew", l->id, &r, &err))
            mio_log(MIO_WARN, "state", "the lock's lease was not renewed: %s", err.message);
        else if (r.status >= 300)
            mio_log(MIO_WARN, "state", "the lock's lease was lost: status %ld", r.status);
        mio_arena_free(&a);
        pthread_mutex_lock(&l->mutex);
    }
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

static enum mio_code start_renewing(struct azure *z, const char *path, const char *id,
                                    struct mio_err *err)
{
    pthread_condattr_t attr;
    struct azure_lease *l = mio_zalloc(1, sizeof *l);
    l->z = z;
    snprintf(l->id, sizeof l->id, "%s", id);
    snprintf(l->path, sizeof l->path, "%s", path);
    enum mio_code rc = mio_web_open(&z->web_opts, &l->web, err);
    if (rc) {
        free(l);
        return rc;
    }
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->ended, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&l->mutex, NULL);
    int e = pthread_create(&l->thread, NULL, renew, l);
    z->lease = l;
    if (e == 0)
        return MIO_OK;
    z->lease = NULL;
    mio_web_close(l->web);
    free(l);
    return mio_fail_sys(err, e, "cannot start the thread that renews the lock");
}

void azure_stop_renewing(struct azure *z)
{
    struct azure_lease *l = z->lease;
    pthread_mutex_lock(&l->mutex);
    l->over = true;
    pthread_cond_signal(&l->ended);
    pthread_mutex_unlock(&l->mutex);
    pthread_join(l->thread, NULL);
    pthread_cond_destroy(&l->ended);
    pthread_mutex_destroy(&l->mutex);
    mio_web_close(l->web);
    free(l);
    z->lease = NULL;
}

/* ---- the lock ---- */

enum mio_code azure_lock(struct mio_objects *o, struct mio_arena *a, const char *name,
                         struct mio_str note, const char *id, bool *lost, struct mio_err *err)
{
    struct azure *z = (struct azure *)o;
    struct mio_web_reply r;
    const char *path = azure_path(z, a, name);
    const char *guid =
        mio_arena_printf(a, "%.8s-%.4s-%.4s-%.4s-%.12s", id, id + 8, id + 12, id + 16, id + 20).p;
    enum mio_code rc = lease_call(z, z->web, a, path, "acquire", guid, &r, err);
    if (rc == MIO_OK && r.status == 404) { /* the first lock of all */
        rc = put_note(z, a, path, MIO_STR(""), NULL, "*", &r, err);
        rc = rc ? rc : lease_call(z, z->web, a, path, "acquire", guid, &r, err);
    }
    if (rc)
        return rc;
    *lost = r.status >= 300;
    if (*lost)
        return MIO_OK;
    rc = put_note(z, a, path, note, guid, NULL, &r, err);
    if (rc == MIO_OK && r.status >= 300)
        rc = mio_fail(err, MIO_IO, "the lock's note cannot be written: status %ld", r.status);
    rc = rc ? rc : start_renewing(z, path, guid, err);
    if (rc) {
        struct mio_err ignored = {0}; /* it ends by itself */
        (void)lease_call(z, z->web, a, path, "release", guid, &r, &ignored);
    }
    return rc;
}

void azure_unlock(struct mio_objects *o, const char *name)
{
    struct azure *z = (struct azure *)o;
    struct mio_arena a;
    struct mio_web_reply r;
    struct mio_err ignored = {0}; /* what is not released ends by itself */
    char guid[37];
    if (!z->lease)
        return;
    snprintf(guid, sizeof guid, "%s", z->lease->id);
    azure_stop_renewing(z);
    mio_arena_init(&a);
    const char *path = azure_path(z, &a, name);
    if (put_note(z, &a, path, MIO_STR(""), guid, NULL, &r, &ignored) == MIO_OK)
        (void)lease_call(z, z->web, &a, path, "release", guid, &r, &ignored);
    mio_arena_free(&a);
}

enum mio_code azure_break(struct mio_objects *o, const char *name, struct mio_err *err)
{
    struct azure *z = (struct azure *)o;
    struct mio_arena a;
    struct mio_web_reply r;
    mio_arena_init(&a);
    const char *path = azure_path(z, &a, name);
    enum mio_code rc = lease_call(z, z->web, &a, path, "break", NULL, &r, err);
    if (rc == MIO_OK) /* 409: there was no lease any more, only its note */
        rc = put_note(z, &a, path, MIO_STR(""), NULL, NULL, &r, err);
    mio_arena_free(&a);
    return rc;
}
