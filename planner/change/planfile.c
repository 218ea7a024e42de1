/* planner/change/planfile.c: a plan as canonical lines and back. See planfile.h. */
#include "planner/change/planfile.h"
#include "planner/graph/address.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/json.h"

enum { FORMAT = 2, MOST_PAIRS = 32 };

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

/* What stays as it is: the recorded rows, and what lookups found. */
static void unchanged(struct mio_buf *b, const struct mio_plan *p, struct mio_str salt,
                      const struct mio_state *state)
{
    struct mio_arena a;
    mio_arena_init(&a);
    for (size_t i = 0; state && i < p->nchanges; i++) {
        const struct mio_change *c = &p->changes[i];
        const struct mio_row *row =
            c->action == MIO_NOOP ? mio_state_find(state, c->address, c->deposed) : NULL;
        struct mio_arena_mark mark = mio_arena_mark(&a);
        if (row)
            mio_buf_printf(b, "{\"prior\":%.*s}\n", MIO_FMT(mio_row_masked(&a, salt, row)));
        else if (c->action == MIO_NOOP && c->is_data && c->after.type == MIO_MAP &&
                 !mio_has_unknown(c->after))
            line(b, "prior_data", change_value(&a, salt, c));
        mio_arena_rewind(&a, mark);
    }
    mio_arena_free(&a);
}

static struct mio_value header(struct mio_arena *a, const struct mio_plan *p, const char *digest,
                               const char *prior)
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
    put_str(&m, "commit", k->commit);
    put_str(&m, "variables_digest", k->variables_digest);
    put_str(&m, "stage", k->stage);
    put_str(&m, "lineage", k->lineage);
    put_num(&m, "serial", (int64_t)k->serial);
    put_str(&m, "state_digest", k->state_digest);
    put(&m, "plugins", strings(a, k->plugins, k->nplugins));
    put_num(&m, "created", k->created);
    put_num(&m, "expires", k->expires);
    put_str(&m, "nonce", k->nonce);
    put(&m, "targets", strings(a, p->targets, p->ntargets));
    put(&m, "excludes", strings(a, p->excludes, p->nexcludes));
    put(&m, "replaces", strings(a, p->replaces, p->nreplaces));
    put_flag(&m, "refreshed", p->refreshed);
    put_flag(&m, "errored", p->errored);
    put(&m, "counts", close_map(&c));
    put(&m, "body_sha256", mio_string_z(digest));
    put(&m, "prior_sha256", mio_string_z(prior));
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

void mio_planfile_write(struct mio_buf *b, const struct mio_plan *p, struct mio_str salt,
                        const struct mio_state *state)
{
    MIO_AUTO_BUF changed = {0}, same = {0};
    struct mio_arena a;
    char digest[65], prior[65];
    mio_arena_init(&a);
    body(&changed, p, salt);
    hex_digest(&changed, digest);
    unchanged(&same, p, salt, state);
    hex_digest(&same, prior);
    put_header(b, &a, header(&a, p, digest, prior));
    mio_buf_char(b, '\n');
    mio_buf_str(b, mio_buf_view(&changed));
    mio_buf_str(b, mio_buf_view(&same));
    mio_arena_free(&a);
}

void mio_planfile_put(struct mio_buf *b, const struct mio_planfile *f)
{
    mio_buf_str(b, f->content);
    if (!mio_is_null(f->signature))
        line(b, "signature", f->signature);
    for (size_t i = 0; i < f->napprovals; i++)
        line(b, "approval", f->approvals[i]);
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
    k->commit = mio_get_str(h, "commit");
    k->variables_digest = mio_get_str(h, "variables_digest");
    k->stage = mio_get_str(h, "stage");
    k->lineage = mio_get_str(h, "lineage");
    k->serial = (uint64_t)mio_get_i64(h, "serial", 0);
    k->state_digest = mio_get_str(h, "state_digest");
    k->plugins = list_of(a, h, "plugins", &k->nplugins);
    k->created = mio_get_i64(h, "created", 0);
    k->expires = mio_get_i64(h, "expires", 0);
    k->nonce = mio_get_str(h, "nonce");
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

/* A recorded row that the plan leaves alone, as the no-op that it is. */
static enum mio_code read_prior(struct mio_arena *a, struct mio_str line, struct mio_change *out,
                                struct mio_err *err)
{
    static const char before[] = "{\"prior\":";
    struct mio_row row = {.line = mio_str_sub(line, sizeof before - 1, line.n - sizeof before)};
    struct mio_record r;
    struct mio_address ad;
    if (mio_row_read(a, &row, &r, err) || mio_address_parse(a, r.address, &ad, err))
        return err->code;
    *out = (struct mio_change){.address = r.address,
                               .module = ad.module,
                               .kind = r.kind,
                               .name = ad.name,
                               .key = ad.key,
                               .deposed = r.deposed,
                               .provider = r.provider,
                               .id = r.id,
                               .before = r.attributes,
                               .after = r.attributes};
    return MIO_OK;
}

/* The parts of the text, each beginning at the first line that is of it. */
struct parts {
    struct mio_str header, body, prior, seals;
};

static struct parts split(struct mio_str text)
{
    struct parts p = {0};
    ptrdiff_t nl = mio_str_find(text, '\n');
    size_t at = nl < 0 ? text.n : (size_t)nl + 1, prior = text.n, seals = text.n;
    p.header = mio_str_sub(text, 0, nl < 0 ? text.n : (size_t)nl);
    for (size_t from = at; from < text.n && seals == text.n;) {
        struct mio_str rest = mio_str_sub(text, from, text.n);
        if (mio_str_starts(rest, "{\"signature\":") || mio_str_starts(rest, "{\"approval\":"))
            seals = from;
        else if (prior == text.n && mio_str_starts(rest, "{\"prior"))
            prior = from;
        nl = mio_str_find(rest, '\n');
        from += nl < 0 ? rest.n : (size_t)nl + 1;
    }
    prior = prior < seals ? prior : seals;
    p.body = mio_str_sub(text, at, prior - at);
    p.prior = mio_str_sub(text, prior, seals - prior);
    p.seals = mio_str_sub(text, seals, text.n);
    return p;
}

/* Takes the next line off *text; false at its end, and with an error for one without an end. */
static bool take_line(struct mio_str *text, struct mio_str *out, struct mio_err *err)
{
    ptrdiff_t nl = mio_str_find(*text, '\n');
    if (nl < 0 && text->n)
        mio_fail(err, MIO_STATE, "its last line is cut off");
    if (nl < 0)
        return false;
    *out = mio_str_sub(*text, 0, (size_t)nl);
    *text = mio_str_sub(*text, (size_t)nl + 1, text->n);
    return true;
}

/* The same as a value. */
static bool next_line(struct mio_arena *a, struct mio_str *text, struct mio_value *out,
                      struct mio_err *err)
{
    struct mio_str one;
    if (!take_line(text, &one, err) || mio_json_read(a, one, NULL, out, err))
        return false;
    *out = mio_json_unmarshal_marks(a, *out);
    return true;
}

/* What stays as it is, behind the changes. */
static void read_unchanged(struct mio_arena *a, struct mio_str text, struct mio_plan *p,
                           struct caps *cap, struct mio_err *err)
{
    struct mio_str one;
    while (!err->code && take_line(&text, &one, err)) {
        struct mio_change c = {0};
        struct mio_value m;
        if (!mio_str_starts(one, "{\"prior_data\":"))
            read_prior(a, one, &c, err);
        else if (mio_json_read(a, one, NULL, &m, err) == MIO_OK)
            c = read_change(a, get(mio_json_unmarshal_marks(a, m), "prior_data"));
        if (!err->code)
            MIO_PUSH(a, p->changes, p->nchanges, cap->change) = c;
    }
}

static enum mio_code read_seals(struct mio_arena *a, struct mio_str text, struct mio_planfile *f,
                                struct mio_err *err)
{
    struct mio_value m, *approvals = NULL;
    size_t cap = 0;
    while (next_line(a, &text, &m, err)) {
        const struct mio_value *s = mio_get_z(m, "signature"), *p = mio_get_z(m, "approval");
        if (s && mio_is_null(f->signature))
            f->signature = *s;
        else if (p)
            MIO_PUSH(a, approvals, f->napprovals, cap) = *p;
        else
            return mio_fail(err, MIO_STATE, "something else lies among its approvals");
    }
    f->approvals = approvals;
    return err->code;
}

static enum mio_code check_digests(struct mio_arena *a, struct mio_value h, const struct parts *p,
                                   struct mio_planfile *f, struct mio_err *err)
{
    const struct {
        const char *key;
        struct mio_str part;
    } rows[] = {{"body_sha256", p->body}, {"prior_sha256", p->prior}};
    for (size_t i = 0; i < 2; i++) {
        uint8_t sum[MIO_SHA256_LEN];
        char hex[MIO_SHA256_HEX + 1];
        mio_sha256_of(rows[i].part.p, rows[i].part.n, sum);
        mio_hex(sum, sizeof sum, hex);
        if (!mio_str_is(mio_get_str(h, rows[i].key), hex))
            return refuse(err,
                          "its content was altered or cut off since it was made (digest mismatch)");
    }
    MIO_AUTO_BUF head = {0};
    put_header(&head, a, mio_map_without(a, h, MIO_STR("header_sha256")));
    if (!mio_str_eq(mio_buf_view(&head), p->header))
        return refuse(err, "its header was altered since it was made (digest mismatch)");
    f->changes = mio_get_str(h, "body_sha256");
    f->digest = mio_get_str(h, "header_sha256");
    return MIO_OK;
}

enum mio_code mio_planfile_read(struct mio_arena *a, struct mio_str text, bool whole,
                                struct mio_planfile *out, struct mio_err *err)
{
    struct mio_err inner = {0};
    struct mio_value h, m;
    struct parts p = split(text);
    struct mio_planfile f = {.signature = mio_null()};
    if (p.header.n == text.n || mio_json_read(a, p.header, NULL, &h, &inner) ||
        !mio_get_z(h, "mlops_iac_plan"))
        return refuse(err, "it is not a plan of mlops-iac, or it is cut off in its first line");
    if (mio_get_i64(h, "mlops_iac_plan", 0) != FORMAT)
        return refuse(err, "it was written by another version of mlops-iac");
    if (check_digests(a, h, &p, &f, err))
        return err->code;
    f.content = mio_str_sub(text, 0, text.n - p.seals.n);
    read_header(a, h, &f.plan);
    struct caps cap = {0};
    while (next_line(a, &p.body, &m, &inner))
        read_line(a, m, &f.plan, &cap);
    if (whole && !inner.code)
        read_unchanged(a, p.prior, &f.plan, &cap, &inner);
    if (inner.code || read_seals(a, p.seals, &f, &inner))
        return refuse(err, inner.message);
    *out = f;
    return MIO_OK;
}
