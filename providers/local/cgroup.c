/* providers/local/cgroup.c: limits on cpu, memory and processes by control groups, version 1 and 2.
 *
 * Each controller is used where it is mounted: in a tree of its own (version 1), else in the
 * unified tree. A machine may have both. The groups lie at the top of the tree, so that every
 * process of the machine sees the same ones. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "providers/local/local.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/digest.h"

enum {
    CPU_PERIOD_US = 100000,
    PAGE = 4096,
    GONE_TRIES = 1500, /* half a minute: the memory of a large process is long in going */
    ROOT_TAG = 4,      /* bytes of the root's digest in a group's name */
    TEXT_MAX = 1 << 26,
};

/* One controller: where its files are, and how its limit is written and read. */
struct controller {
    const char *name;
    const char *v1_file, *v2_file;
    int64_t (*get)(const struct local_limits *lim);
    void (*set)(struct local_limits *lim, int64_t v);
};

static int64_t get_cpu(const struct local_limits *lim)
{
    return lim->cpu_milli * (CPU_PERIOD_US / 1000);
}
static void set_cpu(struct local_limits *lim, int64_t v)
{
    lim->cpu_milli = v / (CPU_PERIOD_US / 1000);
}
static int64_t get_memory(const struct local_limits *lim)
{
    return lim->memory_bytes;
}
static void set_memory(struct local_limits *lim, int64_t v)
{
    lim->memory_bytes = v;
}
static int64_t get_pids(const struct local_limits *lim)
{
    return lim->pids;
}
static void set_pids(struct local_limits *lim, int64_t v)
{
    lim->pids = v;
}

static const struct controller controllers[] = {
    {"cpu", "cpu.cfs_quota_us", "cpu.max", get_cpu, set_cpu},
    {"memory", "memory.limit_in_bytes", "memory.max", get_memory, set_memory},
    {"pids", "pids.max", "pids.max", get_pids, set_pids},
};
enum { NCONTROLLERS = sizeof controllers / sizeof *controllers };

/* Where one controller lives on this machine. */
struct place {
    const char *group; /* folder of the group; NULL: the controller is nowhere */
    const char *base;  /* folder the group is in */
    bool v2;
};

/* The whole file, without the white space around it; NULL where there is none. Such files have no
 * size, and a group may hold more processes than one read gives. */
static const char *text_of(struct local *l, const char *path)
{
    MIO_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    MIO_AUTO_BUF all;
    mio_buf_init(&all, TEXT_MAX);
    char chunk[4096];
    ssize_t n = -1;
    while (fd >= 0 && ((n = read(fd, chunk, sizeof chunk)) > 0 || (n < 0 && errno == EINTR)))
        mio_buf_add(&all, chunk, n > 0 ? (size_t)n : 0);
    return n < 0 ? NULL : mio_arena_z(l->a, mio_str_trim(mio_buf_view(&all)));
}

static bool has_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = text; p && (p = strstr(p, word)) != NULL; p += n)
        if ((p == text || p[-1] == ' ') && (!p[n] || p[n] == ' '))
            return true;
    return false;
}

/* Two platforms of a machine may have things of the same names: the folder of the platform tells
 * their groups apart. */
static const char *group_folder(struct local *l, const char *name)
{
    uint8_t sum[MIO_SHA256_LEN];
    char tag[2 * ROOT_TAG + 1];
    mio_sha256_of(l->p->root.p, l->p->root.n, sum);
    mio_hex(sum, ROOT_TAG, tag);
    return mio_arena_printf(l->a, "mlops-%s+%s", tag, name).p;
}

static struct place find_place(struct local *l, const struct controller *c, const char *given)
{
    struct mio_str root = l->p->cgroup_root;
    const char *name = group_folder(l, given);
    const char *v1 = mio_arena_printf(l->a, "%.*s/%s", MIO_FMT(root), c->name).p;
    if (mio_fs_exists(mio_arena_printf(l->a, "%s/cgroup.procs", v1).p))
        return (struct place){mio_arena_printf(l->a, "%s/%s", v1, name).p, v1, false};
    static const char *const unified[] = {"", "/unified"};
    for (size_t i = 0; i < 2; i++) {
        const char *base = mio_arena_printf(l->a, "%.*s%s", MIO_FMT(root), unified[i]).p;
        if (has_word(text_of(l, mio_arena_printf(l->a, "%s/cgroup.controllers", base).p), c->name))
            return (struct place){mio_arena_printf(l->a, "%s/%s", base, name).p, base, true};
    }
    return (struct place){0};
}

static enum mio_code put(struct local *l, const char *dir, const char *file, const char *text,
                         struct mio_err *err)
{
    const char *path = mio_arena_printf(l->a, "%s/%s", dir, file).p;
    MIO_AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        return mio_fail_sys(err, errno, "cannot write %s", path);
    return MIO_OK;
}

static enum mio_code set_one(struct local *l, const struct controller *c, const struct place *at,
                             int64_t value, struct mio_err *err)
{
    if (at->v2) /* fails when it is on already in some kernels' eyes: the limit's own write tells */
        put(l, at->base, "cgroup.subtree_control", mio_arena_printf(l->a, "+%s", c->name).p,
            &(struct mio_err){0});
    if (mkdir(at->group, 0755) != 0 && errno != EEXIST)
        return mio_fail_sys(err, errno, "cannot create the control group %s", at->group);
    const char *none = at->v2 || c->get == get_pids ? "max" : "-1";
    const char *text = value ? mio_arena_printf(l->a, "%jd", (intmax_t)value).p : none;
    if (c->get == get_cpu && at->v2)
        text = mio_arena_printf(l->a, "%s %d", text, CPU_PERIOD_US).p;
    else if (c->get == get_cpu && put(l, at->group, "cpu.cfs_period_us",
                                      mio_arena_printf(l->a, "%d", CPU_PERIOD_US).p, err))
        return err->code;
    return put(l, at->group, at->v2 ? c->v2_file : c->v1_file, text, err);
}

enum mio_code local_cgroup_set(struct local *l, const char *name, const struct local_limits *lim,
                               bool *enforced, struct mio_err *err)
{
    (void)err; /* a machine that cannot limit is told, not refused */
    *enforced = true;
    for (size_t i = 0; i < NCONTROLLERS; i++) {
        const struct controller *c = &controllers[i];
        struct place at = find_place(l, c, name);
        struct mio_err why = {0};
        int64_t value = c->get(lim);
        if (!value && (!at.group || !mio_fs_is_dir(at.group)))
            continue;
        if (at.group && !set_one(l, c, &at, value, &why))
            continue;
        *enforced = false;
        local_warn(l, "The limit on %s is not enforced: %s%s%s.", c->name,
                   at.group ? why.message : "this machine has no such control group controller",
                   why.cause[0] ? ": " : "", why.cause);
    }
    return MIO_OK;
}

/* "max", "-1" and the huge number that version 1 says for "none" are 0. */
static int64_t limit_of(const char *text)
{
    struct mio_str s = mio_str_z(text);
    ptrdiff_t space = mio_str_find(s, ' ');
    int64_t v;
    if (space > 0)
        s = mio_str_sub(s, 0, (size_t)space);
    return mio_str_i64(s, &v) && v > 0 && v < INT64_MAX / 2 / PAGE * PAGE ? v : 0;
}

enum mio_code local_cgroup_get(struct local *l, const char *name, struct local_limits *out,
                               bool *found, struct mio_err *err)
{
    (void)err;
    *found = false;
    *out = (struct local_limits){0};
    for (size_t i = 0; i < NCONTROLLERS; i++) {
        const struct controller *c = &controllers[i];
        struct place at = find_place(l, c, name);
        if (!at.group || !mio_fs_is_dir(at.group))
            continue;
        const char *file = at.v2 ? c->v2_file : c->v1_file;
        const char *text = text_of(l, mio_arena_printf(l->a, "%s/%s", at.group, file).p);
        *found = true;
        c->set(out, limit_of(text));
    }
    return MIO_OK;
}

const char **local_cgroup_procs(struct local *l, const char *name)
{
    const char **files = MIO_NEW_N(l->a, const char *, NCONTROLLERS + 1);
    size_t n = 0;
    for (size_t i = 0; i < NCONTROLLERS; i++) {
        struct place at = find_place(l, &controllers[i], name);
        if (!at.group || !mio_fs_is_dir(at.group))
            continue;
        const char *file = mio_arena_printf(l->a, "%s/cgroup.procs", at.group).p;
        if (!n || strcmp(files[n - 1], file) != 0) /* version 2 has one tree for all */
            files[n++] = file;
    }
    return files;
}

/* The next process of a cgroup.procs file; 0 at its end. */
static pid_t next_process(struct mio_str *rest)
{
    uint64_t pid = 0;
    ptrdiff_t end = mio_str_find(*rest, '\n');
    struct mio_str one = mio_str_sub(*rest, 0, end < 0 ? rest->n : (size_t)end);
    *rest = mio_str_sub(*rest, one.n + 1, rest->n);
    return mio_str_u64(one, &pid) ? (pid_t)pid : 0;
}

bool local_cgroup_has(struct local *l, const char *procs, pid_t pid)
{
    struct mio_str rest = mio_str_z(text_of(l, procs));
    for (pid_t one; (one = next_process(&rest));)
        if (one == pid)
            return true;
    return false;
}

static void kill_all(const char *procs)
{
    struct mio_str rest = mio_str_z(procs);
    for (pid_t pid; (pid = next_process(&rest));)
        if (pid > 1)
            kill(pid, SIGKILL);
}

enum mio_code local_cgroup_remove(struct local *l, const char *name, struct mio_err *err)
{
    for (size_t i = 0; i < NCONTROLLERS; i++) {
        struct place at = find_place(l, &controllers[i], name);
        int tries = 0;
        while (at.group && rmdir(at.group) != 0 && errno != ENOENT) {
            int why = errno;
            const char *procs = text_of(l, mio_arena_printf(l->a, "%s/cgroup.procs", at.group).p);
            if (why != EBUSY || ++tries == GONE_TRIES)
                return mio_fail_sys(err, why, "cannot remove the control group %s", at.group);
            kill_all(procs);
            mio_sleep_ms(20);
        }
    }
    return MIO_OK;
}

/* ---- limits as people write them ---- */

static bool memory_bytes(struct mio_str s, int64_t *out)
{
    static const struct {
        const char *unit;
        int64_t bytes;
    } units[] = {
        {"", 1},           {"b", 1},           {"k", 1 << 10},
        {"ki", 1 << 10},   {"kib", 1 << 10},   {"m", 1 << 20},
        {"mi", 1 << 20},   {"mib", 1 << 20},   {"g", 1 << 30},
        {"gi", 1 << 30},   {"gib", 1 << 30},   {"kb", 1000},
        {"mb", 1000000},   {"gb", 1000000000}, {"t", 1LL << 40},
        {"ti", 1LL << 40}, {"tib", 1LL << 40}, {"tb", 1000000000000},
    };
    size_t digits = 0;
    while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
        digits++;
    struct mio_str unit = mio_str_trim(mio_str_sub(s, digits, s.n));
    int64_t v;
    if (!mio_str_i64(mio_str_sub(s, 0, digits), &v))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (mio_str_ieq(unit, mio_str_z(units[i].unit)) && v <= INT64_MAX / 4 / units[i].bytes) {
            *out = v * units[i].bytes;
            return true;
        }
    return false;
}

enum mio_code local_limits_parse(struct mio_value resources, struct local_limits *out,
                                 struct mio_err *err)
{
    struct local_limits lim = {0};
    const struct mio_value *cpu = mio_get_z(resources, "cpu");
    struct mio_str memory = mio_get_str(resources, "memory");
    double cpus = 0;
    if (cpu && !mio_is_null(*cpu) && (!mio_value_f64(*cpu, &cpus) || cpus < 0.01 || cpus > 100000))
        return mio_fail(err, MIO_TEMPLATE, "resources.cpu must be a number of at least 0.01");
    lim.cpu_milli = (int64_t)(cpus * 1000 + 0.5);
    if (memory.n && (!memory_bytes(memory, &lim.memory_bytes) || lim.memory_bytes < PAGE)) {
        mio_fail(err, MIO_TEMPLATE, "resources.memory: \"%.*s\" is no size", MIO_FMT(memory));
        return mio_err_hint(err, "Write 512MiB, 2GiB or a number of bytes.");
    }
    lim.pids = mio_get_i64(resources, "pids", 0);
    if (lim.pids < 0)
        return mio_fail(err, MIO_TEMPLATE, "resources.pids must be at least 1");
    *out = lim;
    return MIO_OK;
}

struct mio_value local_limits_value(struct local *l, const struct local_limits *lim,
                                    struct mio_value recorded)
{
    struct mio_arena *a = l->a;
    struct local_limits was = {0};
    struct mio_value v = recorded.type == MIO_MAP ? recorded : mio_map(NULL, 0);
    if (local_limits_parse(v, &was, &(struct mio_err){0}))
        was = (struct local_limits){-1, -1, -1};
    if (lim->cpu_milli != was.cpu_milli)
        v = mio_map_with(a, v, MIO_STR("cpu"),
                         mio_number(mio_number_canon(
                             a, mio_arena_printf(a, "%jde-3", (intmax_t)lim->cpu_milli))));
    if (lim->memory_bytes / PAGE != was.memory_bytes / PAGE) /* the kernel rounds to pages */
        v = mio_map_with(a, v, MIO_STR("memory"),
                         mio_string(mio_arena_printf(a, "%jd", (intmax_t)lim->memory_bytes)));
    if (lim->pids != was.pids)
        v = mio_map_with(a, v, MIO_STR("pids"), mio_number_i64(a, lim->pids));
    return v;
}
