/* tests/planner/expr/answer.c: see answer.h. */
#include "answer.h"
#include "planner/expr/func.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include <fcntl.h>
#include <unistd.h>

static const struct {
    const char *name, *text;
} FILES[] = {
    {"a.txt", "hello\n"},
    {"t.tpl", "x is ${x}\n"},
    {"list.tpl", "%{ for i in items ~}\n- ${i}\n%{ endfor ~}\n"},
    {"sub/b.txt", "caf\xc3\xa9"},
    {"sub/deep/c.json", "{\"a\":[1,2]}"},
    {"bin.dat", "\xff\xfe"},
};

void answer_folder_make(char *dir)
{
    struct mio_err err = {0};
    snprintf(dir, 64, "/tmp/mio-expr-XXXXXX");
    if (!mkdtemp(dir))
        abort();
    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        char path[160];
        snprintf(path, sizeof path, "%s/sub/deep", dir);
        if (mio_fs_mkdirs(path, 0700, &err))
            abort();
        snprintf(path, sizeof path, "%s/%s", dir, FILES[i].name);
        if (mio_fs_replace(path, mio_str_z(FILES[i].text), 0600, &err))
            abort();
    }
}

void answer_folder_remove(const char *dir)
{
    struct mio_err err = {0};
    mio_fs_remove_tree(dir, &err);
}

struct mio_str answer(struct mio_arena *a, const char *dir, struct mio_str text)
{
    struct mio_diags diags;
    struct mio_err err = {0};
    struct mio_value v;
    mio_diags_init(&diags, a);
    struct mio_scope scope = {.arena = a, .dir = dir, .now = 1700000000};
    const struct mio_expr *e = mio_expr_parse(a, text, (struct mio_pos){1, 1, 1, 1}, &diags);
    if (!e) /* an unknown function or a wrong number of arguments is no matter of syntax */
        return strstr(diags.items[0].err.message, "argument") ? MIO_STR("!") : MIO_STR("?");
    if (mio_expr_eval(e, &scope, &v, &err))
        return MIO_STR("!");
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    mio_put_json(a, &b, v);
    return mio_arena_str(a, mio_buf_view(&b));
}

/* ---- what flows ---- */

static void put_flow(struct mio_arena *a, struct mio_buf *b, struct mio_value v)
{
    bool map = v.type == MIO_MAP;
    if (mio_is_sensitive(v)) {
        mio_buf_z(b, "$(");
        put_flow(a, b, mio_unmark(a, v));
        mio_buf_char(b, ')');
    } else if (v.type == MIO_UNKNOWN) {
        mio_buf_char(b, '?');
    } else if (!map && v.type != MIO_LIST) {
        mio_put_json(a, b, v);
    } else {
        for (uint32_t i = 0; i < v.n; i++) {
            mio_buf_char(b, i ? ',' : map ? '{' : '[');
            if (map) {
                mio_put_json(a, b, mio_string(v.pairs[i].key));
                mio_buf_char(b, ':');
            }
            put_flow(a, b, map ? v.pairs[i].value : v.items[i]);
        }
        mio_buf_z(b, v.n ? (map ? "}" : "]") : map ? "{}" : "[]");
    }
}

static struct mio_str flow_text(struct mio_arena *a, struct mio_value v)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    put_flow(a, &b, v);
    return mio_arena_str(a, mio_buf_view(&b));
}

static struct mio_value pair(struct mio_arena *a, const char *key, struct mio_value v)
{
    struct mio_pair *p = MIO_NEW(a, struct mio_pair);
    *p = (struct mio_pair){mio_str_z(key), v};
    return mio_map(p, 1);
}

static enum mio_code names_of(void *arg, const struct mio_ref *ref, struct mio_value *out,
                              size_t *used, struct mio_err *err)
{
    const struct mio_value *names = arg;
    const struct mio_value *v = mio_get(*names, ref->root);
    *used = 0;
    if (!v)
        return mio_fail(err, MIO_TEMPLATE, "no %.*s", MIO_FMT(ref->root));
    *out = *v;
    return MIO_OK;
}

static bool convert(struct mio_arena *a, struct mio_str type, struct mio_str json,
                    struct mio_value *out)
{
    struct mio_diags diags;
    struct mio_err err = {0};
    mio_diags_init(&diags, a);
    const struct mio_typespec *t =
        mio_typespec_parse(a, type, (struct mio_pos){1, 1, 1, 1}, &diags);
    return t && !mio_json_read(a, json, NULL, out, &err) &&
           !mio_typespec_convert(a, t, *out, out, &err);
}

static struct mio_str cut(struct mio_str *s, char end)
{
    ptrdiff_t at = mio_str_find(*s, end);
    struct mio_str head = at < 0 ? *s : mio_str_sub(*s, 0, (size_t)at);
    *s = at < 0 ? (struct mio_str){s->p + s->n, 0} : mio_str_sub(*s, (size_t)at + 1, s->n);
    return head;
}

struct mio_value answer_names(struct mio_arena *a, struct mio_str rows)
{
    struct mio_value vars = mio_map(NULL, 0), u = mio_map(NULL, 0);
    while (rows.n) {
        struct mio_value v = mio_null();
        struct mio_str row = cut(&rows, '\n'), name = cut(&row, '\t'), type = cut(&row, '\t');
        if (!convert(a, type, cut(&row, '\t'), &v))
            abort();
        vars = mio_map_with(a, vars, name, row.n ? mio_sensitive(v) : v);
    }
    u = mio_map_with(a, u, MIO_STR("id"), mio_unknown(MIO_STRING));
    u = mio_map_with(a, u, MIO_STR("output"), mio_unknown(MIO_STRING));
    u = mio_map_with(a, u, MIO_STR("input"), mio_string_z("v"));
    u = mio_map_with(a, u, MIO_STR("triggers_replace"), mio_null());
    struct mio_value d = mio_map_with(a, u, MIO_STR("output"), mio_unknown(MIO_UNKNOWN));
    d = mio_map_with(a, d, MIO_STR("input"), mio_unknown(MIO_UNKNOWN));
    struct mio_value data = mio_map_merge(a, pair(a, "u", u), pair(a, "d", d));
    return mio_map_merge(a, pair(a, "var", vars), pair(a, "terraform_data", data));
}

struct mio_str answer_flow(struct mio_arena *a, const char *dir, struct mio_value names,
                           struct mio_str text)
{
    struct mio_diags diags;
    struct mio_err err = {0};
    struct mio_value v;
    mio_diags_init(&diags, a);
    struct mio_scope scope = {
        .arena = a, .dir = dir, .planning = true, .lookup = names_of, .arg = &names};
    const struct mio_expr *e = mio_expr_parse(a, text, (struct mio_pos){1, 1, 1, 1}, &diags);
    return !e || mio_expr_eval(e, &scope, &v, &err) ? MIO_STR("!") : flow_text(a, v);
}

struct mio_str answer_type(struct mio_arena *a, struct mio_str type, struct mio_str value)
{
    struct mio_value v;
    return convert(a, type, value, &v) ? flow_text(a, v) : MIO_STR("!");
}
