/* providers/sdk/log.c: see log.h. The sink, the secrets it hides and the level are process-wide. */
#include "providers/sdk/log.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>
#include "providers/sdk/alloc.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/clock.h"

static struct {
    pthread_mutex_t lock;
    _Atomic int level;
    int fd;
    struct mio_str *secrets;
    size_t nsecrets, cap;
} sink = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = MIO_LEVEL_OFF, .fd = 2};

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

bool mio_log_on(enum mio_level level)
{
    return (int)level >= atomic_load_explicit(&sink.level, memory_order_relaxed);
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

void mio_log_secret(struct mio_str value)
{
    if (value.n < 6)
        return;
    pthread_mutex_lock(&sink.lock);
    bool known = false;
    for (size_t i = 0; i < sink.nsecrets && !known; i++)
        known = mio_str_eq(sink.secrets[i], value);
    if (!known) {
        if (sink.nsecrets == sink.cap) {
            sink.cap = sink.cap ? sink.cap * 2 : 8;
            sink.secrets = mio_realloc(sink.secrets, sink.cap, sizeof *sink.secrets);
        }
        char *copy = mio_alloc(value.n);
        memcpy(copy, value.p, value.n);
        sink.secrets[sink.nsecrets++] = (struct mio_str){copy, value.n};
    }
    pthread_mutex_unlock(&sink.lock);
}

/* Length of the registered secret that starts at p, or 0. */
static size_t secret_at(const char *p, size_t n)
{
    for (size_t i = 0; i < sink.nsecrets; i++)
        if (sink.secrets[i].n <= n && memcmp(p, sink.secrets[i].p, sink.secrets[i].n) == 0)
            return sink.secrets[i].n;
    return 0;
}

/* Length of the control or direction-changing character at p, or 0 when it is harmless. */
static size_t control_at(const unsigned char *p, size_t n)
{
    if ((p[0] < 0x20 && p[0] != '\n' && p[0] != '\t') || p[0] == 0x7F)
        return 1;
    if (n >= 2 && p[0] == 0xC2 && p[1] >= 0x80 && p[1] <= 0x9F)
        return 2; /* C1 */
    if (n >= 3 && p[0] == 0xE2 &&
        ((p[1] == 0x80 && p[2] >= 0xAA && p[2] <= 0xAE) ||
         (p[1] == 0x81 && p[2] >= 0xA6 && p[2] <= 0xA9)))
        return 3; /* bidi embeddings, overrides and isolates */
    return 0;
}

void mio_redact(struct mio_buf *out, struct mio_str text)
{
    pthread_mutex_lock(&sink.lock);
    size_t from = 0;
    for (size_t i = 0; i < text.n;) {
        size_t secret = sink.nsecrets ? secret_at(text.p + i, text.n - i) : 0;
        size_t control = secret ? 0 : control_at((const unsigned char *)text.p + i, text.n - i);
        if (!secret && !control) {
            i++;
            continue;
        }
        mio_buf_add(out, text.p + from, i - from);
        if (secret)
            mio_buf_z(out, "(sensitive value)");
        for (size_t k = 0; k < control; k++)
            mio_buf_printf(out, "\\x%02x", (unsigned)(unsigned char)text.p[i + k]);
        i += secret + control;
        from = i;
    }
    mio_buf_add(out, text.p + from, text.n - from);
    pthread_mutex_unlock(&sink.lock);
}

void mio_log(enum mio_level level, const char *room, const char *fmt, ...)
{
    if (!mio_log_on(level))
        return;
    MIO_AUTO_BUF raw = {0}, line = {0};
    va_list ap;
    va_start(ap, fmt);
    mio_buf_vprintf(&raw, fmt, ap);
    va_end(ap);
    char when[24];
    mio_rfc3339(mio_wall_s(), when);
    mio_buf_printf(&line, "%s [%s] %s: ", when, names[level], room);
    mio_redact(&line, mio_buf_view(&raw));
    mio_buf_char(&line, '\n');
    ssize_t ignored =
        write(sink.fd, line.p, line.n); /* a log that cannot be written stops nothing */
    (void)ignored;
}
