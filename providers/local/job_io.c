/* providers/local/job_io.c: inputs, outputs and the command line of a job. See job.h. */
#include "providers/local/job.h"

#include "providers/sdk/alloc.h"

#define IN_INPUTS "/job/inputs/"
#define IN_OUTPUTS "/job/outputs/"

/* Which assets an input type names; NULL kind: a value. */
static const struct {
    const char *type, *kind;
} input_types[] = {
    {"uri_file", "data"},      {"uri_folder", "data"},    {"mltable", "data"},
    {"custom_model", "model"}, {"mlflow_model", "model"}, {"triton_model", "model"},
    {"string", NULL},          {"number", NULL},          {"integer", NULL},
    {"boolean", NULL},
};
enum { NTYPES = sizeof input_types / sizeof *input_types };

static enum mio_code find_type(struct mio_str type, struct mio_str name, size_t *index,
                               struct mio_err *err)
{
    struct mio_str names[NTYPES];
    for (size_t i = 0; i < NTYPES; i++) {
        names[i] = mio_str_z(input_types[i].type);
        if (mio_str_ieq(type, names[i])) {
            *index = i;
            return MIO_OK;
        }
    }
    struct mio_str near = mio_str_nearest(type, names, NTYPES);
    mio_fail(err, MIO_TEMPLATE, "inputs.%.*s: unknown type \"%.*s\"", MIO_FMT(name), MIO_FMT(type));
    return near.n ? mio_err_hint(err, "Did you mean %.*s?", MIO_FMT(near)) : err->code;
}

static enum mio_code check_value(struct mio_str type, struct mio_str name, struct mio_value v,
                                 struct mio_err *err)
{
    int64_t whole;
    double number;
    struct mio_str s = mio_value_str(v);
    bool ok = v.type == MIO_STRING || v.type == MIO_NUMBER || v.type == MIO_BOOL;
    if (mio_str_ieq(type, MIO_STR("integer")))
        ok = mio_value_i64(v, &whole) || mio_str_i64(s, &whole);
    else if (mio_str_ieq(type, MIO_STR("number")))
        ok = mio_value_f64(v, &number) || mio_number_valid(s);
    else if (mio_str_ieq(type, MIO_STR("boolean")))
        ok = v.type == MIO_BOOL || mio_str_ieq(s, MIO_STR("true")) ||
             mio_str_ieq(s, MIO_STR("false"));
    if (ok)
        return MIO_OK;
    return mio_fail(err, MIO_TEMPLATE, "inputs.%.*s: not %s %.*s", MIO_FMT(name),
                    type.n && strchr("aeiou", type.p[0] | 32) ? "an" : "a", MIO_FMT(type));
}

static struct mio_str value_text(struct mio_value v)
{
    return v.type == MIO_BOOL ? mio_str_z(v.b ? "True" : "False") : mio_value_str(v);
}

/* "WS/NAME:VERSION", "azureml:...", "NAME@latest": what cannot be meant as a path of this machine.
 */
static bool looks_like_asset(struct local *l, struct mio_str path)
{
    struct mio_str ws, rest;
    if (mio_str_starts(path, "azureml:") || mio_str_ends(path, "@latest"))
        return true;
    return local_id_split(path, &ws, &rest) && local_name_ok(ws) && mio_str_find(rest, ':') > 0 &&
           mio_str_find(rest, '/') < 0 && mio_fs_is_dir(local_ws_dir(l, ws));
}

static enum mio_code find_path(struct local *l, const struct local_change *ch, struct mio_str name,
                               const char *kind, struct mio_str path, const char **from,
                               struct mio_err *err)
{
    struct local_asset asset;
    if (looks_like_asset(l, path)) {
        if (local_asset_resolve(l, ch->workspace, kind, path, &asset, err))
            return mio_err_wrap(err, "inputs.%.*s", MIO_FMT(name));
        *from = asset.path;
    } else {
        *from = local_abs(l, ch, path);
    }
    if (mio_fs_exists(*from))
        return MIO_OK;
    mio_fail(err, MIO_TEMPLATE, "inputs.%.*s: %s does not exist", MIO_FMT(name), *from);
    return mio_err_hint(err, "Paths are relative to the template; an asset is ${data.NAME.id}.");
}

static enum mio_code one_input(struct local *l, const struct local_change *ch, struct mio_str name,
                               struct mio_value v, struct local_job_io *io, struct mio_err *err)
{
    size_t type = NTYPES - 4; /* string */
    struct mio_str type_name = MIO_STR("string");
    *io = (struct local_job_io){.name = name};
    if (v.type == MIO_MAP) {
        type_name = mio_get_str(v, "type");
        if (!type_name.n)
            type_name = mio_get_z(v, "path") ? MIO_STR("uri_folder") : MIO_STR("string");
        if (find_type(type_name, name, &type, err))
            return err->code;
        if (!input_types[type].kind)
            v = local_get(v, mio_get_z(v, "value") ? "value" : "default");
    }
    if (!input_types[type].kind) {
        if (check_value(type_name, name, v, err))
            return err->code;
        io->text = value_text(v);
        return MIO_OK;
    }
    if (find_path(l, ch, name, input_types[type].kind, mio_get_str(v, "path"), &io->from, err))
        return err->code;
    struct mio_str base = mio_path_base(mio_str_z(io->from));
    io->text = mio_fs_is_dir(io->from)
                   ? mio_arena_printf(l->a, IN_INPUTS "%.*s", MIO_FMT(name))
                   : mio_arena_printf(l->a, IN_INPUTS "%.*s/%.*s", MIO_FMT(name), MIO_FMT(base));
    return MIO_OK;
}

enum mio_code local_job_inputs(struct local *l, const struct local_change *ch,
                               struct local_job_ios *out, struct mio_err *err)
{
    struct mio_value inputs = local_get(ch->inputs, "inputs");
    for (uint32_t i = 0; inputs.type == MIO_MAP && i < inputs.n; i++) {
        struct mio_str name = inputs.pairs[i].key;
        struct local_job_io io;
        if (mio_is_null(inputs.pairs[i].value))
            continue; /* an optional input that is not given */
        if (local_name_check(name, "an input", err) ||
            one_input(l, ch, name, inputs.pairs[i].value, &io, err))
            return err->code;
        MIO_PUSH(l->a, out->items, out->n, out->cap) = io;
    }
    return MIO_OK;
}

enum mio_code local_job_outputs(struct local *l, const char *dir, struct mio_value outputs,
                                struct local_job_ios *out, struct mio_err *err)
{
    for (uint32_t i = 0; outputs.type == MIO_MAP && i < outputs.n; i++) {
        struct mio_str name = outputs.pairs[i].key;
        struct mio_value v = outputs.pairs[i].value;
        if (local_name_check(name, "an output", err))
            return err->code;
        MIO_PUSH(l->a, out->items, out->n, out->cap) = (struct local_job_io){
            .name = name,
            .text = mio_arena_printf(l->a, IN_OUTPUTS "%.*s", MIO_FMT(name)),
            .from = mio_arena_printf(l->a, "%s/outputs/%.*s", dir, MIO_FMT(name)).p,
            .is_file = mio_str_ieq(mio_get_str(v, "type"), MIO_STR("uri_file")),
        };
    }
    return MIO_OK;
}

/* ---- the command line ---- */

enum quoting { BARE, SINGLE, DOUBLE };

static bool plain(struct mio_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@%+,",
                    s.p[i]))
            return false;
    return s.n > 0;
}

/* Writes a value so that the shell, in that state, sees exactly its characters. */
static void put_quoted(struct mio_buf *b, struct mio_str s, enum quoting q)
{
    if (q == BARE && plain(s)) {
        mio_buf_str(b, s);
        return;
    }
    if (q == BARE)
        mio_buf_char(b, '\'');
    for (size_t i = 0; i < s.n; i++) {
        if (q == DOUBLE && strchr("\"\\$`", s.p[i]))
            mio_buf_char(b, '\\');
        if (q != DOUBLE && s.p[i] == '\'')
            mio_buf_z(b, "'\\'");
        mio_buf_char(b, s.p[i]);
    }
    if (q == BARE)
        mio_buf_char(b, '\'');
}

static enum quoting step(enum quoting q, char c)
{
    if (c == '\'' && q != DOUBLE)
        return q == SINGLE ? BARE : SINGLE;
    if (c == '"' && q != SINGLE)
        return q == DOUBLE ? BARE : DOUBLE;
    return q;
}

static enum mio_code lookup(struct mio_str expression, const struct local_job_ios *in,
                            const struct local_job_ios *out, struct mio_arena *a,
                            struct mio_str *text, struct mio_err *err)
{
    struct mio_str *known = MIO_NEW_N(a, struct mio_str, in->n + out->n + 1);
    size_t n = 0;
    const struct {
        const char *root;
        const struct local_job_ios *ios;
    } roots[] = {{"inputs", in}, {"outputs", out}};
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < roots[k].ios->n; i++) {
            const struct local_job_io *io = &roots[k].ios->items[i];
            known[n] = mio_arena_printf(a, "%s.%.*s", roots[k].root, MIO_FMT(io->name));
            if (mio_str_eq(known[n++], expression)) {
                *text = io->text;
                return MIO_OK;
            }
        }
    struct mio_str near = mio_str_nearest(expression, known, n);
    mio_fail(err, MIO_TEMPLATE, "command: ${{%.*s}} names no input or output of the job",
             MIO_FMT(expression));
    return near.n ? mio_err_hint(err, "Did you mean ${{%.*s}}?", MIO_FMT(near))
                  : mio_err_hint(err, "Declare it under `inputs:` or `outputs:`.");
}

enum mio_code local_job_command(struct local *l, struct mio_str command,
                                const struct local_job_ios *in, const struct local_job_ios *out,
                                struct mio_str *text, struct mio_err *err)
{
    MIO_AUTO_BUF b;
    enum quoting q = BARE;
    mio_buf_init(&b, 0);
    for (size_t i = 0; i < command.n; i++) {
        struct mio_str rest = mio_str_sub(command, i, command.n), value = {0};
        if (!mio_str_starts(rest, "${{")) {
            if (rest.p[0] == '\\' && q != SINGLE && rest.n > 1)
                mio_buf_char(&b, command.p[i++]); /* the next character stands for itself */
            else
                q = step(q, rest.p[0]);
            mio_buf_char(&b, command.p[i]);
            continue;
        }
        size_t end = 3;
        while (end + 1 < rest.n && !(rest.p[end] == '}' && rest.p[end + 1] == '}'))
            end++;
        if (end + 1 >= rest.n)
            return mio_fail(err, MIO_TEMPLATE, "command: ${{ without its }}");
        if (lookup(mio_str_trim(mio_str_sub(rest, 3, end - 3)), in, out, l->a, &value, err))
            return err->code;
        put_quoted(&b, value, q);
        i += end + 1;
    }
    *text = mio_arena_str(l->a, mio_buf_view(&b));
    return MIO_OK;
}
