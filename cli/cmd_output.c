/* cli/cmd_output.c: output. */
#include "cli/render_json.h"
#include "cli/render_value.h"
#include "cli/session.h"

static const struct mio_state_output *find(const struct mio_state *s, const char *name)
{
    for (size_t i = 0; i < s->noutputs; i++) {
        if (mio_str_is(s->outputs[i].name, name))
            return &s->outputs[i];
    }
    return NULL;
}

static enum mio_code missing(struct mio_cli *c, const struct mio_state *s, const char *name)
{
    struct mio_err err = {0};
    struct mio_str *names = MIO_NEW_N(&c->arena, struct mio_str, s->noutputs + 1);
    for (size_t i = 0; i < s->noutputs; i++)
        names[i] = s->outputs[i].name;
    struct mio_str near = mio_str_nearest(mio_str_z(name), names, s->noutputs);
    mio_fail(&err, MIO_USAGE, "there is no output \"%s\" in the state", name);
    if (near.n)
        mio_err_hint(&err, "Did you mean \"%.*s\"?", MIO_FMT(near));
    mio_err_hint(&err, "Outputs are recorded by apply; 'mlops-iac output' lists them.");
    return mio_cli_fail(c, &err);
}

/* Who asks for an output by its name, or for JSON, gets it, as far as the state has it. */
static struct mio_state_output opened(struct mio_cli *c, const struct mio_state_output *o)
{
    struct mio_state_output out = *o;
    if (!mio_is_masked(o->value)) {
        out.value = mio_unmark(&c->arena, o->value);
        mio_reveal(out.value);
    }
    return out;
}

/* A digest is all that a state in clear has of a secret. */
static void only_digest(const struct mio_state_output *o, struct mio_err *err)
{
    mio_fail(err, MIO_STATE,
             "of the output \"%.*s\", which is sensitive, the state has only a digest: it is not "
             "sealed",
             MIO_FMT(o->name));
    mio_err_hint(err, "A sealed state keeps it: set MLOPS_IAC_STATE_KEY_FILE, run `mlops-iac state "
                      "rekey` and `mlops-iac apply`.");
}

static enum mio_code put_raw(struct mio_cli *c, const struct mio_state_output *o)
{
    struct mio_value v = o->value;
    struct mio_err err = {0};
    if (mio_is_masked(v)) {
        only_digest(o, &err);
        return mio_cli_fail(c, &err);
    }
    if (v.type == MIO_STRING || v.type == MIO_NUMBER)
        mio_buf_str(&c->out.buf, mio_value_str(v));
    else if (v.type == MIO_BOOL)
        mio_buf_z(&c->out.buf, v.b ? "true" : "false");
    else
        return mio_cli_usage(c, "Use -json.", "the output \"%.*s\" is a %s, which has no raw text",
                             MIO_FMT(o->name), mio_type_name((enum mio_type)v.type));
    return MIO_OK;
}

/* It is shown all the same, as what is sensitive is. */
static void warn_of_digest(struct mio_cli *c, const struct mio_state_output *o)
{
    struct mio_diag d = {.severity = MIO_WARNING};
    if (!mio_is_masked(o->value))
        return;
    only_digest(o, &d.err);
    mio_ui_diag(&c->ui, &d, c->sources);
}

static enum mio_code put_one(struct mio_cli *c, const struct mio_state_output *recorded)
{
    const struct mio_state_output o = opened(c, recorded);
    struct mio_pen pen = mio_out_pen(&c->out);
    if (mio_cli_on(c, MIO_OPT_RAW))
        return put_raw(c, &o);
    warn_of_digest(c, &o);
    if (mio_cli_on(c, MIO_OPT_JSON))
        mio_json_write(pen.b, o.value, MIO_JSON_HIDDEN);
    else
        mio_put_value(&pen, o.value, 0, "");
    mio_buf_char(pen.b, '\n');
    return MIO_OK;
}

static void put_all_json(struct mio_cli *c, const struct mio_state *s)
{
    struct mio_state_output *open = MIO_NEW_N(&c->arena, struct mio_state_output, s->noutputs + 1);
    struct mio_jout j = {.b = &c->out.buf, .pretty = true};
    for (size_t i = 0; i < s->noutputs; i++) {
        open[i] = opened(c, &s->outputs[i]);
        warn_of_digest(c, &open[i]);
    }
    mio_json_outputs(&j, open, s->noutputs, true);
    mio_buf_char(&c->out.buf, '\n');
}

static void put_all(struct mio_cli *c, const struct mio_state *s)
{
    struct mio_pen pen = mio_out_pen(&c->out);
    size_t width = 0;
    for (size_t i = 0; i < s->noutputs; i++)
        width = s->outputs[i].name.n > width ? s->outputs[i].name.n : width;
    for (size_t i = 0; i < s->noutputs; i++) {
        const struct mio_state_output *o = &s->outputs[i];
        mio_put_safe(pen.b, o->name);
        mio_buf_pad(pen.b, ' ', width - o->name.n);
        mio_buf_z(pen.b, " = ");
        if (o->sensitive)
            mio_buf_z(pen.b, "<sensitive>");
        else
            mio_put_value(&pen, o->value, 0, "");
        mio_buf_char(pen.b, '\n');
    }
    if (!s->noutputs)
        mio_buf_z(pen.b, "No outputs are recorded.\n");
}

enum mio_code mio_cmd_output(struct mio_cli *c)
{
    struct mio_state *s = NULL;
    bool json = mio_cli_on(c, MIO_OPT_JSON), raw = mio_cli_on(c, MIO_OPT_RAW);
    if (json && raw)
        return mio_cli_usage(c, NULL, "-json and -raw exclude each other");
    if (raw && !c->nargs)
        return mio_cli_usage(c, "mlops-iac output -raw NAME", "-raw needs the name of one output");
    enum mio_code code = mio_cli_open(c, MIO_OPEN_READ);
    if (!code)
        code = mio_cli_state(c, &s);
    if (code)
        return code;
    if (c->nargs) {
        const struct mio_state_output *o = find(s, c->args[0]);
        return o ? put_one(c, o) : missing(c, s, c->args[0]);
    }
    if (json)
        put_all_json(c, s);
    else
        put_all(c, s);
    return MIO_OK;
}
