/* tests/conformance/kit_class.c: what a plugin claims about creates whose reply is lost, proved by
 * killing it.
 *
 * Each round starts a create in a provider of its own, kills the child at some moment of the call,
 * and settles the matter as the engine would: by sending the key again (class A, B) or by looking
 * it up (class C). Then there must be exactly one object of that key, however the kill fell. */
#include <pthread.h>

#include "providers/sdk/digest.h"
#include "tests/conformance/kit_impl.h"

enum { KILLS = 20 };

static const char *class_name(const struct kit *k)
{
    static const char *const names[] = {[MLOPS_CREATE_D] = "D",
                                        [MLOPS_CREATE_A] = "A",
                                        [MLOPS_CREATE_B] = "B",
                                        [MLOPS_CREATE_C] = "C"};
    return names[k->kind->create_class];
}

/* Objects that bear the key, as the plugin finds them. -1: it failed. */
static int64_t look_up(struct kit *k, unsigned number, struct mio_object *first,
                       struct mio_err *err)
{
    struct mio_object *found = NULL;
    size_t n = 0;
    if (mio_provider_lookup(k->p, &k->a, k->kind->name, kit_key(k, number),
                            kit_inputs(k, k->o->inputs, number), NULL, &found, &n, err))
        return -1;
    if (n > 0)
        *first = found[0];
    return (int64_t)n;
}

/* ---- without a kill ---- */

static void same_key_twice(struct kit *k)
{
    struct mio_err err = {0};
    struct mio_object one, two;
    unsigned number = ++k->number;
    int64_t before = kit_count(k);
    kit_create(k, k->p, &k->a, number, &one, &err);
    kit_create(k, k->p, &k->a, number, &two, &err);
    if (!kit_check(k, !err.code, "a key can be sent twice", "%s", err.message))
        return;
    kit_check(k, mio_str_eq(one.id, two.id), "a key sent twice gives the same object",
              "%.*s and %.*s", MIO_FMT(one.id), MIO_FMT(two.id));
    if (before >= 0)
        kit_check(k, kit_count(k) == before + 1, "a key sent twice makes one object", "%lld more",
                  (long long)(kit_count(k) - before));
    kit_delete(k, &one);
    if (!mio_str_eq(one.id, two.id))
        kit_delete(k, &two);
}

static void marker_is_found(struct kit *k)
{
    struct mio_err err = {0};
    struct mio_object made, found = {0};
    unsigned number = ++k->number;
    int64_t n = look_up(k, number, &found, &err);
    kit_check(k, n == 0, "a key that was never sent is not found", "%lld found", (long long)n);
    kit_create(k, k->p, &k->a, number, &made, &err);
    if (!kit_check(k, !err.code, "create works", "%s", err.message))
        return;
    mio_sleep_ms(k->kind->settle_ms);
    n = look_up(k, number, &found, &err);
    kit_check(k, n == 1 && mio_str_eq(found.id, made.id), "the key finds the object that bears it",
              "%lld found: %s", (long long)n, err.message);
    kit_delete(k, &made);
}

/* ---- with a kill ---- */

struct victim {
    struct kit *k;
    struct mio_provider *p;
    unsigned number;
    bool answered;
};

static void *call(void *arg)
{
    struct victim *v = arg;
    struct mio_arena a;
    mio_arena_init(&a);
    struct mio_err err = {0};
    struct mio_object obj;
    struct mio_prov_change c = {.kind = v->k->kind->name,
                                .address = MIO_STR("kit.victim"),
                                .inputs = kit_inputs(v->k, v->k->o->inputs, v->number)};
    struct mio_call_opts o = {.key = kit_key(v->k, v->number), .deadline_ms = mio_now_ms() + 60000};
    v->answered = mio_provider_change(v->p, &a, MIO_PROV_CREATE, &c, &o, &obj, &err) == MIO_OK;
    mio_arena_free(&a);
    return NULL;
}

/* One create, killed `us` microseconds after it began. False: the kit itself could not go on. */
static bool kill_one(struct kit *k, unsigned number, int64_t us, struct mio_err *err)
{
    struct kit saved = *k; /* another provider for the victim; ours settles what it leaves */
    enum mio_code code = kit_connect(k, err);
    struct victim v = {.k = k, .p = k->p, .number = number};
    k->p = saved.p;
    k->schema = saved.schema;
    k->kind = saved.kind;
    if (code) {
        mio_provider_close(v.p == saved.p ? NULL : v.p);
        return false;
    }
    pthread_t thread;
    if (pthread_create(&thread, NULL, call, &v) == 0) {
        nanosleep(&(struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000}, NULL);
        mio_provider_abort(v.p);
        pthread_join(thread, NULL);
    }
    mio_provider_close(v.p);
    return true;
}

/* Settles as the engine does; gives the one object. False: it is not exactly one, and `why` says
 * what is. */
static bool settle(struct kit *k, unsigned number, struct mio_object *out, char why[256])
{
    struct mio_err err = {0};
    if (k->kind->create_class == MLOPS_CREATE_C) {
        mio_sleep_ms(k->kind->settle_ms);
        int64_t n = look_up(k, number, out, &err);
        if (n < 0 || n > 1) {
            snprintf(why, 256, "%lld objects bear the key", (long long)n);
            return false;
        }
        if (n == 1)
            return true;
    }
    kit_create(k, k->p, &k->a, number, out, &err);
    snprintf(why, 256, "the create sent again fails: %.200s", err.message);
    return !err.code && out->status == MLOPS_OK;
}

static int64_t how_long(struct kit *k)
{
    struct mio_err err = {0};
    struct mio_object obj;
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    kit_create(k, k->p, &k->a, ++k->number, &obj, &err);
    clock_gettime(CLOCK_MONOTONIC, &b);
    if (!err.code)
        kit_delete(k, &obj);
    return (b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000;
}

/* Kills are spread over the length of a create and a little beyond. */
static void killed_calls(struct kit *k)
{
    unsigned kills = k->o->kills ? k->o->kills : KILLS;
    int64_t us = how_long(k), before = kit_count(k);
    struct mio_object *made = MIO_NEW_N(&k->a, struct mio_object, kills);
    unsigned first = k->number + 1, bad = 0;
    char why[256] = "";
    k->number += kills;
    for (unsigned i = 0; i < kills; i++) {
        struct mio_err err = {0};
        if (!kill_one(k, first + i, us * 3 / 2 * (int64_t)i / (int64_t)kills, &err)) {
            snprintf(why, sizeof why, "%.250s", err.message);
            bad++;
        } else if (!settle(k, first + i, &made[i], why)) {
            bad++;
        }
    }
    kit_check(k, bad == 0, "a killed create can be settled", "%u of %u: %s", bad, kills, why);
    if (before >= 0) {
        mio_sleep_ms(k->kind->settle_ms);
        int64_t more = kit_count(k) - before;
        kit_check(k, more == (int64_t)kills, "killed creates make no object twice and lose none",
                  "%u keys, %lld objects", kills, (long long)more);
    }
    for (unsigned i = 0; i < kills; i++)
        if (made[i].id.n > 0)
            kit_delete(k, &made[i]);
}

void kit_class(struct kit *k)
{
    if (k->kind->create_class == MLOPS_CREATE_D) {
        kit_check(k, true, "create class D promises nothing", "%s", "");
        return;
    }
    struct mio_str check = mio_arena_printf(&k->a, "create class %s is declared", class_name(k));
    kit_check(k, true, check.p, "%s", "");
    if (k->kind->create_class == MLOPS_CREATE_C || (k->kind->flags & MLOPS_KIND_FINDABLE))
        marker_is_found(k);
    if (k->kind->create_class != MLOPS_CREATE_C)
        same_key_twice(k);
    killed_calls(k);
}
