/* state/backend_file_journal.c: the journal of the file backend: one file, room reserved ahead.
 *
 * Reserving strikes a full disk before the first call of a provider, not in the middle of the
 * apply. */
#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"
#include "state/file.h"
#include "state/io.h"
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static const char journal_name[] = "journal", rescue_name[] = "journal.rescue";
enum { RESERVE_FIRST = 256 * 1024, RESERVE_MOST = 16 * 1024 * 1024 };

struct file_sink {
    struct mio_sink base;
    struct mio_file_backend *f;
    int fd, rescue_fd;
    uint64_t reserved, rescue_at;
};

enum mio_code mio_file_journal_read(struct mio_backend *b, struct mio_arena *a,
                                    struct mio_journal_text *out, struct mio_err *err)
{
    struct mio_file_backend *f = (struct mio_file_backend *)b;
    bool rescued = false;
    *out = (struct mio_journal_text){.text = MIO_STR(""), .rescue = MIO_STR("")};
    enum mio_code rc = mio_file_slurp(f, a, journal_name, &out->text, &out->found, err);
    return rc ? rc : mio_file_slurp(f, a, rescue_name, &out->rescue, &rescued, err);
}

static enum mio_code reserve(struct file_sink *s, uint64_t upto, struct mio_err *err)
{
    if (upto <= s->reserved)
        return MIO_OK;
    uint64_t more = s->reserved < RESERVE_FIRST  ? RESERVE_FIRST
                    : s->reserved > RESERVE_MOST ? RESERVE_MOST
                                                 : s->reserved;
    if (s->reserved + more < upto)
        more = upto - s->reserved;
    int e = mio_io_reserve(s->fd, s->reserved, more);
    if (e)
        return mio_file_fail(s->f, e, "reserve room for", journal_name, err);
    s->reserved += more;
    return MIO_OK;
}

static enum mio_code sink_write(struct mio_sink *base, const void *p, size_t n, uint64_t at,
                                struct mio_err *err)
{
    struct file_sink *s = (struct file_sink *)base;
    enum mio_code rc = reserve(s, at + n, err);
    if (rc)
        return rc;
    int e = mio_io_pwrite(s->fd, p, n, at);
    return e ? mio_file_fail(s->f, e, "write", journal_name, err) : MIO_OK;
}

static enum mio_code sink_held(struct mio_sink *base, struct mio_err *err)
{
    struct file_sink *s = (struct file_sink *)base;
    struct stat st;
    if (fstat(s->fd, &st) == 0 && st.st_nlink > 0)
        return MIO_OK;
    /* The lock was taken from a run that slept, and its journal settled: it must start nothing
     * more. */
    mio_fail(err, MIO_STATE, "the journal in %s is gone: another run has taken over", s->f->dir);
    return mio_err_hint(err, "Run the command again: it starts from what the other run recorded.");
}

static enum mio_code sink_sync(struct mio_sink *base, struct mio_err *err)
{
    struct file_sink *s = (struct file_sink *)base;
    int e = mio_io_datasync(s->fd);
    return e ? mio_file_fail(s->f, e, "sync", journal_name, err) : sink_held(base, err);
}

static enum mio_code sink_rescue(struct mio_sink *base, const void *p, size_t n,
                                 struct mio_err *err)
{
    struct file_sink *s = (struct file_sink *)base;
    int e = s->rescue_fd >= 0
                ? 0
                : mio_io_open(s->f->fd, rescue_name, O_WRONLY | O_CREAT | O_TRUNC, &s->rescue_fd);
    e = e ? e : mio_io_pwrite(s->rescue_fd, p, n, s->rescue_at);
    e = e ? e : mio_io_sync(s->rescue_fd);
    s->rescue_at += e ? 0 : n; /* else the next attempt writes it anew */
    return e ? mio_file_fail(s->f, e, "write", rescue_name, err) : MIO_OK;
}

static void sink_close(struct mio_sink *base)
{
    struct file_sink *s = (struct file_sink *)base;
    if (s->fd >= 0)
        close(s->fd);
    if (s->rescue_fd >= 0)
        close(s->rescue_fd);
    free(s);
}

/* Cuts what replay did not accept, so that new records follow the last good one. */
static enum mio_code prepare(struct file_sink *s, uint64_t keep, struct mio_err *err)
{
    int e = mio_io_truncate(s->fd, keep);
    if (e)
        return mio_file_fail(s->f, e, "cut", journal_name, err);
    s->reserved = keep;
    enum mio_code rc = reserve(s, keep + 1, err);
    if (rc)
        return rc;
    e = mio_io_sync(s->fd);
    if (e)
        return mio_file_fail(s->f, e, "sync", journal_name, err);
    e = mio_io_sync(s->f->fd);
    return e ? mio_file_fail(s->f, e, "sync", ".", err) : MIO_OK;
}

enum mio_code mio_file_journal_open(struct mio_backend *b, uint64_t keep, struct mio_sink **out,
                                    struct mio_err *err)
{
    struct mio_file_backend *f = (struct mio_file_backend *)b;
    struct file_sink *s = mio_alloc(sizeof *s);
    *s = (struct file_sink){.base = {.write = sink_write,
                                     .sync = sink_sync,
                                     .held = sink_held,
                                     .rescue = sink_rescue,
                                     .close = sink_close},
                            .f = f,
                            .fd = -1,
                            .rescue_fd = -1};
    int e = mio_io_open(f->fd, journal_name, O_RDWR | (keep ? 0 : O_CREAT | O_EXCL), &s->fd);
    enum mio_code rc = e ? mio_file_fail(f, e, "create", journal_name, err) : prepare(s, keep, err);
    if (rc) {
        if (e == 0 && keep == 0)
            (void)unlinkat(f->fd, journal_name, 0); /* nothing is in it yet */
        sink_close(&s->base);
        return rc;
    }
    *out = &s->base;
    return MIO_OK;
}

enum mio_code mio_file_journal_replace(struct mio_backend *b, struct mio_str text,
                                       struct mio_err *err)
{
    static const char tmp[] = "journal.tmp";
    struct mio_file_backend *f = (struct mio_file_backend *)b;
    char aside[64], rescue_aside[64];
    snprintf(aside, sizeof aside, "%s.damaged-%ld", journal_name, (long)mio_wall_s());
    snprintf(rescue_aside, sizeof rescue_aside, "%s.damaged-%ld", rescue_name, (long)mio_wall_s());
    enum mio_code rc = mio_file_write_new(f, tmp, text, err);
    if (rc)
        return rc;
    if (linkat(f->fd, journal_name, f->fd, aside, 0) != 0 && errno != EEXIST)
        return mio_file_fail(f, errno, "link", aside, err);
    int e = mio_io_rename(f->fd, tmp, journal_name);
    if (e ==
        0) { /* what it held is in the new journal; should it stay, its results are applied twice */
        e = mio_io_rename(f->fd, rescue_name, rescue_aside);
        e = e == ENOENT ? 0 : e;
    }
    e = e ? e : mio_io_sync(f->fd);
    return e ? mio_file_fail(f, e, "replace", journal_name, err) : MIO_OK;
}

enum mio_code mio_file_journal_drop(struct mio_backend *b, struct mio_err *err)
{
    struct mio_file_backend *f = (struct mio_file_backend *)b;
    if (f->fd < 0)
        return MIO_OK;
    const char *name = rescue_name; /* first: without the journal it would mean nothing */
    int e = mio_io_unlink(f->fd, name);
    if (e == 0)
        e = mio_io_unlink(f->fd, name = journal_name);
    return e ? mio_file_fail(f, e, "remove", name, err) : MIO_OK;
}
