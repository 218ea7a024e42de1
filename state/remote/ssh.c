/* state/remote/ssh.c: objects as files of a folder on another machine, through the ssh program.
 *
 * One ssh runs a small loop of POSIX shell over there, which takes requests line by line. A put is
 * taken in, synced and then, under flock, compared and renamed in one step. A line that breaks is
 * made anew once: every request may be repeated. */
#include "providers/sdk/alloc.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fault.h"
#include "providers/sdk/proc.h"
#include "state/remote/wait.h"
#include <errno.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONNECT_S = 15, LOGIN_S = 30, MOST_ARGS = 24, ANSWER_MAX = 512 * 1024 * 1024 };
enum { DONE = 0, FAILED = 5, ABSENT = 8, LOST = 9 };    /* the loop's answers */
enum { NO_TOOLS = 3, NO_FOLDER = 4, SSH_FAILED = 255 }; /* exit codes: of the loop, of ssh */

struct ssh {
    struct mio_objects base;
    struct mio_arena arena;
    const char *host, *user, *port, *key, *known_hosts, *program;
    struct mio_str folder; /* quoted for the shell */
    pid_t pid;
    int fd;    /* both ways to the loop; -1: not connected */
    int words; /* what ssh says on its standard error */
    unsigned timeout_s;
    bool dialling;
    bool mute, given_up; /* the last request got no answer in time; two in a row did not */
};

/* Requests: "get NAME", "put NAME CONDITION SIZE" and the bytes, "del NAME", "list". CONDITION: -
 * none, + absent, or the digest of what must be there. Answers: "CODE SIZE" and the bytes. */
static const char loop[] =
    "LC_ALL=C; export LC_ALL; umask 077; command -v flock sha256sum sync >/dev/null || exit 3\n"
    "mkdir -p %.*s && cd %.*s && mkdir -p journal generations || exit 4\n"
    "t=.tmp.$$; trap 'rm -f $t' EXIT; echo 0 0\n"
    "while read -r op name tag size; do r=0; case $op in\n"
    "get) exec 9>.lock; flock -s 9; if [ -e \"$name\" ]; then echo 0 $(wc -c <\"$name\"); cat "
    "\"$name\"; "
    "else echo 8 0; fi; exec 9>&-;;\n"
    "put) head -c \"$size\" >$t; [ \"$tag\" = + ] && [ -e \"$name\" ] && r=9\n"
    "[ $r = 9 ] || { [ $(wc -c <$t) -eq \"$size\" ] && sync $t; } || r=5; exec 9>.lock; flock 9\n"
    "case $tag in -) ;; +) [ -e \"$name\" ] && r=9;;\n"
    "*) [ -e \"$name\" ] && [ \"$(sha256sum <\"$name\" | cut -c1-64)\" = \"$tag\" ] || r=9;; esac\n"
    "[ $r = 0 ] && { mv -f $t \"$name\" && sync \"$(dirname \"$name\")\" || r=5; }; exec 9>&-; "
    "echo $r 0;;\n"
    "del) exec 9>.lock; flock 9; rm -f \"$name\" || r=5; exec 9>&-; echo $r 0;;\n"
    "list) l=$(find . -type f ! -name '.*' | cut -c3- | sort); printf '0 %%d\\n%%s' ${#l} "
    "\"$l\";;\n"
    "esac; done\n";

/* 'text' for a POSIX shell. */
static struct mio_str quoted(struct mio_arena *a, const char *text)
{
    MIO_AUTO_BUF b = {0};
    mio_buf_char(&b, '\'');
    for (const char *p = text; *p; p++) {
        if (*p == '\'')
            mio_buf_z(&b, "'\\''");
        else
            mio_buf_char(&b, *p);
    }
    mio_buf_char(&b, '\'');
    return mio_arena_str(a, mio_buf_view(&b));
}

/* ---- the line ---- */

/* The exit code of ssh, which is that of the loop, or 255; -1: neither ended by itself. */
static int hang_up(struct ssh *s)
{
    enum { PATIENCE_MS = 2000 };
    struct mio_err ignored = {0};
    int status = 0;
    bool late = true;
    if (s->fd < 0)
        return -1;
    close(s->fd); /* the loop reads its end and goes */
    s->fd = -1;
    (void)mio_proc_wait(s->pid, mio_now_ms() + PATIENCE_MS, &status, &late, &ignored);
    return !late && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A login takes its time, however short that of answers may be. */
static unsigned patience(const struct ssh *s)
{
    return s->dialling && !s->given_up && s->timeout_s < LOGIN_S ? LOGIN_S : s->timeout_s;
}

static enum mio_code silent(struct ssh *s, bool twice, struct mio_err *err)
{
    mio_fail(err, MIO_TRANSIENT, "no answer from %s through ssh in %u s%s", s->base.where,
             patience(s), twice ? ", twice" : "");
    s->given_up = true;
    return mio_silent_hint(err);
}

/* The line is gone, and what ssh says counts. */
static enum mio_code broken(struct ssh *s, const char *what, struct mio_err *err)
{
    char said[2048] = "";
    ssize_t n = pread(s->words, said, sizeof said - 1, 0);
    struct mio_str text = mio_str_trim((struct mio_str){said, n > 0 ? (size_t)n : 0});
    bool denied = memmem(text.p, text.n, "ermission denied", 16);
    if (memmem(text.p, text.n, "Host key verification failed", 28)) {
        mio_fail(err, MIO_AUTH, "ssh to %s: its host key is not one that is known for it", s->host);
        return mio_err_hint(err,
                            "Find out why. A key that is right belongs into the file of "
                            "`known_hosts`: ssh-keyscan shows it, somebody must vouch for it.");
    }
    text = mio_str_sub(text, text.n > 240 ? text.n - 240 : 0, text.n); /* the last words count */
    mio_fail(err, denied ? MIO_AUTH : MIO_TRANSIENT, "ssh to %s: %s", s->host, what);
    return mio_err_cause(err, "%.*s", MIO_FMT(text));
}

/* Why there is no loop that answers. */
static enum mio_code no_loop(struct ssh *s, int code, struct mio_err *err)
{
    static const struct {
        int code;
        const char *what, *hint;
    } rows[] = {
        {NO_TOOLS, "flock, sha256sum and sync are not all there",
         "Install them over there: on Debian they are in util-linux and coreutils."},
        {NO_FOLDER, "the folder of `path` cannot be made or written",
         "Give the user of the backend a folder of its own over there."},
        {SSH_FAILED, "no connection",
         "Try `ssh` by hand with the same host, port, user and key, then run the command again."},
        {-1, "what answers is not a POSIX shell, or something is printed at each login",
         "`ssh HOST 'exec sh -c :'` must succeed and print nothing."},
    };
    size_t i = 0;
    while (rows[i].code != code && rows[i].code != -1)
        i++;
    broken(s, rows[i].what, err);
    return err->hint[0] ? err->code : mio_err_hint(err, "%s", rows[i].hint);
}

static bool wait_for(struct ssh *s, short events)
{
    s->mute = !mio_wait_fd(s->base.where, patience(s), s->fd, events);
    return !s->mute;
}

static bool send_all(struct ssh *s, const char *p, size_t n)
{
    while (n) {
        if (!wait_for(s, POLLOUT))
            return false;
        ssize_t done = send(s->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (done < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (done <= 0)
            return false;
        p += done;
        n -= (size_t)done;
    }
    return true;
}

static bool receive(struct ssh *s, char *p, size_t n)
{
    while (n) {
        if (!wait_for(s, POLLIN))
            return false;
        ssize_t got = recv(s->fd, p, n, MSG_DONTWAIT);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got <= 0)
            return false;
        p += got;
        n -= (size_t)got;
    }
    return true;
}

/* "CODE SIZE" and the bytes. */
static bool answer(struct ssh *s, struct mio_arena *a, int *code, struct mio_str *text)
{
    char line[40];
    size_t n = 0;
    while (n < sizeof line && receive(s, &line[n], 1) && line[n] != '\n')
        n++;
    struct mio_str l = {line, n < sizeof line ? n : 0};
    ptrdiff_t gap = mio_str_find(l, ' ');
    uint64_t c, size;
    if (gap < 0 || !mio_str_u64(mio_str_sub(l, 0, (size_t)gap), &c) ||
        !mio_str_u64(mio_str_sub(l, (size_t)gap + 1, l.n), &size) || size > ANSWER_MAX || c > LOST)
        return false;
    char *p = mio_arena_alloc(a, size + 1);
    if (!receive(s, p, size))
        return false;
    p[size] = '\0';
    *text = (struct mio_str){p, size};
    *code = (int)c;
    return true;
}

static void arguments(const struct ssh *s, struct mio_arena *a, const char *argv[MOST_ARGS])
{
    static const char *const fixed[] = {"-T",
                                        "-o",
                                        "BatchMode=yes",
                                        "-o",
                                        "StrictHostKeyChecking=yes",
                                        "-o",
                                        "ServerAliveInterval=15",
                                        "-o",
                                        "ControlPath=none"};
    size_t n = 0;
    argv[n++] = s->program;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        argv[n++] = fixed[i];
    argv[n++] = "-o";
    argv[n++] = mio_arena_printf(a, "ConnectTimeout=%d", CONNECT_S).p;
    if (s->port) {
        argv[n++] = "-p";
        argv[n++] = s->port;
    }
    if (s->key) {
        argv[n++] = "-i";
        argv[n++] = s->key;
    }
    if (s->known_hosts) {
        argv[n++] = "-o";
        argv[n++] = mio_arena_printf(a, "UserKnownHostsFile=%s", s->known_hosts).p;
    }
    argv[n++] = "--";
    argv[n++] = s->user ? mio_arena_printf(a, "%s@%s", s->user, s->host).p : s->host;
    struct mio_str script = mio_arena_printf(a, loop, MIO_FMT(s->folder), MIO_FMT(s->folder));
    argv[n++] = mio_arena_printf(a, "exec sh -c %.*s", MIO_FMT(quoted(a, script.p))).p;
    argv[n] = NULL;
}

static enum mio_code dial(struct ssh *s, struct mio_err *err)
{
    int pair[2], code;
    struct mio_arena a;
    struct mio_str none;
    const char *argv[MOST_ARGS];
    if (s->fd >= 0)
        return MIO_OK;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0 ||
        ftruncate(s->words, 0) != 0)
        return mio_fail_sys(err, errno, "cannot start ssh");
    mio_arena_init(&a);
    arguments(s, &a, argv);
    struct mio_proc_opts p = {.argv = argv, .in = pair[1], .out = pair[1], .err = s->words};
    enum mio_code rc = mio_proc_spawn(&p, &s->pid, err);
    close(pair[1]);
    if (rc) {
        close(pair[0]);
    } else {
        s->fd = pair[0];
        s->dialling = true;
        if (!answer(s, &a, &code, &none)) {
            int end = hang_up(s);
            rc = s->mute ? silent(s, false, err) : no_loop(s, end, err);
        }
        s->dialling = false;
    }
    mio_arena_free(&a);
    return rc;
}

static enum mio_code request(struct ssh *s, struct mio_arena *a, struct mio_str line,
                             struct mio_str body, int *code, struct mio_str *text,
                             struct mio_err *err)
{
    for (int attempt = 0;; attempt++) {
        enum mio_code rc = dial(s, err);
        if (rc)
            return rc;
        s->mute = false;
        if (!mio_fault("request") && send_all(s, line.p, line.n) && send_all(s, body.p, body.n) &&
            answer(s, a, code, text) && !mio_fault("reply"))
            break;
        hang_up(s);
        if (s->mute && (attempt == 1 || s->given_up))
            return silent(s, attempt == 1, err);
        if (attempt == 1)
            return broken(s, "the connection broke twice", err);
    }
    s->given_up = false;
    if (*code == FAILED)
        return mio_fail(err, MIO_IO, "%s cannot write: disk full, or no permission", s->base.where);
    return MIO_OK;
}

/* ---- objects ---- */

static struct mio_str tag_of(struct mio_arena *a, struct mio_str text)
{
    uint8_t sum[MIO_SHA256_LEN];
    char hex[MIO_SHA256_HEX + 1];
    mio_sha256_of(text.n ? text.p : "", text.n, sum);
    mio_hex(sum, sizeof sum, hex);
    return mio_arena_str(a, mio_str_z(hex));
}

static enum mio_code ssh_get(struct mio_objects *o, struct mio_arena *a, const char *name,
                             struct mio_str *text, struct mio_str *tag, bool *found,
                             struct mio_err *err)
{
    int code;
    enum mio_code rc = request((struct ssh *)o, a, mio_arena_printf(a, "get %s\n", name),
                               MIO_STR(""), &code, text, err);
    *found = rc == MIO_OK && code == DONE;
    if (*found)
        *tag = tag_of(a, *text);
    return rc;
}

static enum mio_code ssh_put(struct mio_objects *o, struct mio_arena *a, const char *name,
                             struct mio_str text, const char *if_tag, struct mio_str *tag,
                             bool *lost, struct mio_err *err)
{
    int code;
    struct mio_str none;
    const char *condition = !if_tag ? "-" : *if_tag ? if_tag : "+";
    enum mio_code rc =
        request((struct ssh *)o, a, mio_arena_printf(a, "put %s %s %zu\n", name, condition, text.n),
                text, &code, &none, err);
    if (rc)
        return rc;
    *lost = code == LOST;
    *tag = tag_of(a, text);
    return MIO_OK;
}

static enum mio_code ssh_del(struct mio_objects *o, const char *name, struct mio_err *err)
{
    struct mio_arena a;
    struct mio_str none;
    int code;
    mio_arena_init(&a);
    enum mio_code rc = request((struct ssh *)o, &a, mio_arena_printf(&a, "del %s\n", name),
                               MIO_STR(""), &code, &none, err);
    mio_arena_free(&a);
    return rc;
}

static enum mio_code ssh_list(struct mio_objects *o, struct mio_arena *a, const char *prefix,
                              struct mio_str **names, size_t *n, struct mio_err *err)
{
    struct mio_str out = MIO_STR("");
    int code;
    size_t cap = 0;
    enum mio_code rc =
        request((struct ssh *)o, a, MIO_STR("list\n"), MIO_STR(""), &code, &out, err);
    *names = NULL;
    *n = 0;
    for (size_t at = 0; rc == MIO_OK && at < out.n;) {
        const char *nl = memchr(out.p + at, '\n', out.n - at);
        struct mio_str line = {out.p + at, nl ? (size_t)(nl - out.p) - at : out.n - at};
        if (mio_str_starts(line, prefix))
            MIO_PUSH(a, *names, *n, cap) = line;
        at += line.n + 1;
    }
    return rc;
}

static void ssh_close(struct mio_objects *o)
{
    struct ssh *s = (struct ssh *)o;
    hang_up(s);
    if (s->words >= 0)
        close(s->words);
    mio_arena_free(&s->arena);
    free(s);
}

/* Nothing of the template may become an option of ssh or a word of the shell. */
static bool plain(const char *text)
{
    return *text && *text != '-' &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-:[]") ==
               strlen(text);
}

static enum mio_code settings(struct ssh *s, const struct mio_backend_args *args,
                              struct mio_err *err)
{
    struct mio_arena *a = &s->arena;
    const char *folder;
    enum mio_code rc = mio_setting(a, args, "host", NULL, &s->host, err);
    rc = rc ? rc : mio_setting(a, args, "path", NULL, &folder, err);
    rc = rc ? rc : mio_setting(a, args, "user", "", &s->user, err);
    rc = rc ? rc : mio_setting(a, args, "port", "", &s->port, err);
    rc = rc ? rc : mio_setting(a, args, "identity_file", "", &s->key, err);
    rc = rc ? rc : mio_setting(a, args, "known_hosts", "", &s->known_hosts, err);
    rc = rc ? rc : mio_setting_timeout(a, args, &s->timeout_s, err);
    if (rc)
        return rc;
    s->user = *s->user ? s->user : NULL;
    s->port = *s->port ? s->port : NULL;
    s->key = *s->key ? s->key : NULL;
    s->known_hosts = *s->known_hosts ? s->known_hosts : NULL;
    if (!plain(s->host) || (s->user && !plain(s->user)) || (s->port && !plain(s->port)))
        return mio_fail(err, MIO_USAGE, "host, user and port of the ssh backend are plain words");
    if (*folder != '/')
        return mio_fail(err, MIO_USAGE, "the path of the ssh backend is absolute");
    struct mio_str program = mio_proc_find(a, "ssh");
    if (program.n == 0) {
        mio_fail(err, MIO_IO, "the program ssh is not installed");
        return mio_err_hint(err, "Install it: apt-get install openssh-client");
    }
    s->program = mio_arena_z(a, program);
    struct mio_str stage = args->stage.n ? args->stage : MIO_STR("default");
    s->folder = quoted(a, mio_arena_printf(a, "%s/%.*s", folder, MIO_FMT(stage)).p);
    s->base.where = mio_arena_printf(a, "%s:%s/%.*s", s->host, folder, MIO_FMT(stage)).p;
    s->words = memfd_create("ssh-stderr", MFD_CLOEXEC);
    return s->words >= 0 ? MIO_OK : mio_fail_sys(err, errno, "cannot start ssh");
}

__attribute__((visibility("default"))) mio_backend_entry mio_backend_open_v1;

enum mio_code mio_backend_open_v1(const struct mio_backend_args *args, struct mio_backend **out,
                                  struct mio_err *err)
{
    struct ssh *s = mio_zalloc(1, sizeof *s);
    mio_arena_init(&s->arena);
    s->fd = s->words = -1;
    s->base = (struct mio_objects){.where = "ssh",
                                   .get = ssh_get,
                                   .put = ssh_put,
                                   .del = ssh_del,
                                   .list = ssh_list,
                                   .close = ssh_close};
    enum mio_code rc = settings(s, args, err);
    rc = rc ? rc : dial(s, err);
    if (rc) {
        ssh_close(&s->base);
        return rc;
    }
    return mio_backend_objects(&s->base, "ssh", args, out, err);
}
