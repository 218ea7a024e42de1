/* providers/local/haproxy.c: the running HAProxy of an endpoint: started, loaded anew, weighed,
 * asked.
 *
 * The configuration carries a digest of itself as `description`, so the running process says which
 * one it has: nothing is remembered, and a run that was killed half-way is carried on by the next.
 */
#include <errno.h>

#include "providers/local/serving.h"

#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/proc.h"

/* A question to the master gets lost when it comes while the master starts anew: ask again soon. */
enum { ASK_MS = 2000, ASK_MASTER_MS = 200, LOAD_MS = 60000, DRAIN_MS = 205000, CHECK_MS = 60000 };

/* While it loads anew, the old process goes on accepting for a moment: only a row of answers from
 * the new one says that the old one has stopped. */
enum { ROW = 10, ROW_STEP_MS = 20, UNKNOWN_MS = 3000, AGAIN_MS = 5000 };

static const char *service_dir(struct local *l, const struct serving *ep)
{
    return mio_arena_printf(l->a, "%s/haproxy", ep->dir).p;
}

/* One command of the runtime API; false when HAProxy does not answer. */
static bool ask(struct local *l, const struct serving *ep, const char *socket, const char *command,
                struct mio_str *answer)
{
    int wait_ms = mio_str_is(mio_str_z(socket), "master.sock") ? ASK_MASTER_MS : ASK_MS;
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 1 << 20);
    if (!unix_ask(ep->dir, socket, mio_arena_printf(l->a, "%s\n", command).p, wait_ms, &b))
        return false;
    *answer = mio_arena_str(l->a, mio_buf_view(&b));
    return b.n > 0; /* success has an empty line; nothing at all comes from one that is killed */
}

static struct mio_str next_line(struct mio_str *rest)
{
    ptrdiff_t at = mio_str_find(*rest, '\n');
    struct mio_str line = mio_str_sub(*rest, 0, at < 0 ? rest->n : (size_t)at);
    *rest = mio_str_sub(*rest, line.n + 1, rest->n);
    return line;
}

static struct mio_str next_word(struct mio_str *line)
{
    ptrdiff_t at = mio_str_find(*line, ' ');
    struct mio_str word = mio_str_sub(*line, 0, at < 0 ? line->n : (size_t)at);
    *line = mio_str_sub(*line, word.n + 1, line->n);
    return word;
}

/* "description: ID" of `show info`; empty when HAProxy does not answer. */
static struct mio_str running_id(struct local *l, const struct serving *ep)
{
    struct mio_str rest, id = {0};
    if (!ask(l, ep, "admin.sock", "show info", &rest))
        return id;
    while (rest.n) {
        struct mio_str line = next_line(&rest);
        if (mio_str_starts(line, "description: "))
            id = mio_str_sub(line, 13, line.n);
    }
    return id;
}

/* Weights as set now: field srv_uweight of `show servers state`. Null when HAProxy does not answer.
 */
static struct mio_value running_weights(struct local *l, const struct serving *ep)
{
    enum { NAME = 3, WEIGHT = 7 };
    struct mio_str rest;
    if (!ask(l, ep, "admin.sock", "show servers state traffic", &rest))
        return mio_null();
    struct mio_pair *pairs = NULL;
    size_t n = 0, cap = 0;
    next_line(&rest); /* version of the format */
    while (rest.n) {
        struct mio_str line = next_line(&rest), name = {0}, weight = {0};
        if (!line.n || line.p[0] == '#')
            continue;
        for (int i = 0; i <= WEIGHT && line.n; i++) {
            struct mio_str word = next_word(&line);
            if (i == NAME)
                name = word;
            else if (i == WEIGHT)
                weight = word;
        }
        uint64_t w;
        if (name.n && mio_str_u64(weight, &w))
            MIO_PUSH(l->a, pairs, n, cap) =
                (struct mio_pair){name, mio_number_i64(l->a, (int64_t)w)};
    }
    return mio_map(pairs, n);
}

/* A command that says nothing when it succeeds. */
static enum mio_code order(struct local *l, const struct serving *ep, const char *command,
                           struct mio_err *err)
{
    struct mio_str answer;
    for (int64_t until = mio_now_ms() + UNKNOWN_MS;; mio_sleep_ms(ROW_STEP_MS)) {
        if (!ask(l, ep, "admin.sock", command, &answer)) {
            if (mio_now_ms() < until)
                continue;
            return mio_fail(err, MIO_TRANSIENT, "HAProxy of endpoint %.*s does not answer",
                            MIO_FMT(ep->name));
        }
        answer = mio_str_trim(answer);
        if (!answer.n)
            return MIO_OK;
        if (!mio_str_starts(answer, "No such") || mio_now_ms() >= until)
            break; /* "No such ...": the process that is going may have answered */
    }
    return mio_fail(err, MIO_REALITY, "HAProxy of endpoint %.*s refuses `%s`: %.*s",
                    MIO_FMT(ep->name), command, MIO_FMT(answer));
}

enum mio_code haproxy_well(struct local *l, const struct served *d, int64_t n, struct mio_err *err)
{
    for (int64_t i = 0; i < n; i++) {
        const char *command = mio_arena_printf(l->a, "set server d_%.*s/r%jd health up",
                                               MIO_FMT(d->name), (intmax_t)i)
                                  .p;
        if (order(l, &d->ep, command, err))
            return err->code;
    }
    return order(l, &d->ep,
                 mio_arena_printf(l->a, "set server traffic/%.*s health up", MIO_FMT(d->name)).p,
                 err);
}

/* Weights that grow first, then those that shrink: at no moment is nobody there to answer. */
static enum mio_code set_weights(struct local *l, const struct serving *ep, struct mio_value now,
                                 struct mio_value want, struct mio_err *err)
{
    for (int shrink = 0; shrink < 2; shrink++) {
        for (uint32_t i = 0; i < now.n; i++) {
            struct mio_str name = now.pairs[i].key;
            const struct mio_value *w = mio_get(want, name);
            int64_t value = 0, had = 0;
            mio_value_i64(now.pairs[i].value, &had);
            if (w)
                mio_value_i64(*w, &value);
            if (value == had || (value < had) != shrink)
                continue;
            struct mio_str command = mio_arena_printf(l->a, "set weight traffic/%.*s %jd",
                                                      MIO_FMT(name), (intmax_t)value);
            if (order(l, ep, command.p, err))
                return err->code;
        }
    }
    return MIO_OK;
}

/* ---- loading ---- */

static enum mio_code with_log(struct local *l, const struct serving *ep, const char *what,
                              struct mio_err *err)
{
    struct mio_str log = service_log(l, service_dir(l, ep), 300);
    mio_fail(err, MIO_REALITY, "HAProxy of endpoint %.*s %s: %.*s", MIO_FMT(ep->name), what,
             MIO_FMT(log.n ? log : MIO_STR("its log is empty")));
    return mio_err_hint(err, "The whole log: %s/logs/current", service_dir(l, ep));
}

/* `haproxy -c`, so that a file which cannot be loaded never replaces one that can. */
static enum mio_code check_file(const struct serving *ep, const char *program, const char *file,
                                struct mio_err *err)
{
    MIO_AUTO_BUF out;
    mio_buf_init(&out, 1 << 16);
    const char *argv[] = {program, "-c", "-f", file, NULL};
    const struct mio_proc_opts opts = {
        .argv = argv, .cwd = ep->dir, .in = -1, .out = -1, .err = -1};
    int status = 0;
    if (mio_proc_run(&opts, mio_now_ms() + CHECK_MS, &out, &status, err))
        return err->code;
    if (status == 0)
        return MIO_OK;
    struct mio_str said = mio_str_trim(mio_buf_view(&out));
    return mio_fail(
        err, MIO_PROVIDER, "HAProxy does not take the configuration of endpoint %.*s: %.*s",
        MIO_FMT(ep->name), MIO_FMT(mio_str_sub(said, said.n > 300 ? said.n - 300 : 0, 300)));
}

static enum mio_code write_file(struct local *l, const struct serving *ep, const char *program,
                                struct mio_str text, struct mio_err *err)
{
    const char *file = mio_arena_printf(l->a, "%s/haproxy.cfg", ep->dir).p;
    const char *fresh = mio_arena_printf(l->a, "%s/haproxy.new", ep->dir).p;
    struct mio_str old = {0};
    bool found = false;
    if (mio_fs_read(l->a, file, 4 << 20, &old, &found, err) || (found && mio_str_eq(old, text)))
        return err->code;
    if (mio_fs_replace(fresh, text, 0600, err) || check_file(ep, program, "haproxy.new", err))
        return err->code;
    if (rename(fresh, file) != 0)
        return mio_fail_sys(err, errno, "cannot replace %s", file);
    return mio_fs_sync_dir(ep->dir, err);
}

static enum mio_code ensure_service(struct local *l, const struct serving *ep, const char *program,
                                    struct mio_err *err)
{
    const char *dir = service_dir(l, ep);
    const char *run =
        mio_arena_printf(l->a, "cd %.*s\nexec %.*s -W -S unix@master.sock,mode,600 -f haproxy.cfg",
                         MIO_FMT(shell_word(l->a, mio_str_z(ep->dir))),
                         MIO_FMT(shell_word(l->a, mio_str_z(program))))
            .p;
    if (mio_fs_mkdirs(mio_arena_printf(l->a, "%s/in", ep->dir).p, 0700, err) ||
        service_write(l, dir, run, err))
        return err->code;
    return service_start(l, ep, dir, "haproxy", err);
}

/* Until the process that answers has the configuration `id`. One that answers with another is told
 * to load anew: it may have been starting, with the file that was there before, when nobody heard
 * from it yet. */
static enum mio_code wait_for_id(struct local *l, const struct serving *ep, struct mio_str id,
                                 struct mio_err *err)
{
    int last = 0, row = 0;
    int64_t again = 0;
    for (int64_t until = mio_now_ms() + LOAD_MS; mio_now_ms() < until; mio_sleep_ms(ROW_STEP_MS)) {
        struct mio_str has = running_id(l, ep);
        row = mio_str_eq(has, id) ? row + 1 : 0;
        if (row >= (again ? ROW : 1))
            return MIO_OK;
        if (has.n && !row && mio_now_ms() >= again) {
            if (service_signal(l, service_dir(l, ep), '2', err))
                return err->code;
            again = mio_now_ms() + AGAIN_MS;
        }
        if (local_check_stop(l, err))
            return err->code;
        if (service_deaths(l, service_dir(l, ep), &last) > 3 && !service_up(l, service_dir(l, ep)))
            break;
    }
    return with_log(l, ep, "does not load its configuration", err);
}

static struct mio_value first_weights(struct local *l, const struct serving *ep,
                                      struct mio_value running)
{
    struct mio_value wanted = local_get(ep->record, "traffic");
    if (wanted.type != MIO_MAP)
        wanted = mio_map(NULL, 0);
    return running.type == MIO_MAP ? mio_map_merge(l->a, wanted, running) : wanted;
}

static enum mio_code apply_locked(struct local *l, const struct serving *ep,
                                  struct mio_value traffic, struct mio_err *err)
{
    struct served *d;
    size_t n;
    const char *program;
    struct mio_str id;
    if (local_program(l, "haproxy", "haproxy", "haproxy", &program, err) ||
        served_all(l, ep, &d, &n, err))
        return err->code;
    if (traffic.type != MIO_MAP)
        traffic = first_weights(l, ep, running_weights(l, ep));
    struct mio_str text = haproxy_cfg(l, ep, d, n, traffic, &id);
    if (write_file(l, ep, program, text, err))
        return err->code;
    if (!service_up(l, service_dir(l, ep)) && ensure_service(l, ep, program, err))
        return err->code;
    if (wait_for_id(l, ep, id, err))
        return err->code;
    return set_weights(l, ep, running_weights(l, ep), traffic, err);
}

enum mio_code haproxy_apply(struct local *l, const struct serving *ep, struct mio_value traffic,
                            struct mio_err *err)
{
    MIO_AUTO_CLOSE int lock = -1;
    struct serving now;
    if (local_lock(l, mio_arena_printf(l->a, "%s/lock", ep->dir).p, &lock, err) ||
        serving_open(l, ep->ws, ep->name, &now, err))
        return err->code;
    return apply_locked(l, &now, traffic, err);
}

/* ---- asking ---- */

/* Lines between "# old workers" and the next heading of `show proc`; -1 when the master does not
 * answer. */
static int old_workers(struct local *l, const struct serving *ep)
{
    struct mio_str rest;
    if (!ask(l, ep, "master.sock", "show proc", &rest) || !rest.n)
        return -1;
    int n = 0;
    bool inside = false;
    while (rest.n) {
        struct mio_str line = next_line(&rest);
        if (line.n && line.p[0] == '#')
            inside = mio_str_starts(line, "# old workers");
        else if (inside && line.n)
            n++;
    }
    return n;
}

enum mio_code haproxy_drained(struct local *l, const struct serving *ep, struct mio_err *err)
{
    for (int64_t until = mio_now_ms() + DRAIN_MS; mio_now_ms() < until; mio_sleep_ms(50)) {
        if (old_workers(l, ep) == 0)
            return MIO_OK;
        if (!service_up(l, service_dir(l, ep)))
            return MIO_OK; /* nobody routes to anything */
        if (local_check_stop(l, err))
            return err->code;
    }
    return with_log(l, ep, "does not end its earlier process", err);
}

enum mio_code haproxy_read(struct local *l, const struct serving *ep, struct haproxy_state *out,
                           struct mio_err *err)
{
    struct served *d;
    size_t n;
    struct mio_str id, running = running_id(l, ep);
    if (served_all(l, ep, &d, &n, err))
        return err->code;
    haproxy_cfg(l, ep, d, n, mio_null(), &id);
    out->weights = running_weights(l, ep);
    out->up = running.n > 0 && out->weights.type == MIO_MAP;
    out->starting = !out->up && service_up(l, service_dir(l, ep));
    out->current = mio_str_eq(running, id);
    return MIO_OK;
}
