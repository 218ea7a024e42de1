/* providers/host/call.c: the calls about one object, and those that answer in JSON. */
#include "providers/host/provider.h"
#include "providers/sdk/json.h"

/* Runs encode-once, send-until-settled: retries what is transient and certain. `handle` keeps what
 * the plugin said about a long-running operation, to resume from it in the next attempt. */
struct attempt {
    const struct mio_call_opts *outer;
    char *handle; /* the last one recorded */
};

static bool keep_handle(void *arg, struct mio_str handle)
{
    struct attempt *t = arg;
    if (!t->outer->on_handle || !t->outer->on_handle(t->outer->arg, handle))
        return false;
    free(t->handle);
    t->handle = mio_zalloc(1, handle.n + 1);
    if (handle.n > 0)
        memcpy(t->handle, handle.p, handle.n);
    return true;
}

static void pass_progress(void *arg, struct mio_str message, int percent)
{
    struct attempt *t = arg;
    if (t->outer->on_progress)
        t->outer->on_progress(t->outer->arg, message, percent);
}

static void put_value(struct mio_msg *o, struct mio_value v)
{
    MIO_AUTO_BUF text;
    mio_buf_init(&text, 0);
    mio_json_write(&text, v, MIO_JSON_OPEN);
    mio_msg_str(o, mio_buf_view(&text));
}

/* An empty view travels as NULL. */
static void put_optional(struct mio_msg *o, struct mio_str s)
{
    if (s.n > 0)
        mio_msg_str(o, s);
    else
        mio_msg_z(o, NULL);
}

/* Everything of a change but the handle, which comes last because it differs from attempt to
 * attempt. */
static void put_change(struct mio_msg *o, uint8_t verb, const struct mio_prov_change *c,
                       struct mio_str base_dir)
{
    struct mio_value nothing = mio_map(NULL, 0);
    mio_msg_str(o, c->kind);
    mio_msg_str(o, c->address);
    put_optional(o, c->id);
    put_value(o, verb == MIO_VERB_REMOVE ? mio_null() : c->inputs);
    put_value(o, c->prior);
    put_value(o, c->changed.type == MIO_LIST ? c->changed : mio_list(NULL, 0));
    put_value(o, c->content.type == MIO_MAP ? c->content : nothing);
    mio_msg_str(o, c->base_dir.n > 0 ? c->base_dir : base_dir);
    put_optional(o, c->fingerprint);
}

/* The one object of a create, update, import; a delete may have none. */
static enum mio_code one_object(struct mio_provider *p, struct mio_arena *a, uint8_t verb,
                                const struct mio_answer *answer, struct mio_object *out,
                                struct mio_err *err)
{
    struct mio_objects objects;
    if (mio_answer_open(p, verb, answer, &objects, err))
        return err->code;
    const uint8_t *at[1] = {NULL};
    if (objects.n > 1 || !mio_answer_index(&objects, at))
        return mio_provider_breach(p, verb, MIO_STR("an answer that does not add up"), err);
    if (objects.n == 0) {
        if (verb != MIO_VERB_REMOVE)
            return mio_provider_breach(p, verb, MIO_STR("no object in the answer"), err);
        *out = (struct mio_object){.status = MLOPS_OK};
        return MIO_OK;
    }
    struct mio_object got;
    if (!mio_answer_object(p, a, objects.status[0], at[0], objects.data.end, verb, &got, err))
        return err->code;
    if (got.status == MLOPS_ERROR) {
        *err = got.error;
        return err->code;
    }
    if (got.status == MLOPS_UNCHANGED)
        return mio_provider_breach(p, verb, MIO_STR("\"unchanged\" where an object is due"), err);
    *out = got;
    return MIO_OK;
}

enum mio_code mio_provider_change(struct mio_provider *p, struct mio_arena *a,
                                  enum mio_prov_verb prov_verb, const struct mio_prov_change *c,
                                  const struct mio_call_opts *opts, struct mio_object *out,
                                  struct mio_err *err)
{
    static const uint8_t verbs[] = {[MIO_PROV_CREATE] = MIO_VERB_CREATE,
                                    [MIO_PROV_UPDATE] = MIO_VERB_UPDATE,
                                    [MIO_PROV_DELETE] = MIO_VERB_REMOVE};
    uint8_t verb = verbs[prov_verb];
    struct mio_call_opts outer = mio_call_opts_full(opts), o = outer;
    struct attempt t = {.outer = &outer};
    o.on_handle = keep_handle;
    o.on_progress = pass_progress;
    o.arg = &t;
    MIO_AUTO_OUT args = {0};
    put_change(&args, verb, c, p->o.base_dir);
    size_t fixed = args.n;
    unsigned cancels = mio_provider_cancels(p);
    struct mio_object ignored;
    for (;; o.attempt++) {
        args.n = fixed;
        put_optional(&args, t.handle ? mio_str_z(t.handle) : c->resume);
        struct mio_answer answer = {0};
        struct mio_err why = {0};
        enum mio_code code = mio_provider_call(p, verb, &args, &o, &answer, &why);
        if (!code)
            code = one_object(p, a, verb, &answer, out ? out : &ignored, &why);
        free(answer.payload);
        if (!code || !mio_provider_again(p, &why, o.attempt, &o, cancels)) {
            free(t.handle);
            if (code)
                *err = why;
            return code;
        }
    }
}

enum mio_code mio_provider_import(struct mio_provider *p, struct mio_arena *a, struct mio_str kind,
                                  struct mio_str id, const struct mio_call_opts *opts,
                                  struct mio_object *out, struct mio_err *err)
{
    struct mio_call_opts o = mio_call_opts_full(opts);
    const struct mio_schema *schema;
    if (mio_provider_schema(p, &schema, err))
        return err->code;
    if (!(schema->caps & MLOPS_CAP_IMPORT)) {
        mio_fail(err, MIO_PROVIDER, "provider \"%.*s\" cannot import", MIO_FMT(p->o.instance));
        return err->code;
    }
    MIO_AUTO_OUT args = {0};
    mio_msg_str(&args, kind);
    mio_msg_str(&args, id);
    unsigned cancels = mio_provider_cancels(p);
    for (;; o.attempt++) {
        struct mio_answer answer = {0};
        struct mio_err why = {0};
        enum mio_code code = mio_provider_call(p, MIO_VERB_IMPORT, &args, &o, &answer, &why);
        if (!code)
            code = one_object(p, a, MIO_VERB_IMPORT, &answer, out, &why);
        free(answer.payload);
        if (!code || !mio_provider_again(p, &why, o.attempt, &o, cancels)) {
            if (code)
                *err = why;
            return code;
        }
    }
}

/* ---- lookup ---- */

static enum mio_code many_objects(struct mio_provider *p, struct mio_arena *a, uint8_t verb,
                                  const struct mio_answer *answer, struct mio_object **out,
                                  size_t *n, struct mio_err *err)
{
    struct mio_objects objects;
    if (mio_answer_open(p, verb, answer, &objects, err))
        return err->code;
    const uint8_t **at = MIO_NEW_N(a, const uint8_t *, objects.n + 1);
    struct mio_object *found = MIO_NEW_N(a, struct mio_object, objects.n + 1);
    if (!mio_answer_index(&objects, at))
        return mio_provider_breach(p, verb, MIO_STR("an answer that does not add up"), err);
    for (size_t i = 0; i < objects.n; i++) {
        if (!mio_answer_object(p, a, objects.status[i], at[i], objects.data.end, verb, &found[i],
                               err))
            return err->code;
        if (found[i].status != MLOPS_OK)
            return mio_provider_breach(p, verb, MIO_STR("an item that is no object"), err);
    }
    *out = found;
    *n = objects.n;
    return MIO_OK;
}

enum mio_code mio_provider_lookup(struct mio_provider *p, struct mio_arena *a, struct mio_str kind,
                                  struct mio_str key, struct mio_value inputs,
                                  const struct mio_call_opts *opts, struct mio_object **out,
                                  size_t *n, struct mio_err *err)
{
    struct mio_call_opts o = mio_call_opts_full(opts);
    const struct mio_schema *schema;
    if (mio_provider_schema(p, &schema, err))
        return err->code;
    if (!(schema->caps & MLOPS_CAP_LOOKUP))
        return mio_fail(err, MIO_PROVIDER, "provider \"%.*s\" cannot look an object up by its key",
                        MIO_FMT(p->o.instance));
    MIO_AUTO_OUT args = {0};
    mio_msg_str(&args, kind);
    mio_msg_str(&args, key);
    put_value(&args, inputs);
    unsigned cancels = mio_provider_cancels(p);
    for (;; o.attempt++) {
        struct mio_answer answer = {0};
        struct mio_err why = {0};
        enum mio_code code = mio_provider_call(p, MIO_VERB_LOOKUP, &args, &o, &answer, &why);
        if (!code)
            code = many_objects(p, a, MIO_VERB_LOOKUP, &answer, out, n, &why);
        free(answer.payload);
        if (!code || !mio_provider_again(p, &why, o.attempt, &o, cancels)) {
            if (code)
                *err = why;
            return code;
        }
    }
}

/* ---- answers in JSON ---- */

/* The type that the answer of a verb must have; MIO_UNKNOWN: any. */
static enum mio_type answer_type(uint8_t verb)
{
    if (verb == MIO_VERB_PLAN || verb == MIO_VERB_DATA)
        return MIO_MAP;
    return verb == MIO_VERB_FUNCTION ? MIO_UNKNOWN : MIO_LIST;
}

static enum mio_code json_answer(struct mio_provider *p, struct mio_arena *a, uint8_t verb,
                                 const struct mio_answer *answer, struct mio_value *out,
                                 struct mio_err *err)
{
    struct mio_objects objects;
    if (mio_answer_open(p, verb, answer, &objects, err))
        return err->code;
    enum mio_type due = answer_type(verb);
    struct mio_value v = due == MIO_LIST ? mio_list(NULL, 0) : mio_map(NULL, 0);
    if (objects.answer.p) {
        struct mio_err why = {0};
        char text[320];
        if (mio_json_read(a, mio_arena_str(a, objects.answer), NULL, &v, &why)) {
            snprintf(text, sizeof text, "bad JSON: %.280s", why.message);
            return mio_provider_breach(p, verb, mio_str_z(text), err);
        }
    } else if (verb == MIO_VERB_DATA || verb == MIO_VERB_FUNCTION) {
        return mio_provider_breach(p, verb, MIO_STR("no answer"), err);
    }
    if (due != MIO_UNKNOWN && v.type != due)
        return mio_provider_breach(p, verb, MIO_STR("an answer of the wrong JSON type"), err);
    *out = v;
    return MIO_OK;
}

/* `cap` 0: validate, which has no capability bit. */
static enum mio_code json_call(struct mio_provider *p, struct mio_arena *a, uint8_t verb,
                               uint32_t cap, const struct mio_msg *args,
                               const struct mio_call_opts *opts, bool *supported,
                               struct mio_value *out, struct mio_err *err)
{
    struct mio_call_opts o = mio_call_opts_full(opts);
    const struct mio_schema *schema;
    if (mio_provider_schema(p, &schema, err))
        return err->code;
    *supported = cap == 0 ? schema->has_validate : (schema->caps & cap) != 0;
    unsigned cancels = mio_provider_cancels(p);
    for (; *supported; o.attempt++) {
        struct mio_answer answer = {0};
        struct mio_err why = {0};
        enum mio_code code = mio_provider_call(p, verb, args, &o, &answer, &why);
        if (!code)
            code = json_answer(p, a, verb, &answer, out, &why);
        free(answer.payload);
        if (!code)
            return MIO_OK;
        if (!mio_provider_again(p, &why, o.attempt, &o, cancels)) {
            *err = why;
            return code;
        }
    }
    return MIO_OK;
}

enum mio_code mio_provider_plan(struct mio_provider *p, struct mio_arena *a,
                                const struct mio_prov_change *c, const struct mio_call_opts *o,
                                bool *supported, struct mio_value *answer, struct mio_err *err)
{
    MIO_AUTO_OUT args = {0};
    put_change(&args, MIO_VERB_PLAN, c, p->o.base_dir);
    put_optional(&args, c->resume);
    return json_call(p, a, MIO_VERB_PLAN, MLOPS_CAP_PLAN, &args, o, supported, answer, err);
}

enum mio_code mio_provider_validate(struct mio_provider *p, struct mio_arena *a,
                                    const struct mio_prov_change *c, bool *supported,
                                    struct mio_value *answer, struct mio_err *err)
{
    MIO_AUTO_OUT args = {0};
    put_change(&args, MIO_VERB_VALIDATE, c, p->o.base_dir);
    put_optional(&args, c->resume);
    return json_call(p, a, MIO_VERB_VALIDATE, 0, &args, NULL, supported, answer, err);
}

enum mio_code mio_provider_preflight(struct mio_provider *p, struct mio_arena *a,
                                     struct mio_value changes, bool *supported,
                                     struct mio_value *answer, struct mio_err *err)
{
    MIO_AUTO_OUT args = {0};
    put_value(&args, changes);
    return json_call(p, a, MIO_VERB_PREFLIGHT, MLOPS_CAP_PREFLIGHT, &args, NULL, supported, answer,
                     err);
}

enum mio_code mio_provider_data(struct mio_provider *p, struct mio_arena *a, struct mio_str kind,
                                struct mio_value query, const struct mio_call_opts *o,
                                struct mio_value *answer, struct mio_err *err)
{
    MIO_AUTO_OUT args = {0};
    mio_msg_str(&args, kind);
    put_value(&args, query);
    bool supported = false;
    if (json_call(p, a, MIO_VERB_DATA, MLOPS_CAP_DATA, &args, o, &supported, answer, err))
        return err->code;
    return supported ? MIO_OK
                     : mio_fail(err, MIO_PROVIDER, "provider \"%.*s\" has no data lookups",
                                MIO_FMT(p->o.instance));
}

enum mio_code mio_provider_function(struct mio_provider *p, struct mio_arena *a,
                                    struct mio_str name, struct mio_value arguments,
                                    struct mio_value *answer, struct mio_err *err)
{
    MIO_AUTO_OUT args = {0};
    mio_msg_str(&args, name);
    put_value(&args, arguments);
    bool supported = false;
    if (json_call(p, a, MIO_VERB_FUNCTION, MLOPS_CAP_FUNCTIONS, &args, NULL, &supported, answer,
                  err))
        return err->code;
    return supported ? MIO_OK
                     : mio_fail(err, MIO_TEMPLATE, "provider \"%.*s\" has no functions",
                                MIO_FMT(p->o.instance));
}

enum mio_code mio_provider_list(struct mio_provider *p, struct mio_arena *a, struct mio_str kind,
                                struct mio_value *answer, struct mio_err *err)
{
    MIO_AUTO_OUT args = {0};
    mio_msg_str(&args, kind);
    bool supported = false;
    if (json_call(p, a, MIO_VERB_LIST, MLOPS_CAP_LIST, &args, NULL, &supported, answer, err))
        return err->code;
    return supported ? MIO_OK
                     : mio_fail(err, MIO_PROVIDER, "provider \"%.*s\" cannot list its objects",
                                MIO_FMT(p->o.instance));
}
