/* planner/change/planfile.c: a plan as canonical lines and back. See planfile.h. */
#include "planner/change/planfile.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/json.h"
#include "state/model.h"

enum { FORMAT = 1, MOST_PAIRS = 24 };

/* A map in the making; values are masked on the way in. */
struct map {
    struct mio_arena *a;
    struct mio_str salt;
    struct mio_pair pairs[MOST_PAIRS];
    size_t n;
};

static void put(struct map *m, const char *key, struct mio_value v)
{
    m->pairs[m->n++] =
        (struct mio_pair){mio_str_z(key), mio_has_sensitive(v) ? mio_mask(m->a, m->salt, v) : v};
}

static void put_str(struct map *m, const char *key, struct mio_str s)
{
    if (s.n)
        put(m, key, mio_string(s));
}

static void put_num(struct map *m, const char *key, int64_t n)
{
    put(m, key, mio_number_i64(m->a, n));
}

static void put_flag(struct map *m, const char *key, bool b)
{
    if (b)
        put(m, key, mio_bool(true));
}

static struct mio_value close_map(struct map *m)
{
    struct mio_pair *pairs = MIO_NEW_N(m->a, struct mio_pair, m->n + 1);
    memcpy(pairs, m->pairs, m->n * sizeof *pairs);
    return mio_map(pairs, m->n);
}

static struct mio_value strings(struct mio_arena *a, const struct mio_str *list, size_t n)
{
    struct mio_value *items = MIO_NEW_N(a, struct mio_value, n + 1);
    for (size_t i = 0; i < n; i++)
        items[i] = mio_string(list[i]);
    return mio_list(items, n);
}

static struct mio_value attr_value(struct mio_arena *a, const struct mio_diff_attr *d)
{
    struct map m = {.a = a};
    put_str(&m, "path", d->path);
    put_flag(&m, "replaces", d->replaces);
    put_flag(&m, "repairs", d->repairs);
    put_flag(&m, "late", d->late);
    put_str(&m, "place", d->place);
    put_str(&m, "source", d->source);
    if (d->ninputs)
        put(&m, "inputs", strings(a, d->inputs, d->ninputs));
    return close_map(&m);
}

static struct mio_value change_value(struct mio_arena *a, struct mio_str salt,
                                     const struct mio_change *c)
{
    struct map m = {.a = a, .salt = salt};
    struct mio_value *attrs = MIO_NEW_N(a, struct mio_value, c->nattrs + 1);
    put_str(&m, "address", c->address);
    put_str(&m, "module", c->module);
    put_str(&m, "kind", c->kind);
    put_str(&m, "name", c->name);
    put(&m, "key", c->key);
    put_flag(&m, "is_data", c->is_data);
    put_str(&m, "deposed", c->deposed);
    put_str(&m, "provider", c->provider);
    put_str(&m, "previous_address", c->previous_address);
    put_str(&m, "import_id", c->import_id);
    put_num(&m, "action", (int64_t)c->action);
    put_num(&m, "reason", (int64_t)c->reason);
    put(&m, "before", c->before);
    put(&m, "after", c->after);
    put_str(&m, "id", c->id);
    for (size_t i = 0; i < c->nattrs; i++)
        attrs[i] = attr_value(a, &c->attrs[i]);
    put(&m, "attrs", mio_list(attrs, c->nattrs));
    return close_map(&m);
}

static void line(struct mio_buf *b, const char *what, struct mio_value v)
{
    mio_buf_printf(b, "{\"%s\":", what);
    mio_json_write(b, v, MIO_JSON_MARKED);
    mio_buf_z(b, "}\n");
}

static void changes(struct mio_buf *b, const char *what, struct mio_str salt,
                    const struct mio_change *c, size_t n)
{
    struct mio_arena a;
    mio_arena_init(&a);
    for (size_t i = 0; i < n; i++) {
        if (c[i].action == MIO_NOOP && c[i].import_id.n == 0 && c[i].previous_address.n == 0)
            continue;
        struct mio_arena_mark mark = mio_arena_mark(&a);
        line(b, what, change_value(&a, salt, &c[i]));
        mio_arena_rewind(&a, mark);
    }
    mio_arena_free(&a);
}

static void body(struct mio_buf *b, const struct mio_plan *p, struct mio_str salt)
{
    struct mio_arena a;
    mio_arena_init(&a);
    line(b, "variables",
         mio_has_sensitive(p->variables) ? mio_mask(&a, salt, p->variables) : p->variables);
    changes(b, "change", salt, p->changes, p->nchanges);
    changes(b, "drift", salt, p->drift, p->ndrift);
    for (size_t i = 0; i < p->noutputs; i++) {
        const struct mio_output_change *o = &p->outputs[i];
        struct map m = {.a = &a, .salt = salt};
        put_str(&m, "name", o->name);
        put_num(&m, "action", (int64_t)o->action);
        put(&m, "before", o->sensitive ? mio_sensitive(o->before) : o->before);
        put(&m, "after",
            o->sensitive && !mio_has_unknown(o->after) ? mio_sensitive(o->after) : o->after);
        put_flag(&m, "sensitive", o->sensitive);
        line(b, "output", close_map(&m));
    }
    for (size_t i = 0; i < p->nchecks; i++) {
        struct map m = {.a = &a};
        put_str(&m, "name", p->checks[i].name);
        put_str(&m, "message", p->checks[i].message);
        put_flag(&m, "passed", p->checks[i].passed);
        put_flag(&m, "unknown", p->checks[i].unknown);
        put_flag(&m, "blocks", p->checks[i].blocks);
        line(b, "check", close_map(&m));
    }
    line(b, "unchecked", strings(&a, p->unchecked, p->nunchecked));
    mio_arena_free(&a);
}

static void hex_digest(const struct mio_buf *b, char out[65])
{
    uint8_t digest[MIO_SHA256_LEN];
    mio_sha256_of(b->n ? b->p : "", b->n, digest);
    mio_hex(digest, sizeof digest, out);
}

void mio_plan_digest(const struct mio_plan *p, struct mio_str salt, char out[65])
{
    MIO_AUTO_BUF b = {0};
    body(&b, p, salt);
    hex_digest(&b, out);
}

static struct mio_value header(struct mio_arena *a, const struct mio_plan *p, const char *digest)
{
    const struct mio_plan_binding *k = &p->binding;
    struct map m = {.a = a}, c = {.a = a};
    put_num(&c, "add", (int64_t)p->counts.add);
    put_num(&c, "change", (int64_t)p->counts.change);
    put_num(&c, "destroy", (int64_t)p->counts.destroy);
    put_num(&c, "import", (int64_t)p->counts.import);
    put_num(&c, "forget", (int64_t)p->counts.forget);
    put_num(&c, "move", (int64_t)p->counts.move);
    put_num(&c, "read", (int64_t)p->counts.read);
    put_num(&m, "mlops_iac_plan", FORMAT);
    put_num(&m, "mode", (int64_t)p->mode);
    put_str(&m, "tool_version", k->tool_version);
    put_str(&m, "template_digest", k->template_digest);
    put_str(&m, "variables_digest", k->variables_digest);
    put_str(&m, "stage", k->stage);
    put_str(&m, "lineage", k->lineage);
    put_num(&m, "serial", (int64_t)k->serial);
    put_str(&m, "state_digest", k->state_digest);
    put(&m, "plugins", strings(a, k->plugins, k->nplugins));
    put_num(&m, "created", k->created);
    put_num(&m, "expires", k->expires);
    put(&m, "targets", strings(a, p->targets, p->ntargets));
    put(&m, "excludes", strings(a, p->excludes, p->nexcludes));
    put(&m, "replaces", strings(a, p->replaces, p->nreplaces));
    put_flag(&m, "refreshed", p->refreshed);
    put_flag(&m, "errored", p->errored);
    put(&m, "counts", close_map(&c));
    put(&m, "body_sha256", mio_string_z(digest));
    return close_map(&m);
}

/* The header's line: it ends in a digest of its own, for people believe the counts that it holds.
 */
static void put_header(struct mio_buf *b, struct mio_arena *a, struct mio_value h)
{
    MIO_AUTO_BUF plain = {0};
    char digest[65];
    mio_json_write(&plain, h, MIO_JSON_PLAIN);
    hex_digest(&plain, digest);
    struct mio_value text = mio_string(mio_arena_str(a, mio_str_z(digest)));
    mio_json_write(b, mio_map_with(a, h, MIO_STR("header_sha256"), text), MIO_JSON_PLAIN);
}

void mio_planfile_write(struct mio_buf *b, const struct mio_plan *p, struct mio_str salt)
{
    MIO_AUTO_BUF rest = {0};
    struct mio_arena a;
    char digest[65];
    mio_arena_init(&a);
    body(&rest, p, salt);
    hex_digest(&rest, digest);
    put_header(b, &a, header(&a, p, digest));
    mio_buf_char(b, '\n');
    mio_buf_str(b, mio_buf_view(&rest));
    mio_arena_free(&a);
}

/* ---- reading ---- */

static enum mio_code refuse(struct mio_err *err, const char *why)
{
    mio_fail(err, MIO_STATE, "the plan file cannot be used: %s", why);
    return mio_err_hint(err, "Make a new one with `mlops-iac plan -out=FILE`.");
}

static const struct mio_str *list_of(struct mio_arena *a, struct mio_value m, const char *key,
                                     size_t *n)
{
    const struct mio_value *v = mio_get_z(m, key);
    struct mio_str *out = MIO_NEW_N(a, struct mio_str, (v ? v->n : 0) + 1u);
    *n = v && v->type == MIO_LIST ? v->n : 0;
    for (size_t i = 0; i < *n; i++)
        out[i] = mio_value_str(v->items[i]);
    return out;
}

static struct mio_value get(struct mio_value m, const char *key)
{
    const struct mio_value *v = mio_get_z(m, key);
    return v ? *v : mio_null();
}

static void read_attrs(struct mio_arena *a, struct mio_value list, struct mio_change *c)
{
    struct mio_diff_attr *attrs =
        MIO_NEW_N(a, struct mio_diff_attr, (list.type == MIO_LIST ? list.n : 0) + 1u);
    c->attrs = attrs;
    c->nattrs = list.type == MIO_LIST ? list.n : 0;
    for (size_t i = 0; i < c->nattrs; i++) {
        struct mio_value m = list.items[i];
        attrs[i] = (struct mio_diff_attr){.path = mio_get_str(m, "path"),
                                          .replaces = mio_get_bool(m, "replaces", false),
                                          .repairs = mio_get_bool(m, "repairs", false),
                                          .late = mio_get_bool(m, "late", false),
                                          .place = mio_get_str(m, "place"),
                                          .source = mio_get_str(m, "source")};
        attrs[i].inputs = list_of(a, m, "inputs", &attrs[i].ninputs);
    }
}

static struct mio_change read_change(struct mio_arena *a, struct mio_value m)
{
    int64_t action = mio_get_i64(m, "action", 0), reason = mio_get_i64(m, "reason", 0);
    struct mio_change c = {
        .address = mio_get_str(m, "address"),
        .module = mio_get_str(m, "module"),
        .kind = mio_get_str(m, "kind"),
        .name = mio_get_str(m, "name"),
        .key = get(m, "key"),
        .is_data = mio_get_bool(m, "is_data", false),
        .deposed = mio_get_str(m, "deposed"),
        .provider = mio_get_str(m, "provider"),
        .previous_address = mio_get_str(m, "previous_address"),
        .import_id = mio_get_str(m, "import_id"),
        .action = action >= 0 && action <= MIO_FORGET ? (enum mio_action)action : MIO_NOOP,
        .reason =
            reason >= 0 && reason <= MIO_WHY_PROVIDER ? (enum mio_reason)reason : MIO_WHY_NONE,
        .before = get(m, "before"),
        .after = get(m, "after"),
        .id = mio_get_str(m, "id")};
    read_attrs(a, get(m, "attrs"), &c);
    return c;
}

static void read_header(struct mio_arena *a, struct mio_value h, struct mio_plan *p)
{
    struct mio_plan_binding *k = &p->binding;
    struct mio_value c = get(h, "counts");
    int64_t mode = mio_get_i64(h, "mode", 0);
    p->mode =
        mode >= 0 && mode <= MIO_PLAN_REFRESH_ONLY ? (enum mio_plan_mode)mode : MIO_PLAN_NORMAL;
    k->tool_version = mio_get_str(h, "tool_version");
    k->template_digest = mio_get_str(h, "template_digest");
    k->variables_digest = mio_get_str(h, "variables_digest");
    k->stage = mio_get_str(h, "stage");
    k->lineage = mio_get_str(h, "lineage");
    k->serial = (uint64_t)mio_get_i64(h, "serial", 0);
    k->state_digest = mio_get_str(h, "state_digest");
    k->plugins = list_of(a, h, "plugins", &k->nplugins);
    k->created = mio_get_i64(h, "created", 0);
    k->expires = mio_get_i64(h, "expires", 0);
    p->targets = list_of(a, h, "targets", &p->ntargets);
    p->excludes = list_of(a, h, "excludes", &p->nexcludes);
    p->replaces = list_of(a, h, "replaces", &p->nreplaces);
    p->refreshed = mio_get_bool(h, "refreshed", false);
    p->errored = mio_get_bool(h, "errored", false);
    p->counts = (struct mio_plan_counts){.add = (size_t)mio_get_i64(c, "add", 0),
                                         .change = (size_t)mio_get_i64(c, "change", 0),
                                         .destroy = (size_t)mio_get_i64(c, "destroy", 0),
                                         .import = (size_t)mio_get_i64(c, "import", 0),
                                         .forget = (size_t)mio_get_i64(c, "forget", 0),
                                         .move = (size_t)mio_get_i64(c, "move", 0),
                                         .read = (size_t)mio_get_i64(c, "read", 0)};
}

struct caps {
    size_t change, drift, output, check;
};

static void read_line(struct mio_arena *a, struct mio_value m, struct mio_plan *p, struct caps *cap)
{
    const struct mio_value *v;
    if ((v = mio_get_z(m, "variables")) != NULL) {
        p->variables = *v;
    } else if ((v = mio_get_z(m, "change")) != NULL) {
        MIO_PUSH(a, p->changes, p->nchanges, cap->change) = read_change(a, *v);
    } else if ((v = mio_get_z(m, "drift")) != NULL) {
        MIO_PUSH(a, p->drift, p->ndrift, cap->drift) = read_change(a, *v);
    } else if ((v = mio_get_z(m, "output")) != NULL) {
        int64_t action = mio_get_i64(*v, "action", 0);
        MIO_PUSH(a, p->outputs, p->noutputs, cap->output) = (struct mio_output_change){
            .name = mio_get_str(*v, "name"),
            .before = get(*v, "before"),
            .after = get(*v, "after"),
            .action = action >= 0 && action <= MIO_FORGET ? (enum mio_action)action : MIO_NOOP,
            .sensitive = mio_get_bool(*v, "sensitive", false)};
    } else if ((v = mio_get_z(m, "check")) != NULL) {
        MIO_PUSH(a, p->checks, p->nchecks, cap->check) =
            (struct mio_check_result){.name = mio_get_str(*v, "name"),
                                      .message = mio_get_str(*v, "message"),
                                      .passed = mio_get_bool(*v, "passed", false),
                                      .unknown = mio_get_bool(*v, "unknown", false),
                                      .blocks = mio_get_bool(*v, "blocks", false)};
    } else {
        p->unchecked = list_of(a, m, "unchecked", &p->nunchecked);
    }
}

enum mio_code mio_planfile_read(struct mio_arena *a, struct mio_str text, struct mio_plan *out,
                                struct mio_str *digest, struct mio_err *err)
{
    struct mio_err inner = {0};
    struct mio_value h;
    ptrdiff_t nl = mio_str_find(text, '\n');
    if (nl < 0 || mio_json_read(a, mio_str_sub(text, 0, (size_t)nl), NULL, &h, &inner) ||
        !mio_get_z(h, "mlops_iac_plan"))
        return refuse(err, "it is not a plan of mlops-iac, or it is cut off in its first line");
    if (mio_get_i64(h, "mlops_iac_plan", 0) != FORMAT)
        return refuse(err, "it was written by a newer version of mlops-iac");
    struct mio_str rest = mio_str_sub(text, (size_t)nl + 1, text.n);
    uint8_t sum[MIO_SHA256_LEN];
    char hex[MIO_SHA256_HEX + 1];
    mio_sha256_of(rest.p, rest.n, sum);
    mio_hex(sum, sizeof sum, hex);
    if (!mio_str_is(mio_get_str(h, "body_sha256"), hex))
        return refuse(err,
                      "its content was altered or cut off since it was made (digest mismatch)");
    MIO_AUTO_BUF head = {0};
    put_header(&head, a, mio_map_without(a, h, MIO_STR("header_sha256")));
    if (!mio_str_starts(text, mio_arena_z(a, mio_buf_view(&head))) || text.p[head.n] != '\n')
        return refuse(err, "its header was altered since it was made (digest mismatch)");
    *out = (struct mio_plan){0};
    read_header(a, h, out);
    struct caps cap = {0};
    while (rest.n) {
        struct mio_value m;
        nl = mio_str_find(rest, '\n');
        size_t len = nl < 0 ? rest.n : (size_t)nl;
        if (mio_json_read(a, mio_str_sub(rest, 0, len), NULL, &m, &inner))
            return refuse(err, inner.message);
        read_line(a, mio_json_unmarshal_marks(a, m), out, &cap);
        rest = mio_str_sub(rest, len + 1, rest.n);
    }
    *digest = mio_arena_str(a, mio_str_z(hex));
    return MIO_OK;
}
