/* state/store_lock.c: taking the lock of a store, waiting for it, and saying who holds it. */
#include "providers/sdk/alloc.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/json.h"
#include "state/store_impl.h"
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <unistd.h>

/* The file first: who is in it needs no directory server, whose modules glibc loads, and which does
 * not survive it when memory runs out meanwhile. */
static struct mio_str user_name(struct mio_arena *a)
{
    char text[1024];
    struct passwd pw, *found = NULL;
    FILE *f = fopen("/etc/passwd", "re");
    if (!f && errno == ENOMEM)
        mio_alloc_die(0);
    while (f && fgetpwent_r(f, &pw, text, sizeof text, &found) == 0 && found->pw_uid != geteuid())
        found = NULL;
    if (f)
        fclose(f);
    if (!found && getpwuid_r(geteuid(), &pw, text, sizeof text, &found) != 0)
        found = NULL;
    return found ? mio_arena_str(a, mio_str_z(found->pw_name))
                 : mio_arena_printf(a, "uid %u", (unsigned)geteuid());
}

void mio_store_who(struct mio_arena *a, struct mio_str *who, struct mio_str *host)
{
    char name[256] = "";
    if (gethostname(name, sizeof name - 1) != 0)
        name[0] = '\0';
    *host = mio_arena_str(a, mio_str_z(name));
    *who = user_name(a);
}

static void put_str(struct mio_buf *b, const char *before, struct mio_str s)
{
    mio_buf_z(b, before);
    mio_json_string(b, s);
}

static void write_note(struct mio_store *s, const char *operation, struct mio_arena *a,
                       struct mio_buf *b)
{
    struct mio_str who, host;
    char when[24];
    uint8_t id[16];
    mio_store_who(a, &who, &host);
    mio_rfc3339(mio_wall_s(), when);
    mio_random(id, sizeof id);
    mio_hex(id, sizeof id, s->lock_id);
    put_str(b, "{\"id\":", mio_str_z(s->lock_id));
    put_str(b, ",\"operation\":", mio_str_z(operation));
    put_str(b, ",\"who\":", who);
    put_str(b, ",\"host\":", host);
    mio_buf_printf(b, ",\"pid\":%ld", (long)getpid());
    put_str(b, ",\"created\":", mio_str_z(when));
    put_str(b, ",\"version\":", MIO_STR(MIO_VERSION));
    mio_buf_z(b, "}\n");
}

static void age_text(struct mio_str created, char *out, size_t size)
{
    int64_t then, age;
    snprintf(out, size, "an unknown time");
    if (!mio_rfc3339_parse(created, &then) || (age = mio_wall_s() - then) < 0)
        return;
    if (age < 60)
        snprintf(out, size, "%ld s", (long)age);
    else if (age < 3600)
        snprintf(out, size, "%ld min", (long)age / 60);
    else
        snprintf(out, size, "%ld h %ld min", (long)age / 3600, (long)age % 3600 / 60);
}

/* Does nothing of that number run, as far as one can see from here? */
static bool gone_here(struct mio_arena *a, struct mio_str host, int64_t pid)
{
    struct mio_str who, here;
    mio_store_who(a, &who, &here);
    return pid > 0 && pid <= INT32_MAX && host.n && mio_str_eq(host, here) &&
           kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

/* What to do about it; pid 0: nothing more is known of its holder. */
static enum mio_code hint_locked(const struct mio_store *s, struct mio_arena *a, struct mio_str id,
                                 struct mio_str host, int64_t pid, struct mio_err *err)
{
    MIO_AUTO_BUF b = {0};
    mio_buf_z(&b, "Wait for it (-lock-timeout=5m).");
    if (s->b->lock_ends_s)
        mio_buf_printf(&b, " When its holder is gone, it ends by itself within %u s.",
                       s->b->lock_ends_s);
    if (s->b->ops->lock_outlives && gone_here(a, host, pid))
        mio_buf_printf(&b,
                       " No process %ld is seen from here, a machine of the same name: unless it "
                       "runs in a container, its holder is gone.",
                       (long)pid);
    if (id.n)
        mio_buf_printf(&b, " If its holder is gone for good: `mlops-iac force-unlock %.*s`.",
                       MIO_FMT(id));
    return mio_err_hint(err, "%s", b.p);
}

/* The error in full, from the note that the holder left. */
static enum mio_code say_locked(struct mio_store *s, struct mio_arena *a, struct mio_str note,
                                struct mio_err *err)
{
    struct mio_value v;
    struct mio_err unreadable = {0};
    mio_err_clear(err);
    if (note.n == 0 || mio_json_read(a, note, NULL, &v, &unreadable)) {
        /* Half a note, of a store that takes half a request for a whole one: any id breaks it. */
        bool torn = s->b->ops->lock_outlives && (note.n || !s->b->lock_ends_s);
        mio_fail(err, MIO_LOCKED, "the state in %s is locked by another process%s", s->b->where,
                 torn ? ", which left no readable note" : "");
        return hint_locked(s, a, torn ? MIO_STR("unreadable") : MIO_STR(""), MIO_STR(""), 0, err);
    }
    char age[64];
    age_text(mio_get_str(v, "created"), age, sizeof age);
    struct mio_str id = mio_get_str(v, "id"), op = mio_get_str(v, "operation"),
                   who = mio_get_str(v, "who"), host = mio_get_str(v, "host");
    int64_t pid = mio_get_i64(v, "pid", 0);
    mio_fail(err, MIO_LOCKED,
             "the state is locked by %.*s on %.*s (pid %ld) for `%.*s`, for %s; lock id %.*s",
             MIO_FMT(who), MIO_FMT(host), (long)pid, MIO_FMT(op), age, MIO_FMT(id));
    return hint_locked(s, a, id, host, pid, err);
}

static bool cancelled(const bool *cancel)
{
    return cancel && __atomic_load_n(cancel, __ATOMIC_RELAXED);
}

/* Sleeps in small steps, so that an interrupt is noticed. */
static void nap(int64_t ms, const bool *cancel)
{
    enum { STEP = 50 };
    for (; ms > 0 && !cancelled(cancel); ms -= STEP)
        mio_sleep_ms(ms < STEP ? ms : STEP);
}

enum mio_code mio_store_lock(struct mio_store *s, const char *operation, int64_t timeout_ms,
                             const bool *cancel, struct mio_err *err)
{
    enum { FIRST_MS = 50, LONGEST_MS = 1000 };
    if (s->locked)
        return MIO_OK;
    struct mio_arena a;
    mio_arena_init(&a);
    MIO_AUTO_BUF note = {0};
    write_note(s, operation, &a, &note);
    int64_t until = mio_now_ms() + timeout_ms, wait = FIRST_MS;
    enum mio_code rc;
    for (;;) {
        struct mio_str held = MIO_STR("");
        struct mio_err try = {0};
        rc = s->b->ops->lock(s->b, mio_buf_view(&note), &a, &held, &try);
        int64_t left = until - mio_now_ms();
        if (rc == MIO_OK || rc != MIO_LOCKED) {
            if (rc)
                *err = try;
            break;
        }
        if (cancelled(cancel)) {
            rc =
                mio_fail(err, MIO_CANCELLED, "interrupted while waiting for the lock of the state");
            break;
        }
        if (left <= 0) {
            rc = say_locked(s, &a, held, err);
            break;
        }
        uint8_t jitter; /* so that many waiters do not come all at once */
        mio_random(&jitter, sizeof jitter);
        int64_t ms = wait / 2 + wait * jitter / 512;
        nap(ms < left ? ms : left, cancel);
        wait = wait * 2 < LONGEST_MS ? wait * 2 : LONGEST_MS;
    }
    s->locked = rc == MIO_OK;
    mio_arena_free(&a);
    return rc;
}

void mio_store_unlock(struct mio_store *s)
{
    if (s->locked)
        s->b->ops->unlock(s->b);
    s->locked = false;
}

enum mio_code mio_store_force_unlock(struct mio_store *s, struct mio_str id, struct mio_err *err)
{
    struct mio_arena a;
    struct mio_str note;
    struct mio_value v = mio_null();
    struct mio_err unreadable = {0};
    bool live;
    mio_arena_init(&a);
    enum mio_code rc = s->b->ops->holder(s->b, &a, &note, &live, err);
    if (rc == MIO_OK && note.n && mio_json_read(&a, note, NULL, &v, &unreadable))
        v = mio_null();
    struct mio_str held = mio_get_str(v, "id");
    if (rc == MIO_OK && note.n == 0 && !live)
        rc = mio_fail(err, MIO_USAGE, "the state in %s is not locked", s->b->where);
    else if (rc == MIO_OK && held.n && !mio_str_eq(held, id)) {
        mio_fail(err, MIO_USAGE, "the lock has the id %.*s, not %.*s", MIO_FMT(held),
                 (int)(id.n > 64 ? 64 : id.n), id.p);
        rc = mio_err_hint(err, "Make sure that its holder is gone, then give this id.");
    } else if (rc == MIO_OK && live && !s->b->ops->lock_outlives) {
        mio_fail(err, MIO_LOCKED, "the holder of the lock is still running (pid %ld on %.*s)",
                 (long)mio_get_i64(v, "pid", 0), MIO_FMT(mio_get_str(v, "host")));
        rc =
            mio_err_hint(err, "This lock falls by itself when its holder ends: stop that process.");
    } else if (rc == MIO_OK) {
        rc = s->b->ops->break_lock(s->b, id, err);
    }
    mio_arena_free(&a);
    return rc;
}
