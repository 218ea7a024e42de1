/* providers/environment/pep.c: names, versions and wheel tags. */
#include "providers/environment/pep.h"
#include <string.h>

struct mio_str mio_env_pep_name(struct mio_arena *a, struct mio_str raw)
{
    char *z = mio_arena_alloc(a, raw.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i];
        if (c == '_' || c == '.')
            c = '-';
        if (c >= 'A' && c <= 'Z')
            c = (char)(c + 32);
        if (c != '-' || (n && z[n - 1] != '-'))
            z[n++] = c;
    }
    z[n] = 0;
    return (struct mio_str){z, n};
}

/* ---- versions ---- */

enum { MAX_RELEASE = 12 };
struct version {
    uint64_t epoch, release[MAX_RELEASE], pre, post, dev;
    int n;     /* parts of the release */
    int phase; /* -1: only .dev, 0 a, 1 b, 2 rc, 3: none */
    bool has_post, has_dev;
    struct mio_str local;
};

static bool digit(struct mio_str s)
{
    return s.n && s.p[0] >= '0' && s.p[0] <= '9';
}

static bool number(struct mio_str *s, uint64_t *out)
{
    size_t n = 0;
    while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9')
        n++;
    if (!n || !mio_str_u64(mio_str_sub(*s, 0, n), out))
        return false;
    *s = mio_str_sub(*s, n, s->n);
    return true;
}

/* A word such as "rc" with a separator before and after it, and its number, which may be absent. */
static bool part(struct mio_str *s, const char *word, uint64_t *out)
{
    struct mio_str t = *s;
    size_t n = strlen(word);
    if (t.n && strchr(".-_", t.p[0]))
        t = mio_str_sub(t, 1, t.n);
    if (!mio_str_ieq(mio_str_sub(t, 0, n), mio_str_z(word)))
        return false;
    t = mio_str_sub(t, n, t.n);
    if (t.n && !digit(t) && strchr("-_.", t.p[0]) && digit(mio_str_sub(t, 1, 1)))
        t = mio_str_sub(t, 1, t.n);
    *out = 0;
    number(&t, out);
    *s = t;
    return true;
}

static void suffixes(struct mio_str *s, struct version *v)
{
    static const struct {
        const char *word;
        int phase;
    } pres[] = {{"alpha", 0}, {"a", 0}, {"beta", 1},    {"b", 1},
                {"rc", 2},    {"c", 2}, {"preview", 2}, {"pre", 2}};
    v->phase = 3;
    for (size_t i = 0; i < sizeof pres / sizeof *pres && v->phase == 3; i++)
        if (part(s, pres[i].word, &v->pre))
            v->phase = pres[i].phase;
    v->has_post = part(s, "post", &v->post) || part(s, "rev", &v->post) || part(s, "r", &v->post);
    if (!v->has_post && s->n > 1 && s->p[0] == '-' && digit(mio_str_sub(*s, 1, 1))) {
        *s = mio_str_sub(*s, 1, s->n);
        v->has_post = number(s, &v->post);
    }
    v->has_dev = part(s, "dev", &v->dev);
    if (v->has_dev && v->phase == 3 && !v->has_post)
        v->phase = -1;
}

static bool parse(struct mio_str s, struct version *v)
{
    memset(v, 0, sizeof *v);
    s = mio_str_trim(s);
    if (s.n && (s.p[0] | 0x20) == 'v')
        s = mio_str_sub(s, 1, s.n);
    ptrdiff_t bang = mio_str_find(s, '!');
    if (bang > 0 && (!mio_str_u64(mio_str_sub(s, 0, (size_t)bang), &v->epoch)))
        return false;
    s = mio_str_sub(s, (size_t)(bang + 1), s.n);
    while (v->n < MAX_RELEASE && number(&s, &v->release[v->n])) {
        v->n++;
        if (s.n < 2 || s.p[0] != '.' || !digit(mio_str_sub(s, 1, 1)))
            break;
        s = mio_str_sub(s, 1, s.n);
    }
    suffixes(&s, v);
    if (s.n > 1 && s.p[0] == '+') {
        v->local = mio_str_sub(s, 1, s.n);
        s.n = 0;
    }
    return v->n > 0 && !s.n;
}

static int order(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int order_versions(const struct version *a, const struct version *b)
{
    int c = order(a->epoch, b->epoch);
    for (int i = 0; i < MAX_RELEASE && !c; i++)
        c = order(a->release[i], b->release[i]);
    if (!c)
        c = (a->phase > b->phase) - (a->phase < b->phase);
    if (!c)
        c = order(a->pre, b->pre);
    if (!c)
        c = a->has_post != b->has_post ? (a->has_post ? 1 : -1) : order(a->post, b->post);
    if (!c)
        c = a->has_dev != b->has_dev ? (a->has_dev ? -1 : 1) : order(a->dev, b->dev);
    return c ? c : mio_str_natcmp(a->local, b->local);
}

int mio_env_pep_order(struct mio_str a, struct mio_str b)
{
    struct version x, y;
    bool ok_a = parse(a, &x), ok_b = parse(b, &y);
    return ok_a && ok_b ? order_versions(&x, &y) : (int)ok_a - (int)ok_b;
}

/* "==3.9.*" and "~=3.9.1": as many parts of the release as the pattern has are equal. */
static bool same_start(const struct version *v, const struct version *pattern, int n)
{
    for (int i = 0; i < n && i < MAX_RELEASE; i++)
        if (v->release[i] != pattern->release[i])
            return false;
    return v->epoch == pattern->epoch;
}

static bool fits_one(const struct version *v, struct mio_str op, struct mio_str text)
{
    struct version w, plain = *v;
    bool star = mio_str_ends(text, ".*");
    if (star)
        text = mio_str_sub(text, 0, text.n - 2);
    if (!parse(text, &w))
        return false;
    if (!w.local.n)
        plain.local = (struct mio_str){0};
    int c = order_versions(&plain, &w);
    if (mio_str_is(op, "==") || mio_str_is(op, "==="))
        return star ? same_start(v, &w, w.n) : c == 0;
    if (mio_str_is(op, "!="))
        return star ? !same_start(v, &w, w.n) : c != 0;
    if (mio_str_is(op, "~="))
        return c >= 0 && same_start(v, &w, w.n - 1);
    if (mio_str_is(op, ">="))
        return c >= 0;
    if (mio_str_is(op, "<="))
        return c <= 0;
    return mio_str_is(op, ">") ? c > 0 : mio_str_is(op, "<") && c < 0;
}

bool mio_env_pep_fits(struct mio_str version, struct mio_str specifiers)
{
    struct version v;
    if (!parse(version, &v))
        return false;
    while (mio_str_trim(specifiers).n) {
        ptrdiff_t comma = mio_str_find(specifiers, ',');
        struct mio_str one =
            mio_str_trim(mio_str_sub(specifiers, 0, comma < 0 ? specifiers.n : (size_t)comma));
        specifiers = comma < 0 ? (struct mio_str){0}
                               : mio_str_sub(specifiers, (size_t)comma + 1, specifiers.n);
        size_t n = 0;
        while (n < one.n && strchr("<>=!~", one.p[n]))
            n++;
        if (one.n &&
            !fits_one(&v, mio_str_sub(one, 0, n), mio_str_trim(mio_str_sub(one, n, one.n))))
            return false;
    }
    return true;
}

/* ---- wheel tags ---- */

const char *mio_env_pep_machine(struct mio_str arch)
{
    static const char *const rows[][2] = {
        {"amd64", "x86_64"},    {"arm64", "aarch64"}, {"i386", "i686"},      {"armhf", "armv7l"},
        {"ppc64el", "ppc64le"}, {"s390x", "s390x"},   {"riscv64", "riscv64"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (mio_str_is(arch, rows[i][0]))
            return rows[i][1];
    return "unknown";
}

/* The dash-separated words of a wheel's name from the right: platform, abi, python. */
static bool split(struct mio_str file, struct mio_str words[6], size_t *n)
{
    if (!mio_str_ends(file, ".whl"))
        return false;
    file = mio_str_sub(file, 0, file.n - 4);
    for (*n = 0; *n < 6; ++*n) {
        ptrdiff_t dash = mio_str_find(file, '-');
        words[*n] = mio_str_sub(file, 0, dash < 0 ? file.n : (size_t)dash);
        if (dash < 0) {
            ++*n;
            return *n >= 5;
        }
        file = mio_str_sub(file, (size_t)dash + 1, file.n);
    }
    return false;
}

bool mio_env_pep_wheel(struct mio_str file, struct mio_str *name, struct mio_str *version)
{
    struct mio_str words[6];
    size_t n;
    if (!split(file, words, &n))
        return false;
    *name = words[0];
    *version = words[1];
    return true;
}

static bool next(struct mio_str *set, struct mio_str *one)
{
    if (!set->n)
        return false;
    ptrdiff_t dot = mio_str_find(*set, '.');
    *one = mio_str_sub(*set, 0, dot < 0 ? set->n : (size_t)dot);
    *set = dot < 0 ? (struct mio_str){0} : mio_str_sub(*set, (size_t)dot + 1, set->n);
    return true;
}

/* 1000 + minor for manylinux of a C library that the target has; 900 for plain linux; 1 for any. */
static unsigned platform(const struct mio_env_python *py, struct mio_str tag)
{
    static const struct {
        const char *name;
        unsigned minor;
    } old[] = {{"manylinux2014_", 17}, {"manylinux2010_", 12}, {"manylinux1_", 5}};
    const char *machine = mio_env_pep_machine(py->arch);
    if (mio_str_is(tag, "any"))
        return 1;
    if (!mio_str_ends(tag, machine) || tag.n <= strlen(machine))
        return 0;
    struct mio_str head = mio_str_sub(tag, 0, tag.n - strlen(machine));
    uint64_t minor = 0;
    if (mio_str_starts(head, "manylinux_2_")) {
        struct mio_str rest = mio_str_sub(head, 12, head.n);
        return number(&rest, &minor) && mio_str_is(rest, "_") && minor <= py->glibc
                   ? 1000 + (unsigned)minor
                   : 0;
    }
    for (size_t i = 0; i < sizeof old / sizeof *old; i++)
        if (mio_str_is(head, old[i].name))
            return old[i].minor <= py->glibc ? 1000 + old[i].minor : 0;
    return mio_str_is(head, "linux_") ? 900 : 0;
}

/* The interpreter's minor number out of "3.11". */
static unsigned minor_of(struct mio_str version)
{
    struct version v;
    return parse(version, &v) && v.n > 1 ? (unsigned)v.release[1] : 0;
}

/* cp311-cp311 is best, then cp3X-abi3 of an older or equal X, cp311-none, py3-none. */
static unsigned interpreter(unsigned minor, struct mio_str python, struct mio_str abi)
{
    uint64_t tagged = 0;
    bool cp = mio_str_starts(python, "cp3"), any = mio_str_is(python, "py3");
    struct mio_str rest = mio_str_sub(python, 3, python.n);
    if (any)
        return mio_str_is(abi, "none") ? 1 : 0;
    if ((!cp && !mio_str_starts(python, "py3")) || !number(&rest, &tagged) || rest.n ||
        tagged > minor)
        return 0;
    if (!cp)
        return mio_str_is(abi, "none") ? 2 : 0;
    if (mio_str_is(abi, "abi3"))
        return 100 + (unsigned)tagged;
    if (tagged != minor)
        return 0;
    rest = mio_str_sub(abi, 3, abi.n);
    if (mio_str_is(abi, "none"))
        return 50;
    bool own = mio_str_starts(abi, "cp3") && number(&rest, &tagged) && tagged == minor &&
               (!rest.n || (mio_str_is(rest, "m") && minor < 8));
    return own ? 900 : 0;
}

unsigned mio_env_pep_tag(const struct mio_env_python *py, struct mio_str file)
{
    struct mio_str words[6], p, b, f;
    size_t n;
    unsigned best = 0, minor = minor_of(py->version);
    if (!split(file, words, &n))
        return 0;
    for (struct mio_str pythons = words[n - 3]; next(&pythons, &p);)
        for (struct mio_str abis = words[n - 2]; next(&abis, &b);)
            for (struct mio_str platforms = words[n - 1]; next(&platforms, &f);) {
                unsigned i = interpreter(minor, p, b), l = platform(py, f);
                if (i && l && i * 10000 + l > best)
                    best = i * 10000 + l;
            }
    return best;
}
