/* providers/environment/buildah.c: a Dockerfile through buildah.
 *
 * Everything lies in the folder given: storage, settings, what is made. Namespaces of its own: no
 * network unless asked for, another host name, processes that end with it. The images that it
 * begins with are put there under their names first, so that nothing is asked of any registry. */
#include "providers/environment/dockerfile.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/proc.h"
#include "providers/sdk/rootfs.h"
#include <sched.h>
#include <unistd.h>

enum { BUILD_MS = 2 * 3600 * 1000, STEP_MS = 30 * 60 * 1000, MAX_SAID = 1 << 20, SHOWN = 360 };

struct buildah {
    struct mio_arena *a;
    const struct mio_env_store *s;
    const struct mio_env_buildah *b;
    struct mio_err *err;
};

/* In the child. A namespace that cannot be had shows as an error of what needs it. */
static void apart(void *arg)
{
    bool network = *(const bool *)arg;
    int ignored = unshare(CLONE_NEWIPC | CLONE_NEWUTS);
    ignored = sethostname("environment", 11);
    (void)ignored;
    umask(022);
    if (!network && unshare(CLONE_NEWNET))
        _exit(126);
}

static struct mio_words begin(const struct buildah *x)
{
    static const char *const before[] = {
        "unshare", "--mount-proc", "--pid", "--fork", "--kill-child=SIGKILL", "--", "buildah"};
    struct mio_words w = {.arena = x->a};
    for (size_t i = 0; i < sizeof before / sizeof *before; i++)
        mio_words_add(&w, before[i]);
    mio_words_add3(&w, "--root", mio_arena_printf(x->a, "%s/storage", x->b->work).p, "--runroot");
    mio_words_add3(&w, mio_arena_printf(x->a, "%s/run", x->b->work).p, "--storage-driver", "vfs");
    mio_words_add3(&w, "--log-level", "error", "--registries-conf");
    mio_words_add(&w, mio_arena_printf(x->a, "%s/registries.conf", x->b->work).p);
    return w;
}

/* The end of what it said is where the reason stands. Layouts are named from where it runs: it
 * makes a reference of a layout's path, and not every path can be one. */
static enum mio_code run(struct buildah *x, struct mio_words *w, const char *what, int64_t ms,
                         struct mio_buf *said)
{
    int status = 0;
    const char *work = x->b->work;
    const char *env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                         "LANG=C.UTF-8",
                         "TZ=UTC",
                         mio_arena_printf(x->a, "HOME=%s", work).p,
                         mio_arena_printf(x->a, "TMPDIR=%s", work).p,
                         mio_arena_printf(x->a, "XDG_RUNTIME_DIR=%s", work).p,
                         "_CONTAINERS_USERNS_CONFIGURED=1",
                         NULL};
    mio_words_add(w, NULL);
    struct mio_proc_opts o = {.argv = w->items,
                              .env = env,
                              .cwd = work,
                              .in = -1,
                              .prepare = apart,
                              .prepare_arg = (void *)(uintptr_t)&x->b->network};
    if (mio_proc_run(&o, mio_now_ms() + ms, said, &status, x->err) || !status)
        return x->err->code;
    struct mio_str text = mio_str_trim(mio_buf_view(said));
    if (text.n > SHOWN)
        text = mio_str_sub(text, text.n - SHOWN, SHOWN);
    MIO_AUTO_BUF line;
    mio_buf_init(&line, 0);
    for (size_t i = 0; i < text.n; i++)
        mio_buf_char(&line, text.p[i] == '\n' ? ' ' : text.p[i]);
    return mio_fail(x->err, MIO_REALITY, "%s (status %d): %.*s", what,
                    WIFEXITED(status) ? WEXITSTATUS(status) : status, MIO_FMT(mio_buf_view(&line)));
}

static enum mio_code check_here(struct buildah *x)
{
    if (!mio_proc_find(x->a, "buildah").n) {
        mio_fail(x->err, MIO_IO, "buildah is not installed, and nothing else builds a Dockerfile");
        return mio_err_hint(x->err, "apt-get install buildah");
    }
    if (geteuid() == 0)
        return MIO_OK;
    mio_fail(x->err, MIO_USAGE,
             "a Dockerfile is built by root, or by a user who is root in a user "
             "namespace");
    return mio_err_hint(x->err, "unshare --map-root-user --map-auto mlops-iac env build ...");
}

/* Short names mean Docker's own registry, as in the lock; nobody is asked. */
static enum mio_code write_settings(struct buildah *x)
{
    static const char policy[] = "{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}",
                      registries[] = "unqualified-search-registries = [\"docker.io\"]\n"
                                     "short-name-mode = \"permissive\"\n";
    const char *work = x->b->work;
    if (mio_fs_replace(mio_arena_printf(x->a, "%s/policy.json", work).p, MIO_STR(policy), 0644,
                       x->err))
        return x->err->code;
    return mio_fs_replace(mio_arena_printf(x->a, "%s/registries.conf", work).p, MIO_STR(registries),
                          0644, x->err);
}

/* Without @sha256:...: storage knows the digest itself. */
static struct mio_str tag_of(struct mio_arena *a, struct mio_str reference)
{
    ptrdiff_t at = mio_str_find(reference, '@'), slash = mio_str_find(reference, '/');
    struct mio_str name = mio_str_sub(reference, 0, at < 0 ? reference.n : (size_t)at),
                   host = mio_str_sub(name, 0, slash < 0 ? 0 : (size_t)slash);
    bool named = mio_str_find(host, '.') >= 0 || mio_str_find(host, ':') >= 0 ||
                 mio_str_is(host, "localhost");
    return named ? name
                 : mio_arena_printf(a, "docker.io/%s%.*s", slash < 0 ? "library/" : "",
                                    MIO_FMT(name));
}

static enum mio_code put_base(struct buildah *x, size_t i)
{
    struct mio_env_oci base = x->b->bases[i];
    struct mio_str reference = base.name;
    const char *layout = mio_arena_printf(x->a, "%s/base-%zu", x->b->work, i).p;
    MIO_AUTO_BUF id;
    MIO_AUTO_BUF said;
    mio_buf_init(&id, MAX_SAID);
    mio_buf_init(&said, MAX_SAID);
    base.name = MIO_STR("base");
    if (mio_str_starts(reference, "oci:"))
        return mio_fail(x->err, MIO_TEMPLATE,
                        "FROM %.*s: a Dockerfile begins with an image of a "
                        "registry",
                        MIO_FMT(reference));
    if (mio_env_oci_write(x->a, x->s, &base, layout, x->err))
        return x->err->code;
    struct mio_words pull = begin(x), tag = begin(x);
    mio_words_add3(&pull, "pull", "--quiet", "--signature-policy");
    mio_words_add(&pull, mio_arena_printf(x->a, "%s/policy.json", x->b->work).p);
    mio_words_add(&pull, mio_arena_printf(x->a, "oci:base-%zu:base", i).p);
    if (run(x, &pull, "buildah cannot take the image", STEP_MS, &id))
        return mio_err_wrap(x->err, "FROM %.*s", MIO_FMT(reference));
    mio_words_add3(&tag, "tag", mio_arena_z(x->a, mio_str_trim(mio_buf_view(&id))),
                   mio_arena_z(x->a, tag_of(x->a, reference)));
    return run(x, &tag, "buildah cannot name the image", STEP_MS, &said);
}

static enum mio_code build(struct buildah *x)
{
    static const char *const fixed[] = {"build",
                                        "--isolation",
                                        "chroot",
                                        "--no-cache",
                                        "--layers=false",
                                        "--pull-never",
                                        "--format",
                                        "oci",
                                        "--identity-label=false",
                                        "--no-hosts",
                                        "--tag",
                                        "localhost/result"};
    const char *policy = mio_arena_printf(x->a, "%s/policy.json", x->b->work).p;
    struct mio_words w = begin(x), push = begin(x);
    MIO_AUTO_BUF said;
    mio_buf_init(&said, MAX_SAID);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        mio_words_add(&w, fixed[i]);
    mio_words_add3(&w, "--timestamp", mio_arena_printf(x->a, "%lld", (long long)x->b->epoch).p,
                   "--signature-policy");
    mio_words_add3(&w, policy, "--file", x->b->file);
    mio_words_add(&w, x->b->context);
    if (run(x, &w, "the Dockerfile does not build", BUILD_MS, &said))
        return x->b->network
                   ? x->err->code
                   : mio_err_hint(x->err,
                                  "commands have no network: declare build: { network: true } if "
                                  "they must have one");
    mio_words_add3(&push, "push", "--quiet", "--signature-policy");
    mio_words_add3(&push, policy, "localhost/result", "oci:out:result");
    mio_buf_reset(&said);
    return run(x, &push, "buildah cannot write the image", STEP_MS, &said);
}

enum mio_code mio_env_buildah_run(struct mio_arena *a, const struct mio_env_store *s,
                                  const struct mio_env_buildah *b, struct mio_err *err)
{
    struct buildah x = {a, s, b, err};
    if (check_here(&x) || write_settings(&x))
        return err->code;
    for (size_t i = 0; i < b->n_bases; i++)
        if (put_base(&x, i))
            return err->code;
    return build(&x);
}
