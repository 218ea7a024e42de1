/* providers/environment/pool.c: the first-alternative walk and the solver. */
#include "providers/environment/lock.h"
#include "providers/environment/solv.h"
#include "providers/sdk/map.h"
#include <solv/evr.h>
#include <solv/pool.h>
#include <solv/repo.h>
#include <solv/solver.h>

enum rank { RANK_REQUIRED, RANK_IMPORTANT, RANK_STANDARD, RANK_OPTIONAL, RANK_EXTRA };

struct resolver {
    struct mio_arena *a;
    struct mio_err *err;
    Pool *pool;
    struct mio_str *stanzas; /* by solvable: its text in the index */
    struct mio_str *suites;  /* by solvable */
    bool *chosen, *kept;     /* by solvable; kept: the lock has this version of it */
    Queue walk, trail;
};

static bool is_rel(Id id)
{
    return id < 0; /* the top bit tells relations from names */
}

static const Reldep *rel_of(const Pool *pool, Id id)
{
    return pool->rels + (id & 0x7fffffff);
}

static enum mio_code load(struct resolver *r, const struct mio_env_index *indices, size_t n)
{
    Pool *pool = r->pool;
    Repo **repos = MIO_NEW_N(r->a, Repo *, n + 1);
    struct mio_str **stanzas = MIO_NEW_N(r->a, struct mio_str *, n + 1);
    for (size_t i = 0; i < n; i++) {
        repos[i] = repo_create(pool, mio_arena_z(r->a, indices[i].source.suite));
        if (mio_env_solv_load(r->a, &indices[i], repos[i], &stanzas[i], r->err))
            return r->err->code;
    }
    r->stanzas = MIO_NEW_N(r->a, struct mio_str, (size_t)pool->nsolvables + 1);
    r->suites = MIO_NEW_N(r->a, struct mio_str, (size_t)pool->nsolvables + 1);
    r->chosen = MIO_NEW_N(r->a, bool, (size_t)pool->nsolvables + 1);
    r->kept = MIO_NEW_N(r->a, bool, (size_t)pool->nsolvables + 1);
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < repos[i]->nsolvables; k++) {
            r->stanzas[repos[i]->start + k] = stanzas[i][k];
            r->suites[repos[i]->start + k] = indices[i].source.suite;
        }
    return MIO_OK;
}

/* Dependencies on dropped packages are forgotten. */
static void forget(struct resolver *r, const struct mio_env_spec *spec)
{
    for (size_t d = 0; d < spec->n_drops; d++) {
        Id name = pool_strn2id(r->pool, spec->drops[d].name.p, (unsigned)spec->drops[d].name.n, 0);
        for (Id p = 1; name && p < r->pool->nsolvables; p++) {
            const Solvable *s = r->pool->solvables + p;
            if (!s->repo || !s->requires)
                continue;
            Id *to = s->repo->idarraydata + s->requires;
            for (const Id *from = to; *from; from++) {
                Id id = *from;
                while (is_rel(id) && rel_of(r->pool, id)->flags <= 7)
                    id = rel_of(r->pool, id)->name;
                if (id != name)
                    *to++ = *from;
            }
            *to = 0;
        }
    }
}

static enum rank rank_of(const struct resolver *r, Id p)
{
    static const char *const names[] = {"required", "important", "standard", "optional", "extra"};
    struct mio_str v = mio_env_field(r->stanzas[p], "Priority");
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (mio_str_is(v, names[i]))
            return (enum rank)i;
    return RANK_EXTRA;
}

/* Marks the versions that an earlier lock has and that need not be renewed. */
static void mark_kept(struct resolver *r, const struct mio_env_keep *keep)
{
    Pool *pool = r->pool;
    for (size_t i = 0; keep && keep->old && i < keep->old->n_packages; i++) {
        const struct mio_env_package *k = &keep->old->packages[i];
        Id name = pool_strn2id(r->pool, k->name.p, (unsigned)k->name.n, 0), p, pp;
        if (!name || !mio_env_keeps(keep, k->name))
            continue;
        FOR_PROVIDES(p, pp, name)
        {
            const Solvable *s = pool->solvables + p;
            if (s->name == name && mio_str_is(k->version, pool_id2str(r->pool, s->evr)) &&
                mio_str_is(k->arch, pool_id2str(r->pool, s->arch)))
                r->kept[p] = true;
        }
    }
}

/* What was locked, else the newest version of a name over all suites: the only one that apt
 * considers. */
static Id candidate(const struct resolver *r, Id name)
{
    Pool *pool = r->pool;
    Id best = 0, p, pp;
    FOR_PROVIDES(p, pp, name)
    {
        Solvable *s = pool->solvables + p;
        if (s->name != name || !pool_installable(r->pool, s) || (best && r->kept[best]))
            continue;
        if (r->kept[p] || !best ||
            pool_evrcmp(r->pool, s->evr, r->pool->solvables[best].evr, EVRCMP_COMPARE) > 0)
            best = p;
    }
    return best;
}

static bool better(const struct resolver *r, Id a, Id b)
{
    if (!b)
        return true;
    enum rank ra = rank_of(r, a), rb = rank_of(r, b);
    return ra != rb ? ra < rb : a < b;
}

static Id dep_name(const Pool *pool, Id dep)
{
    while (is_rel(dep))
        dep = rel_of(pool, dep)->name;
    return dep;
}

/* Who satisfies one alternative: the package of that name, else the best-ranked provider. */
static Id satisfy(const struct resolver *r, Id dep)
{
    Pool *pool = r->pool;
    Id named = candidate(r, dep_name(pool, dep)), best = 0, p, pp;
    FOR_PROVIDES(p, pp, dep)
    {
        if (p == named)
            return p;
        Solvable *s = pool->solvables + p;
        if (pool_installable(r->pool, s) && candidate(r, s->name) == p && better(r, p, best))
            best = p;
    }
    return best;
}

static bool satisfied(const struct resolver *r, Id dep)
{
    Pool *pool = r->pool;
    Id p, pp;
    FOR_PROVIDES(p, pp, dep)
    if (r->chosen[p])
        return true;
    return false;
}

static void choose(struct resolver *r, Id p)
{
    if (!p || r->chosen[p])
        return;
    r->chosen[p] = true;
    mio_env_solv_order(r->pool, r->pool->solvables + p);
    queue_push(&r->walk, p);
    queue_push(&r->trail, p);
}

/* True when something was chosen. */
static bool choose_for(struct resolver *r, Id dep)
{
    Id first = 0;
    if (satisfied(r, dep))
        return false;
    for (Id rest = dep; rest && !first;) {
        Id one = rest;
        rest = 0;
        if (is_rel(one) && rel_of(r->pool, one)->flags == REL_OR) {
            rest = rel_of(r->pool, one)->evr;
            one = rel_of(r->pool, one)->name;
        }
        first = satisfy(r, one);
    }
    choose(r, first);
    return first != 0;
}

static bool is_either(const Pool *pool, Id dep)
{
    return is_rel(dep) && rel_of(pool, dep)->flags == REL_OR;
}

/* Depth first, as apt marks: each dependency with all that follows from it before the next one, and
 * those that leave no choice before those that do. A negative number on the trail is a package
 * whose choices are due. */
static void walk(struct resolver *r)
{
    for (int i = 0, k = r->trail.count - 1; i < k; i++, k--) { /* requests in their order */
        Id t = r->trail.elements[i];
        r->trail.elements[i] = r->trail.elements[k];
        r->trail.elements[k] = t;
    }
    while (r->trail.count) {
        Id p = queue_pop(&r->trail);
        bool choices = p < 0, chose = false;
        const Solvable *s = r->pool->solvables + (choices ? -p : p);
        if (!s->requires)
            continue;
        queue_push(&r->trail, p);
        for (const Id *d = s->repo->idarraydata + s->requires; *d && !chose; d++)
            if (*d != SOLVABLE_PREREQMARKER && is_either(r->pool, *d) == choices)
                chose = choose_for(r, *d);
        if (chose)
            continue; /* what was chosen lies on top and goes first */
        queue_pop(&r->trail);
        if (!choices)
            queue_push(&r->trail, -p);
    }
}

static enum mio_code explain(struct resolver *r, Solver *solver)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 400);
    Id problem = 0;
    while ((problem = solver_next_problem(solver, problem)))
        mio_buf_printf(&b, "%s%s", b.n ? "; " : "", solver_problem2str(solver, problem));
    mio_fail(r->err, MIO_TEMPLATE, "the packages cannot be had together: %.*s",
             MIO_FMT(mio_buf_view(&b)));
    return mio_err_hint(r->err,
                        "take out one side of the conflict, or drop the dependency with a reason");
}

static struct mio_env_package describe(struct resolver *r, Id p)
{
    const Solvable *s = r->pool->solvables + p;
    struct mio_str t = r->stanzas[p], source = mio_env_field(t, "Source"), word;
    struct mio_env_package k = {
        .name = mio_str_z(pool_id2str(r->pool, s->name)),
        .version = mio_env_field(t, "Version"),
        .arch = mio_env_field(t, "Architecture"),
        .path = mio_env_field(t, "Filename"),
        .sha256 = mio_env_field(t, "SHA256"),
        .suite = r->suites[p],
    };
    mio_str_u64(mio_env_field(t, "Size"), &k.size);
    k.name = mio_arena_str(r->a, k.name);
    k.source = mio_env_word(&source, &word) ? word : k.name;
    source = mio_str_trim(source);
    k.source_version = source.n > 2 ? mio_str_sub(source, 1, source.n - 2) : k.version;
    return k;
}

static int by_name(const void *x, const void *y)
{
    const struct mio_env_package *a = x, *b = y;
    return mio_str_cmp(a->name, b->name);
}

static enum mio_code solve(struct resolver *r, Queue *jobs, struct mio_env_package **out,
                           size_t *count)
{
    for (int i = 0; i < r->walk.count; i++)
        queue_push2(jobs, SOLVER_INSTALL | SOLVER_SOLVABLE | SOLVER_WEAK, r->walk.elements[i]);
    Solver *solver = solver_create(r->pool);
    solver_set_flag(solver, SOLVER_FLAG_IGNORE_RECOMMENDED, 1);
    if (solver_solve(solver, jobs)) {
        explain(r, solver);
        solver_free(solver);
        return r->err->code;
    }
    Queue q;
    queue_init(&q);
    solver_get_decisionqueue(solver, &q);
    struct mio_env_package *items = MIO_NEW_N(r->a, struct mio_env_package, (size_t)q.count + 1);
    size_t n = 0;
    for (int i = 0; i < q.count; i++)
        if (q.elements[i] > SYSTEMSOLVABLE)
            items[n++] = describe(r, q.elements[i]);
    qsort(items, n, sizeof *items, by_name);
    queue_free(&q);
    solver_free(solver);
    *out = items;
    *count = n;
    return MIO_OK;
}

/* What a root file system needs to start a program at all. */
static const char *const slim[] = {"base-files", "base-passwd", "dash",
                                   "libc-bin",   "mawk",        "usr-is-merged"};

static enum mio_code request(struct resolver *r, struct mio_str text, Queue *jobs)
{
    Pool *pool = r->pool;
    ptrdiff_t eq = mio_str_find(text, '=');
    struct mio_str name = eq < 0 ? text : mio_str_sub(text, 0, (size_t)eq);
    Id id = pool_strn2id(r->pool, name.p, (unsigned)name.n, 1), first = 0, p, pp;
    if (eq > 0) {
        struct mio_str version = mio_str_sub(text, (size_t)eq + 1, text.n);
        Id evr = pool_strn2id(r->pool, version.p, (unsigned)version.n, 1);
        id = pool_rel2id(r->pool, id, evr, REL_EQ, 1);
        pool_createwhatprovides(r->pool);
        FOR_PROVIDES(p, pp, id)
        first = p;
    } else
        first = satisfy(r, id);
    if (!first) {
        mio_fail(r->err, MIO_TEMPLATE, "no package %.*s in the suite", MIO_FMT(text));
        return mio_err_hint(r->err, "check the name, the version after '=', and base.arch");
    }
    queue_push2(jobs, SOLVER_INSTALL | SOLVER_SOLVABLE, first);
    choose(r, first);
    return MIO_OK;
}

/* The interpreter that the wheels are for, and its plain name where the suite's own Python is that
 * one. */
static enum mio_code request_python(struct resolver *r, struct mio_str version, Queue *jobs)
{
    if (request(r, mio_arena_printf(r->a, "python%.*s", MIO_FMT(version)), jobs))
        return mio_err_wrap(r->err, "python.version");
    Id p = candidate(r, pool_str2id(r->pool, "python3", 1));
    const char *evr = p ? pool_id2str(r->pool, r->pool->solvables[p].evr) : "";
    /* What binary wheels may expect of every system, beside the C library. */
    if (request(r, MIO_STR("libstdc++6"), jobs) || request(r, MIO_STR("zlib1g"), jobs))
        return r->err->code;
    bool same = mio_str_starts(mio_str_z(evr), mio_arena_printf(r->a, "%.*s.", MIO_FMT(version)).p);
    return same ? request(r, MIO_STR("python3"), jobs) : MIO_OK;
}

/* Packages need not name these among what they depend on. */
static enum mio_code request_essential(struct resolver *r, Queue *jobs)
{
    for (Id p = 2; p < r->pool->nsolvables; p++)
        if (mio_str_is(mio_env_field(r->stanzas[p], "Essential"), "yes") &&
            request(r, mio_str_z(pool_id2str(r->pool, r->pool->solvables[p].name)), jobs))
            return r->err->code;
    return MIO_OK;
}

static enum mio_code requests(struct resolver *r, const struct mio_env_spec *spec, Queue *jobs)
{
    for (size_t i = 0; i < sizeof slim / sizeof *slim && !spec->bare; i++)
        if (request(r, mio_str_z(slim[i]), jobs))
            return r->err->code;
    if (spec->essential && request_essential(r, jobs))
        return r->err->code;
    for (size_t i = 0; i < spec->n_packages; i++)
        if (request(r, spec->packages[i], jobs))
            return r->err->code;
    return spec->python_version.n ? request_python(r, spec->python_version, jobs) : MIO_OK;
}

enum mio_code mio_env_resolve(struct mio_arena *a, const struct mio_env_spec *spec,
                              const struct mio_env_index *indices, size_t n,
                              const struct mio_env_keep *keep, struct mio_env_package **out,
                              size_t *count, struct mio_err *err)
{
    struct resolver r = {.a = a, .err = err, .pool = pool_create()};
    Queue jobs;
    queue_init(&jobs);
    queue_init(&r.walk);
    queue_init(&r.trail);
    pool_setdisttype(r.pool, DISTTYPE_DEB);
    pool_setarch(r.pool, mio_arena_z(a, spec->arch));
    enum mio_code code = load(&r, indices, n);
    if (!code) {
        forget(&r, spec);
        pool_createwhatprovides(r.pool);
        mark_kept(&r, keep);
        code = requests(&r, spec, &jobs);
    }
    if (!code) {
        walk(&r);
        code = solve(&r, &jobs, out, count);
    }
    queue_free(&jobs);
    queue_free(&r.walk);
    queue_free(&r.trail);
    pool_free(r.pool);
    return code;
}
