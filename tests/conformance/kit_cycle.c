/* tests/conformance/kit_cycle.c: one object from its creation to its end, read at every step. */
#include "tests/conformance/kit_impl.h"

struct seen {
    struct mio_arena *a;
    struct mio_object obj;
    size_t n, not_found;
};

static void note(void *arg, size_t index, const struct mio_object *obj)
{
    struct seen *s = arg;
    (void)index;
    s->obj = *obj;
    s->obj.id = mio_arena_str(s->a, obj->id);
    s->obj.fingerprint = mio_arena_str(s->a, obj->fingerprint);
    s->obj.attributes = mio_value_copy(s->a, obj->attributes);
    s->n++;
    s->not_found += obj->status == MLOPS_NOT_FOUND;
}

/* Reads one object; a failure of the call is reported as a broken check. */
static struct mio_object read_one(struct kit *k, struct mio_str id, struct mio_str fingerprint,
                                  bool full)
{
    struct seen s = {.a = &k->a, .obj = {.status = MLOPS_ERROR}};
    struct mio_err err = {0};
    struct mio_read_item item = {
        .kind = k->kind->name, .id = id, .fingerprint = fingerprint, .full = full};
    if (mio_provider_read(k->p, &item, 1, NULL, note, &s, &err))
        kit_check(k, false, "a read works", "%s", err.message);
    return s.obj;
}

/* Every input that was given comes back as it was given, unless its field says that it need not. */
static bool echoes(struct kit *k, struct mio_value inputs, struct mio_value attributes,
                   char why[256])
{
    for (uint32_t i = 0; i < inputs.n; i++) {
        struct mio_str name = inputs.pairs[i].key;
        const struct mio_field *f = mio_field_get(&k->kind->root, name);
        const struct mio_value *got = mio_get(attributes, name);
        if (!f) {
            snprintf(why, 256, "the example has the field %.*s, the kind has not", MIO_FMT(name));
            return false;
        }
        if (f->flags &
            (MLOPS_WRITE_ONLY | MLOPS_LATE | MLOPS_DURATION | MLOPS_FOLD_CASE | MLOPS_REFERENCE))
            continue;
        if (!got || (f->type != MLOPS_OBJECT && !mio_equal(*got, inputs.pairs[i].value))) {
            snprintf(why, 256, "%.*s did not come back as it was sent", MIO_FMT(name));
            return false;
        }
    }
    return true;
}

/* Equal but for what differs at every read. */
static bool stable(struct kit *k, struct mio_value a, struct mio_value b)
{
    for (size_t i = 0; i < k->kind->root.nfields; i++) {
        const struct mio_field *f = &k->kind->root.fields[i];
        const struct mio_value *x = mio_get(a, f->name), *y = mio_get(b, f->name);
        if (f->flags & (MLOPS_UNSTABLE | MLOPS_WRITE_ONLY))
            continue;
        bool absent_x = !x || mio_is_null(*x), absent_y = !y || mio_is_null(*y);
        if (absent_x != absent_y || (!absent_x && !mio_equal(*x, *y)))
            return false;
    }
    return true;
}

static void absent(struct kit *k)
{
    struct mio_object obj = read_one(k, MIO_STR("no-such-object-at-all"), MIO_STR(""), false);
    kit_check(k, obj.status == MLOPS_NOT_FOUND, "an absent id is not found", "status %d",
              (int)obj.status);
    size_t n = (k->schema->batch ? k->schema->batch : 1000) + 3;
    struct mio_read_item *items = MIO_NEW_N(&k->a, struct mio_read_item, n);
    for (size_t i = 0; i < n; i++)
        items[i] = (struct mio_read_item){.kind = k->kind->name,
                                          .id = mio_arena_printf(&k->a, "no-such-object-%zu", i)};
    struct seen s = {.a = &k->a};
    struct mio_err err = {0};
    mio_provider_read(k->p, items, n, NULL, note, &s, &err);
    kit_check(k, s.not_found == n, "a full batch of absent ids is not found", "%zu of %zu: %s",
              s.not_found, n, err.message);
    struct mio_prov_change c = {.kind = k->kind->name,
                                .address = MIO_STR("kit.absent"),
                                .id = MIO_STR("no-such-object-at-all"),
                                .prior = mio_map(NULL, 0)};
    mio_err_clear(&err);
    mio_provider_change(k->p, &k->a, MIO_PROV_DELETE, &c, NULL, NULL, &err);
    kit_check(k, !err.code, "deleting what is gone is fine", "%s", err.message);
}

static void after_create(struct kit *k, const struct mio_object *made, struct mio_value inputs)
{
    char why[256] = "";
    kit_check(k, echoes(k, inputs, made->attributes, why), "create gives the inputs back", "%s",
              why);
    struct mio_object got = read_one(k, made->id, made->fingerprint, true);
    kit_check(k, got.status == MLOPS_OK && mio_str_eq(got.id, made->id),
              "what was created can be read", "status %d", (int)got.status);
    kit_check(k, stable(k, got.attributes, made->attributes), "a read shows what create showed",
              "attributes differ");
    if (made->fingerprint.n > 0) {
        got = read_one(k, made->id, made->fingerprint, false);
        kit_check(k, got.status == MLOPS_UNCHANGED, "its fingerprint reads as unchanged",
                  "status %d", (int)got.status);
    }
    struct mio_err err = {0};
    if (k->schema->caps & MLOPS_CAP_IMPORT) {
        mio_provider_import(k->p, &k->a, k->kind->name, made->id, NULL, &got, &err);
        kit_check(k, !err.code && got.status == MLOPS_OK && mio_str_eq(got.id, made->id),
                  "import by id gives the object", "status %d: %s", (int)got.status, err.message);
        mio_err_clear(&err);
        mio_provider_import(k->p, &k->a, k->kind->name, MIO_STR("no-such-object"), NULL, &got,
                            &err);
        kit_check(k, !err.code && got.status == MLOPS_NOT_FOUND,
                  "import of an absent id is not found", "status %d: %s", (int)got.status,
                  err.message);
    }
}

static void update(struct kit *k, struct mio_object *made)
{
    struct mio_err err = {0};
    struct mio_object got = {0};
    char why[256] = "";
    struct mio_value inputs = kit_inputs(k, k->o->changed, k->number);
    struct mio_prov_change c = {.kind = k->kind->name,
                                .address = MIO_STR("kit.update"),
                                .id = made->id,
                                .inputs = inputs,
                                .prior = made->attributes,
                                .fingerprint = made->fingerprint};
    struct mio_call_opts o = {.key = kit_key(k, k->number + 500000),
                              .deadline_ms = mio_now_ms() + 60000};
    mio_provider_change(k->p, &k->a, MIO_PROV_UPDATE, &c, &o, &got, &err);
    if (!kit_check(k, !err.code && got.status == MLOPS_OK, "update works", "%s", err.message))
        return;
    kit_check(k, mio_str_eq(got.id, made->id), "update keeps the id", "it became %.*s",
              MIO_FMT(got.id));
    kit_check(k, echoes(k, inputs, got.attributes, why), "update gives the inputs back", "%s", why);
    if (made->fingerprint.n > 0) {
        struct mio_object old = read_one(k, made->id, made->fingerprint, false);
        kit_check(k, old.status == MLOPS_OK, "the fingerprint of before no longer holds",
                  "status %d", (int)old.status);
    }
    struct mio_object again = read_one(k, made->id, MIO_STR(""), true);
    kit_check(k, again.status == MLOPS_OK && stable(k, again.attributes, got.attributes),
              "a read shows what update showed", "status %d, or attributes differ",
              (int)again.status);
    *made = got;
}

void kit_cycle(struct kit *k)
{
    absent(k);
    int64_t before = kit_count(k);
    struct mio_err err = {0};
    struct mio_object made;
    struct mio_value inputs = kit_inputs(k, k->o->inputs, ++k->number);
    kit_create(k, k->p, &k->a, k->number, &made, &err);
    if (!kit_check(k, !err.code && made.status == MLOPS_OK, "create works", "%s", err.message))
        return;
    after_create(k, &made, inputs);
    if (before >= 0)
        kit_check(k, kit_count(k) == before + 1, "list shows it", "%lld before, %lld now",
                  (long long)before, (long long)kit_count(k));
    if (k->o->changed)
        update(k, &made);
    struct mio_prov_change c = {.kind = k->kind->name,
                                .address = MIO_STR("kit.delete"),
                                .id = made.id,
                                .prior = made.attributes};
    mio_provider_change(k->p, &k->a, MIO_PROV_DELETE, &c, NULL, NULL, &err);
    kit_check(k, !err.code, "delete works", "%s", err.message);
    struct mio_object gone = read_one(k, made.id, made.fingerprint, false);
    kit_check(k, gone.status == MLOPS_NOT_FOUND, "what was deleted is not found", "status %d",
              (int)gone.status);
    if (before >= 0)
        kit_check(k, kit_count(k) == before, "list no longer shows it", "%lld before, %lld now",
                  (long long)before, (long long)kit_count(k));
}
