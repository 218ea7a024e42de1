/* tests/providers/local/serving_support.c: see serving_support.h. */
#include "tests/providers/local/serving_support.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/proc.h"

int serving_setup(void **state)
{
    if (fixture_open(state))
        return -1;
    struct fixture *f = *state;
    fixture_configure(f, "{\"workspace\":\"ws\"}");
    return do_create(f, "workspace", "w", "{'name':'ws'}").rc == MLOPS_OK ? 0 : -1;
}

int serving_teardown(void **state)
{
    struct fixture *f = *state;
    pid_t left[64];
    do_remove(f, "endpoint", "ws/fare");
    int n = processes(f, left, 64);
    for (int i = 0; i < n; i++) {
        print_error("left: %s\n",
                    RUN(f, "ps", "-o", "pid,args", "-p", text(f, "%d", (int)left[i])));
        kill(left[i], SIGKILL);
    }
    return fixture_close(state) || n ? -1 : 0;
}

/* ---- making things ---- */

struct answer make_endpoint(struct fixture *f, const char *more)
{
    struct answer a =
        do_create(f, "endpoint", "e", text(f, "{%s'name':'fare','workspace':'ws'}", more));
    assert_done(a);
    return a;
}

void put_script(struct fixture *f, const char *name, const char *script)
{
    put_file(f, text(f, "%s/src-%s/score.py", f->dir, name), script);
}

void put_plain_script(struct fixture *f, const char *name, const char *says)
{
    put_script(f, name,
               text(f,
                    "def init(): pass\ndef run(raw_data): return {'by': '%s', 'got': raw_data}\n",
                    says));
}

const char *deployment_inputs(struct fixture *f, const char *name, const char *more)
{
    return text(f,
                "{%s'name':'%s','workspace':'ws','endpoint':'fare',"
                "'code_configuration':{'code':'src-%s','scoring_script':'score.py'}}",
                more, name, name);
}

struct answer make_deployment(struct fixture *f, const char *name, const char *more)
{
    if (!mio_fs_exists(text(f, "%s/src-%s/score.py", f->dir, name)))
        put_plain_script(f, name, name);
    struct answer a = do_create(f, "deployment", "d", deployment_inputs(f, name, more));
    assert_done(a);
    return a;
}

struct answer set_traffic(struct fixture *f, const char *traffic)
{
    struct answer a = do_update(f, "endpoint", "t", "ws/fare",
                                text(f, "{'name':'fare','workspace':'ws','traffic':{%s}}", traffic),
                                "['traffic']");
    assert_done(a);
    return a;
}

const char *endpoint_dir(struct fixture *f)
{
    return text(f, "%s/workspaces/ws/endpoints/fare", f->root);
}

const char *endpoint_file(struct fixture *f, const char *name)
{
    return text(f, "%s/%s", endpoint_dir(f), name);
}

/* ---- asking ---- */

static int64_t port_of(struct fixture *f)
{
    struct mio_value v;
    struct mio_err err = {0};
    const char *record = get_file(f, endpoint_file(f, "endpoint.json"));
    assert_int_equal(mio_json_read(&f->arena, mio_str_z(record), NULL, &v, &err), MIO_OK);
    return mio_get_i64(v, "port", 0);
}

static const char *talk(struct fixture *f, int fd, const char *ask)
{
    MIO_AUTO_BUF all;
    mio_buf_init(&all, 0);
    char chunk[8192];
    ssize_t n = send(fd, ask, strlen(ask), MSG_NOSIGNAL);
    while (n >= 0 && (n = recv(fd, chunk, sizeof chunk, 0)) > 0)
        mio_buf_add(&all, chunk, (size_t)n);
    close(fd);
    return text(f, "%s", all.p ? all.p : "");
}

struct reply send_to(struct fixture *f, const char *method, const char *path, const char *header,
                     const char *body)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port_of(f)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        return (struct reply){0};
    }
    const char *got = talk(
        f, fd,
        text(f, "%s %s HTTP/1.1\r\nHost: t\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n%s",
             method, path, header, strlen(body), body));
    const char *end = strstr(got, "\r\n\r\n");
    uint64_t status = 0;
    if (!end || !mio_str_u64(mio_str_sub(mio_str_z(got), 9, 3), &status))
        return (struct reply){0};
    return (struct reply){(int)status, {got, (size_t)(end - got)}, mio_str_z(end + 4)};
}

const char *key_header(struct fixture *f, const char *which)
{
    const char *line = get_file(f, endpoint_file(f, text(f, "keys/%s", which)));
    return text(f, "%.*s\r\n", MIO_FMT(mio_str_trim(mio_str_z(line))));
}

struct reply score(struct fixture *f, const char *body)
{
    return send_to(f, "POST", "/score", key_header(f, "primary"), body);
}

struct mio_str header_of(struct fixture *f, const struct reply *r, const char *name)
{
    const char *head = text(f, "%.*s\r\n", MIO_FMT(r->head));
    const char *at = strstr(head, text(f, "\r\n%s: ", name));
    if (!at)
        return MIO_STR("");
    at += strlen(name) + 4;
    return (struct mio_str){at, strcspn(at, "\r")};
}

const char *runtime(struct fixture *f, const char *command)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int dir = open(endpoint_dir(f), O_PATH | O_CLOEXEC);
    snprintf(to.sun_path, sizeof to.sun_path, "/proc/self/fd/%d/admin.sock", dir);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    close(dir);
    return talk(f, fd, text(f, "%s\n", command));
}

/* ---- processes ---- */

const char *run(struct fixture *f, const char *const *argv)
{
    MIO_AUTO_BUF out;
    mio_buf_init(&out, 1 << 20);
    struct mio_err err = {0};
    int status = 0;
    const struct mio_proc_opts o = {.argv = argv, .in = -1, .out = -1, .err = -1};
    if (mio_proc_run(&o, mio_now_ms() + 60000, &out, &status, &err))
        fail_msg("%s", err.message);
    if (status)
        fail_msg("%s: status %d: %s", argv[0], status, out.p ? out.p : "");
    return text(f, "%s", out.p ? out.p : "");
}

/* By its folder, its command line, or, inside a sandbox, by what is mounted there. */
static bool below(struct fixture *f, const char *pid)
{
    char link[512] = "";
    if (readlink(text(f, "/proc/%s/cwd", pid), link, sizeof link - 1) > 0 &&
        strncmp(link, f->dir, strlen(f->dir)) == 0)
        return true;
    const char *const files[] = {"cmdline", "mountinfo"};
    for (int i = 0; i < 2; i++) {
        static char all[1 << 16];
        int fd = open(text(f, "/proc/%s/%s", pid, files[i]), O_RDONLY | O_CLOEXEC);
        ssize_t n = 0, got = 0;
        while (fd >= 0 && (got = read(fd, all + n, sizeof all - (size_t)n)) > 0)
            n += got;
        if (fd >= 0)
            close(fd);
        if (n > 0 && memmem(all, (size_t)n, f->dir, strlen(f->dir)))
            return true;
    }
    return false;
}

int processes(struct fixture *f, pid_t *pids, int max)
{
    int n = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *e; (e = readdir(d));) {
        uint64_t pid;
        if (mio_str_u64(mio_str_z(e->d_name), &pid) && (pid_t)pid != getpid() &&
            below(f, e->d_name) && mio_proc_alive((pid_t)pid) && n < max)
            pids[n++] = (pid_t)pid;
    }
    closedir(d);
    return n;
}

pid_t service_pid(struct fixture *f, const char *dir)
{
    uint64_t pid = 0;
    const char *out = RUN(f, "s6-svstat", "-o", "pid", endpoint_file(f, dir));
    mio_str_u64(mio_str_trim(mio_str_z(out)), &pid);
    return (pid_t)pid;
}

/* The only child. */
static pid_t child_of(struct fixture *f, pid_t pid)
{
    char line[64] = "";
    FILE *in = fopen(text(f, "/proc/%d/task/%d/children", (int)pid, (int)pid), "re");
    uint64_t child = 0;
    if (in && fgets(line, sizeof line, in))
        mio_str_u64((struct mio_str){line, strcspn(line, " ")}, &child);
    if (in)
        fclose(in);
    return (pid_t)child;
}

pid_t server_pid(struct fixture *f, const char *dir)
{
    return child_of(f, child_of(f, service_pid(f, dir)));
}

void wait_attr(struct fixture *f, const char *kind, const char *id, const char *key,
               const char *value, int seconds)
{
    struct mio_str got = {0};
    for (int64_t until = mio_now_ms() + seconds * 1000; mio_now_ms() < until; mio_sleep_ms(100)) {
        struct answer a = do_read(f, kind, id, NULL);
        got = attr(&a, key);
        if (mio_str_is(got, value))
            return;
    }
    fail_msg("%s of %s is \"%.*s\", not \"%s\", after %d s", key, id, MIO_FMT(got), value, seconds);
}
