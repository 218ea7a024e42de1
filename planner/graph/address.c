/* planner/graph/address.c: see address.h. */
#include "planner/graph/address.h"
#include "providers/sdk/json.h"

struct cursor {
    struct mio_arena *a;
    struct mio_str text;
    size_t at;
    struct mio_err *err;
};

static enum mio_code fail(struct cursor *c, const char *what)
{
    mio_fail(c->err, MIO_USAGE, "\"%.*s\" is not a resource address: %s at character %zu",
             MIO_FMT(c->text), what, c->at + 1);
    return mio_err_hint(c->err, "Addresses look like compute.cpu, data.model.base, thing.x[0], "
                                "thing.x[\"key\"] or module.m.compute.cpu.");
}

static bool name_char(char ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
           ch == '_' || ch == '-';
}

static enum mio_code name(struct cursor *c, struct mio_str *out)
{
    size_t from = c->at;
    while (c->at < c->text.n && name_char(c->text.p[c->at]))
        c->at++;
    if (c->at == from)
        return fail(c, "a name is missing");
    *out = mio_str_sub(c->text, from, c->at - from);
    return MIO_OK;
}

/* [0] or ["key"], when there is one. */
static enum mio_code key(struct cursor *c, struct mio_value *out)
{
    *out = mio_null();
    if (c->at >= c->text.n || c->text.p[c->at] != '[')
        return MIO_OK;
    size_t from = ++c->at;
    bool quoted = from < c->text.n && c->text.p[from] == '"', escaped = false;
    for (c->at += quoted; c->at < c->text.n; c->at++) {
        char ch = c->text.p[c->at];
        if (quoted ? ch == '"' && !escaped : ch == ']')
            break;
        escaped = quoted && ch == '\\' && !escaped;
    }
    c->at += quoted && c->at < c->text.n;
    if (c->at >= c->text.n || c->text.p[c->at] != ']')
        return fail(c, "] is missing");
    struct mio_err inner = {0};
    if (mio_json_read(c->a, mio_str_sub(c->text, from, c->at - from), NULL, out, &inner) ||
        (out->type != MIO_STRING && out->type != MIO_NUMBER))
        return fail(c, "the key must be a whole number or a string in double quotes");
    c->at++;
    return MIO_OK;
}

static bool eat(struct cursor *c, const char *word)
{
    if (!mio_str_starts(mio_str_sub(c->text, c->at, c->text.n), word))
        return false;
    c->at += strlen(word);
    return true;
}

enum mio_code mio_address_parse(struct mio_arena *a, struct mio_str text, struct mio_address *out,
                                struct mio_err *err)
{
    struct cursor c = {a, text, 0, err};
    struct mio_address ad = {0};
    struct mio_value ignored;
    struct mio_str skip;
    while (eat(&c, "module.")) {
        if (name(&c, &skip) || key(&c, &ignored))
            return err->code;
        ad.module = mio_str_sub(text, 0, c.at);
        if (c.at < text.n && !eat(&c, "."))
            return fail(&c, "a dot is missing");
        if (c.at == text.n) { /* a whole module, as -target may name it */
            *out = ad;
            return MIO_OK;
        }
    }
    ad.is_data = eat(&c, "data.");
    if (name(&c, &ad.kind))
        return err->code;
    if (ad.is_data && (c.at == text.n || text.p[c.at] == '[')) {
        /* data is a kind of asset too: data.trips, beside the lookup data.KIND.NAME */
        ad.is_data = false;
        ad.name = ad.kind;
        ad.kind = MIO_STR("data");
    } else if (!eat(&c, ".")) {
        return fail(&c, "a dot is missing");
    } else if (name(&c, &ad.name)) {
        return err->code;
    }
    if (key(&c, &ad.key))
        return err->code;
    if (c.at != text.n)
        return fail(&c, "something follows");
    *out = ad;
    return MIO_OK;
}

struct mio_str mio_address_text(struct mio_arena *a, const struct mio_address *ad)
{
    MIO_AUTO_BUF b = {0};
    if (ad->module.n) {
        mio_buf_str(&b, ad->module);
        mio_buf_char(&b, '.');
    }
    if (ad->is_data)
        mio_buf_z(&b, "data.");
    mio_buf_str(&b, ad->kind);
    mio_buf_char(&b, '.');
    mio_buf_str(&b, ad->name);
    if (!mio_is_null(ad->key)) {
        mio_buf_char(&b, '[');
        mio_json_write(&b, ad->key, MIO_JSON_PLAIN);
        mio_buf_char(&b, ']');
    }
    return mio_arena_str(a, mio_buf_view(&b));
}

bool mio_address_covers(struct mio_str target, struct mio_str instance)
{
    if (instance.n < target.n || memcmp(target.p, instance.p, target.n) != 0)
        return false;
    return instance.n == target.n || instance.p[target.n] == '[' ||
           (instance.p[target.n] == '.' && mio_str_starts(target, "module."));
}

bool mio_address_covered(const char *const *targets, size_t n, struct mio_str instance)
{
    for (size_t i = 0; i < n; i++)
        if (mio_address_covers(mio_str_z(targets[i]), instance))
            return true;
    return false;
}
