/* state/remote/wait.c: see wait.h. */
#include "state/remote/wait.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/log.h"
#include <errno.h>
#include <poll.h>

enum { LONGEST_S = 3600 };

enum mio_code mio_setting_timeout(struct mio_arena *a, const struct mio_backend_args *args,
                                  unsigned *seconds, struct mio_err *err)
{
    const char *text;
    uint64_t n;
    enum mio_code rc = mio_setting(a, args, "timeout_seconds", "60", &text, err);
    if (rc)
        return rc;
    if (!mio_str_u64(mio_str_z(text), &n) || n < 1 || n > LONGEST_S)
        return mio_fail(err, MIO_USAGE, "`timeout_seconds` is 1 to %d", LONGEST_S);
    *seconds = (unsigned)n;
    return MIO_OK;
}

bool mio_wait_fd(const char *where, unsigned seconds, int fd, short events)
{
    int64_t begun = mio_now_ms(), end = begun + (int64_t)seconds * 1000;
    bool told = false;
    for (int64_t now = begun; now < end; now = mio_now_ms()) {
        int64_t until = told || end < begun + MIO_SILENT_MS ? end : begun + MIO_SILENT_MS;
        struct pollfd p = {.fd = fd, .events = events};
        int n = poll(&p, 1, until > now ? (int)(until - now) : 0);
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
        if (n == 0 && !told && until < end) {
            mio_log(MIO_WARN, "state", "no answer from %s for %d s; it is given up after %u s",
                    where, MIO_SILENT_MS / 1000, seconds);
            told = true;
        }
    }
    return false;
}

enum mio_code mio_silent_hint(struct mio_err *err)
{
    return mio_err_hint(err, "See whether the server hangs, or something between here and there "
                             "does; then run the command again: it looks first at what arrived. "
                             "Where answers take so long, set `timeout_seconds` of the backend.");
}
