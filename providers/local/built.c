/* providers/local/built.c: environments that are built from a lock: their root file systems. */
#include "providers/local/built.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/kinds.h"
#include "providers/sdk/proc.h"
#include "providers/sdk/rootfs.h"

enum { POLL_MS = 200, TELL_MS = 2000, ANSWER_MAX = 1 << 20 };

/* A base of packages, or what Azure ML builds from: an image, a Dockerfile, a conda file. */
bool built_wanted(struct mio_value inputs)
{
    static const char *const given[] = {"base", "image", "build", "conda_file"};
    if (mio_str_is(mio_get_str(inputs, "image"), "host"))
        return false;
    for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
        const struct mio_value *v = mio_get_z(inputs, given[i]);
        if (v && !mio_is_null(*v))
            return true;
    }
    return false;
}

/* ---- the builder ---- */

static int memory_file(struct mio_str text, struct mio_err *err)
{
    int fd = memfd_create("environment", MFD_CLOEXEC);
    if (fd < 0)
        mio_fail_sys(err, errno, "cannot make a memory file");
    else if (mio_fs_write_all(fd, text.p, text.n, "a memory file", err)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* Its end, while the caller may still cancel. */
static enum mio_code wait_end(struct local *l, pid_t pid, int *status, struct mio_err *err)
{
    int64_t since = mio_now_ms(), told = since;
    for (pid_t got; (got = waitpid(pid, status, WNOHANG)) != pid; mio_sleep_ms(POLL_MS)) {
        if (got < 0 && errno != EINTR)
            return mio_fail_sys(err, errno, "cannot wait for the environment builder");
        if (local_check_stop(l, err)) {
            struct mio_err ignored = {0};
            mio_proc_wait(pid, mio_now_ms(), status, NULL, &ignored);
            return err->code;
        }
        if (mio_now_ms() - told < TELL_MS)
            continue;
        told = mio_now_ms();
        local_progress(l, -1, "building for %jd s", (intmax_t)(told - since) / 1000);
    }
    return MIO_OK;
}

/* The builder's error as one of ours. A lock that does not fit is for the template's author. */
static enum mio_code take_error(struct mio_value said, struct mio_err *err)
{
    static const enum mio_code codes[] = {MIO_USAGE,     MIO_TEMPLATE, MIO_REALITY, MIO_AUTH,
                                          MIO_TRANSIENT, MIO_STATE,    MIO_IO};
    enum mio_code code = MIO_IO;
    struct mio_str name = mio_get_str(said, "code"), hint = mio_get_str(said, "hint"),
                   cause = mio_get_str(said, "cause");
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (mio_str_is(name, mio_code_name(codes[i])))
            code = codes[i] == MIO_STATE || codes[i] == MIO_USAGE ? MIO_TEMPLATE : codes[i];
    mio_fail(err, code, "%.*s", MIO_FMT(mio_get_str(said, "message")));
    if (cause.n)
        mio_err_cause(err, "%.*s", MIO_FMT(cause));
    return hint.n ? mio_err_hint(err, "%.*s", MIO_FMT(hint)) : err->code;
}

static enum mio_code run_builder(struct local *l, const char *verb, struct mio_str spec,
                                 const char *dir, const char *root, struct mio_value *answer,
                                 struct mio_err *err)
{
    const char *argv[9] = {local_support(l, "../../libexec/mlops-iac/mlops-iac-env"), verb,
                           "-json"};
    size_t n = 3;
    int status = 0;
    pid_t pid;
    if (!mio_fs_exists(argv[0])) {
        mio_fail(err, MIO_IO, "the environment builder is not installed (%s)", argv[0]);
        return mio_err_hint(err, "Build with libsolv-dev, libsolvext-dev, libarchive-dev and "
                                 "libzstd-dev present.");
    }
    if (dir) {
        argv[n++] = "-spec=/proc/self/fd/0";
        argv[n++] = mio_arena_printf(l->a, "-dir=%s", dir).p;
        argv[n++] = mio_arena_printf(l->a, "-locks=%.*s", MIO_FMT(l->p->base_dir)).p;
    }
    if (root)
        argv[n++] = mio_arena_printf(l->a, "-root=%s", root).p;
    MIO_AUTO_CLOSE int in = memory_file(spec, err);
    MIO_AUTO_CLOSE int out = in < 0 ? -1 : memory_file(MIO_STR(""), err);
    struct mio_proc_opts o = {
        .argv = argv, .cwd = "/", .in = in, .out = out, .err = -1, .bound = true};
    if (out < 0 || mio_proc_spawn(&o, &pid, err) || wait_end(l, pid, &status, err))
        return err->code;
    char *text = mio_arena_alloc(l->a, ANSWER_MAX);
    ssize_t got = pread(out, text, ANSWER_MAX, 0);
    struct mio_err bad = {0};
    if (got <= 0 || mio_json_read(l->a, (struct mio_str){text, (size_t)got}, NULL, answer, &bad))
        return mio_fail(err, MIO_IO, "the environment builder ended without an answer (status %d)",
                        status);
    return status ? take_error(*answer, err) : MIO_OK;
}

/* The declaration as the builder reads it. */
static enum mio_code ask(struct local *l, const struct local_change *ch, const char *verb,
                         const char *root, struct mio_value *facts, struct mio_err *err)
{
    struct mio_pair *pairs = NULL;
    size_t n = 0, cap = 0;
    for (const char *const *key = mio_environment_built_from; *key; key++) {
        const struct mio_value *v = mio_get_z(ch->inputs, *key);
        if (v && !mio_is_null(*v))
            MIO_PUSH(l->a, pairs, n, cap) = (struct mio_pair){mio_str_z(*key), *v};
    }
    struct mio_value spec = local_map(l->a, "name", mio_string(mio_environment_name(ch->address)),
                                      "body", mio_map(pairs, n), NULL);
    MIO_AUTO_BUF text;
    mio_buf_init(&text, 0);
    mio_json_write(&text, spec, MIO_JSON_OPEN);
    if (run_builder(l, verb, mio_buf_view(&text), local_abs(l, ch, MIO_STR(".")), root, facts, err))
        return err->code;
    return MIO_OK;
}

enum mio_code built_facts(struct local *l, const struct local_change *ch, struct mio_value *facts,
                          struct mio_err *err)
{
    return ask(l, ch, "check", NULL, facts, err);
}

/* ---- roots ---- */

const char *built_root(struct local *l, struct mio_value facts)
{
    struct mio_str digest = mio_get_str(facts, "config_digest");
    return local_path(l, "environments/%.*s", MIO_FMT(mio_str_sub(digest, 7, digest.n)));
}

enum mio_code built_lock(struct local *l, int *fd, struct mio_err *err)
{
    return local_lock(l, local_path(l, "environments/.lock"), fd, err);
}

enum mio_code built_make(struct local *l, const struct local_change *ch, struct mio_value *facts,
                         struct mio_err *err)
{
    struct mio_str stamp;
    if (ask(l, ch, "provide", local_path(l, "environments"), facts, err) ||
        built_stamp(l, *facts, &stamp, err))
        return err->code;
    *facts = mio_map_with(l->a, *facts, MIO_STR("stamp"), mio_string(stamp));
    return MIO_OK;
}

enum mio_code built_stamp(struct local *l, struct mio_value facts, struct mio_str *stamp,
                          struct mio_err *err)
{
    bool found;
    if (mio_rootfs_stamp(l->a, built_root(l, facts), stamp, &found, err))
        return err->code;
    if (!found)
        *stamp = MIO_STR("absent");
    return MIO_OK;
}

enum mio_code built_look(struct local *l, struct mio_value facts, struct mio_str stamp,
                         struct mio_str *state, struct mio_err *err)
{
    struct mio_value answer;
    bool absent = mio_str_is(stamp, "absent");
    if (absent || mio_str_eq(stamp, mio_get_str(facts, "stamp"))) {
        *state = absent ? stamp : MIO_STR("intact");
        return MIO_OK;
    }
    if (run_builder(l, "look", MIO_STR(""), NULL, built_root(l, facts), &answer, err))
        return err->code;
    *state = mio_get_str(answer, "state");
    return MIO_OK;
}

/* The digests that the records of one workspace name. */
static enum mio_code held_by(struct local *l, struct mio_str ws, struct mio_buf *held,
                             struct mio_err *err)
{
    struct mio_str *names, *versions;
    size_t n, k;
    const char *dir = local_path(l, "workspaces/%.*s/assets/environment", MIO_FMT(ws));
    if (local_names(l, dir, &names, &n, err))
        return err->code;
    for (size_t i = 0; i < n; i++) {
        const char *of = mio_arena_printf(l->a, "%s/%.*s", dir, MIO_FMT(names[i])).p;
        if (local_names(l, of, &versions, &k, err))
            return err->code;
        for (size_t v = 0; v < k; v++) {
            struct mio_value record;
            bool found;
            const char *path =
                mio_arena_printf(l->a, "%s/%.*s/asset.json", of, MIO_FMT(versions[v])).p;
            if (local_record_read(l, path, &record, &found, err))
                return err->code;
            struct mio_str digest =
                found ? mio_get_str(local_get(record, "facts"), "config_digest") : MIO_STR("");
            mio_buf_printf(held, "%.*s\n", MIO_FMT(digest));
        }
    }
    return MIO_OK;
}

static enum mio_code drop_unheld(struct local *l, struct mio_str held, struct mio_err *err)
{
    struct mio_str *names;
    size_t n;
    const char *dir = local_path(l, "environments");
    if (local_names(l, dir, &names, &n, err))
        return err->code;
    for (size_t i = 0; i < n; i++) {
        struct mio_str hex = mio_str_sub(names[i], 0, 64);
        if (hex.n == 64 && !memmem(held.p, held.n, hex.p, hex.n) &&
            mio_fs_remove_tree(mio_arena_printf(l->a, "%s/%.*s", dir, MIO_FMT(names[i])).p, err))
            return err->code;
    }
    return MIO_OK;
}

enum mio_code built_release(struct local *l, struct mio_err *err)
{
    MIO_AUTO_CLOSE int lock = -1;
    struct mio_str *names = NULL;
    size_t n = 0;
    const char *dir = local_path(l, "workspaces");
    if (!mio_fs_is_dir(local_path(l, "environments")))
        return MIO_OK;
    MIO_AUTO_BUF held;
    mio_buf_init(&held, 0);
    if (built_lock(l, &lock, err) || local_names(l, dir, &names, &n, err))
        return err->code;
    for (size_t i = 0; i < n; i++)
        if (local_name_ok(names[i]) && held_by(l, names[i], &held, err))
            return err->code;
    return drop_unheld(l, mio_buf_view(&held), err);
}
