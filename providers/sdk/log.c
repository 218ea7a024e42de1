/* providers/sdk/log.c: see log.h. Level and descriptor are process-wide. */
#include "providers/sdk/log.h"
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>
#include "providers/sdk/clock.h"
#include "providers/sdk/redact.h"

static struct {
    _Atomic int level;
    int fd;
    mio_log_fn *program; /* whose log it is, when not ours */
} sink = {.level = MIO_LEVEL_OFF, .fd = 2};

static const char *const names[] = {"trace", "debug", "info", "warn", "error", "off"};

void mio_log_setup(enum mio_level level, const char *path)
{
    atomic_store(&sink.level, (int)level);
    if (!path)
        return;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0)
        sink.fd = fd;
}

void mio_log_pass(mio_log_fn *program)
{
    sink.program = program;
}

bool mio_log_on(enum mio_level level)
{
    return sink.program || (int)level >= atomic_load_explicit(&sink.level, memory_order_relaxed);
}

bool mio_level_parse(struct mio_str s, enum mio_level *out)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (mio_str_ieq(s, mio_str_z(names[i]))) {
            *out = (enum mio_level)i;
            return true;
        }
    return false;
}

void mio_log(enum mio_level level, const char *room, const char *fmt, ...)
{
    if (!mio_log_on(level))
        return;
    MIO_AUTO_BUF raw = {0};
    va_list ap;
    va_start(ap, fmt);
    mio_buf_vprintf(&raw, fmt, ap);
    va_end(ap);
    (sink.program ? sink.program : mio_log_line)(level, room, mio_buf_view(&raw));
}

void mio_log_line(enum mio_level level, const char *room, struct mio_str text)
{
    if (!mio_log_on(level))
        return;
    MIO_AUTO_BUF line = {0};
    char when[24];
    mio_rfc3339(mio_wall_s(), when);
    mio_buf_printf(&line, "%s [%s] %s: ", when, names[level], room);
    mio_redact(&line, text);
    mio_buf_char(&line, '\n');
    ssize_t ignored =
        write(sink.fd, line.p, line.n); /* a log that cannot be written stops nothing */
    (void)ignored;
}
