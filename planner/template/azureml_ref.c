/* planner/template/azureml_ref.c: references (azureml:NAME:VERSION ...) and ${{...}}: text to
 * parts. */
#include "planner/template/azureml.h"

static bool is_blank(struct mio_str s)
{
    ptrdiff_t open = mio_str_find(s, '<'), close = mio_str_find(s, '>');
    return (open >= 0 && close > open) || (mio_str_find(s, '{') >= 0 && mio_str_find(s, '}') > 0);
}

static bool word(struct mio_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i], low = (char)(c | 32);
        if (!((low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
              c == '.'))
            return false;
    }
    return s.n;
}

/* The part up to the next '/', taken off *rest. */
static struct mio_str segment(struct mio_str *rest)
{
    ptrdiff_t slash = mio_str_find(*rest, '/');
    size_t n = slash < 0 ? rest->n : (size_t)slash;
    struct mio_str s = mio_str_sub(*rest, 0, n);
    *rest = mio_str_sub(*rest, n + (slash >= 0), rest->n);
    return s;
}

static bool wrong(const char **why, const char *what)
{
    *why = what;
    return false;
}

/* TYPE/NAME[/versions/V|/labels/L] */
static bool asset_path(struct mio_str rest, struct mio_azureml_ref *out, const char **why)
{
    static const char *const types[] = {"models",  "components",  "environments",
                                        "data",    "featuresets", "codes",
                                        "indexes", "prompts",     "featurestoreEntities"};
    struct mio_str type = segment(&rest);
    bool known = false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        known = known || mio_str_is(type, types[i]);
    if (!known)
        return wrong(why, "after the registry comes models, components, environments or data");
    out->name = segment(&rest);
    struct mio_str word_ = segment(&rest);
    if (!out->name.n)
        return wrong(why, "the name of the asset is missing");
    if (mio_str_is(word_, "versions"))
        out->version = segment(&rest);
    else if (mio_str_is(word_, "labels"))
        out->label = segment(&rest);
    else if (word_.n)
        return wrong(why, "after the asset's name comes /versions/V or /labels/L");
    if (word_.n && !out->version.n && !out->label.n)
        return wrong(why, "the version or label is missing at the end");
    return rest.n ? wrong(why, "nothing can follow the version") : true;
}

static bool uri(struct mio_str rest, struct mio_azureml_ref *out, const char **why)
{
    out->form = MIO_AZUREML_URI;
    struct mio_str what = segment(&rest);
    if (mio_str_is(what, "registries")) {
        out->root = segment(&rest);
        return out->root.n ? asset_path(rest, out, why) : wrong(why, "the registry is missing");
    }
    if (mio_str_is(what, "datastores")) {
        out->root = segment(&rest);
        struct mio_str paths = segment(&rest);
        out->path = rest;
        if (!out->root.n)
            return wrong(why, "the datastore is missing");
        return !paths.n || mio_str_is(paths, "paths")
                   ? true
                   : wrong(why, "after the datastore comes /paths/...");
    }
    if (mio_str_is(what, "jobs") || mio_str_is(what, "locations") ||
        mio_str_is(what, "subscriptions")) {
        out->root = segment(&rest);
        out->path = rest;
        return out->root.n ? true : wrong(why, "it ends too early");
    }
    return wrong(why, "after azureml:// comes registries, datastores, jobs, locations or "
                      "subscriptions");
}

/* NAME, NAME:VERSION, NAME@LABEL */
static bool short_form(struct mio_str rest, struct mio_azureml_ref *out, const char **why)
{
    ptrdiff_t colon = mio_str_find(rest, ':'), at = mio_str_find(rest, '@');
    size_t cut = colon >= 0 ? (size_t)colon : at >= 0 ? (size_t)at : rest.n;
    struct mio_str tail = mio_str_sub(rest, cut + 1, rest.n);
    out->name = mio_str_sub(rest, 0, cut);
    out->form = colon >= 0 ? MIO_AZUREML_VERSION : at >= 0 ? MIO_AZUREML_LABEL : MIO_AZUREML_NAME;
    if (!out->name.n)
        return wrong(why, "the name is missing after azureml:");
    if (cut < rest.n && !tail.n)
        return wrong(why, colon >= 0 ? "the version is missing after `:`"
                                     : "the label is missing after `@`");
    if (colon >= 0)
        out->version = tail;
    else
        out->label = tail;
    if (!word(out->name) || (tail.n && !word(tail)))
        return wrong(why, "it is azureml:NAME, azureml:NAME:VERSION or azureml:NAME@LABEL, of "
                          "letters, digits, `-`, `_` and `.`");
    return true;
}

bool mio_azureml_ref_parse(struct mio_str s, struct mio_azureml_ref *out, const char **why)
{
    static const char *const urls[] = {"https://", "http://", "wasbs://", "wasb://",
                                       "abfss://", "abfs://", "adl://",   "s3://"};
    *out = (struct mio_azureml_ref){.form = MIO_AZUREML_PATH, .path = s};
    if (!s.n)
        return wrong(why, "it is empty");
    for (size_t i = 0; i + 2 < s.n; i++)
        if (s.p[i] == '$' && s.p[i + 1] == '{' && s.p[i + 2] == '{') {
            out->form = MIO_AZUREML_EXPR;
            return true;
        }
    if (is_blank(s)) {
        out->form = MIO_AZUREML_BLANK;
        return true;
    }
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++)
        if (mio_str_starts(s, urls[i])) {
            out->form = MIO_AZUREML_URL;
            return s.n > strlen(urls[i]) ? true : wrong(why, "the address ends after its scheme");
        }
    if (mio_str_starts(s, "azureml://"))
        return uri(mio_str_sub(s, strlen("azureml://"), s.n), out, why);
    if (mio_str_starts(s, "azureml:/") || mio_str_starts(s, "/subscriptions/")) {
        out->form = MIO_AZUREML_ARM_ID;
        return true;
    }
    if (mio_str_starts(s, "azureml:"))
        return short_form(mio_str_sub(s, strlen("azureml:"), s.n), out, why);
    if (mio_str_starts(s, "runs:/")) {
        out->form = MIO_AZUREML_RUNS;
        return s.n > strlen("runs:/") ? true : wrong(why, "the run is missing after runs:/");
    }
    if (mio_str_starts(s, "file:")) {
        out->form = MIO_AZUREML_FILE;
        out->path = mio_str_sub(s, strlen("file:"), s.n);
        while (mio_str_starts(out->path, "//"))
            out->path = mio_str_sub(out->path, 2, out->path.n);
        return out->path.n ? true : wrong(why, "the path is missing after file:");
    }
    return true;
}

/* ${{...}} */

static bool starts(struct mio_str s, size_t i, const char *what)
{
    return mio_str_starts(mio_str_sub(s, i, s.n - i), what);
}

/* The part up to the next '.', taken off *rest. */
static struct mio_str step(struct mio_str *rest)
{
    ptrdiff_t dot = mio_str_find(*rest, '.');
    size_t n = dot < 0 ? rest->n : (size_t)dot;
    struct mio_str s = mio_str_sub(*rest, 0, n);
    *rest = mio_str_sub(*rest, n + (dot >= 0), rest->n);
    return s;
}

static bool named(struct mio_str rest, enum mio_azureml_expr_form form,
                  struct mio_azureml_expr *out, const char **why)
{
    out->form = form;
    out->name = step(&rest);
    bool good = word(out->name);
    while (good && rest.n) /* a group: inputs.GROUP.X */
        good = word(step(&rest));
    return good ? true : wrong(why, "a name must follow, of letters, digits, `-` and `_`");
}

static bool grammar(struct mio_str body, struct mio_azureml_expr *out, const char **why)
{
    struct mio_str rest = mio_str_trim(body), head;
    out->text = rest;
    if (mio_str_is(rest, "name") || mio_str_is(rest, "default_datastore")) {
        out->form = rest.n == 4 ? MIO_AZUREML_X_NAME : MIO_AZUREML_X_DATASTORE;
        return true;
    }
    head = step(&rest);
    if (mio_str_is(head, "inputs"))
        return named(rest, MIO_AZUREML_X_INPUT, out, why);
    if (mio_str_is(head, "outputs"))
        return named(rest, MIO_AZUREML_X_OUTPUT, out, why);
    if (mio_str_is(head, "search_space"))
        return named(rest, MIO_AZUREML_X_SEARCH, out, why);
    if (!mio_str_is(head, "parent"))
        return wrong(why, "it begins with inputs., outputs., parent., search_space., or is `name` "
                          "or `default_datastore`");
    head = step(&rest);
    if (mio_str_is(head, "inputs"))
        return named(rest, MIO_AZUREML_X_PARENT_INPUT, out, why);
    if (mio_str_is(head, "outputs"))
        return named(rest, MIO_AZUREML_X_PARENT_OUTPUT, out, why);
    out->step = step(&rest);
    struct mio_str outputs = step(&rest);
    if (!mio_str_is(head, "jobs") || !word(out->step) || !mio_str_is(outputs, "outputs"))
        return wrong(why,
                     "after parent. comes inputs.NAME, outputs.NAME or jobs.STEP.outputs.NAME");
    return named(rest, MIO_AZUREML_X_STEP_OUTPUT, out, why);
}

static bool optional_block(struct mio_str text, size_t i, size_t *at, struct mio_azureml_expr *out,
                           const char **why)
{
    size_t end = i + 3;
    while (end < text.n && !starts(text, end, "]]") && !starts(text, end, "$[["))
        end++;
    *out = (struct mio_azureml_expr){.form = MIO_AZUREML_X_OPTIONAL, .offset = i};
    if (!starts(text, end, "]]"))
        return wrong(why, "`$[[` is never closed by `]]`");
    out->text = mio_str_sub(text, i + 3, end - i - 3);
    *at = i + 3; /* what stands inside is read next */
    return true;
}

bool mio_azureml_expr_next(struct mio_str text, size_t *at, struct mio_azureml_expr *out,
                           const char **why)
{
    for (size_t i = *at; i + 2 < text.n; i++) {
        if (text.p[i] != '$')
            continue;
        if (starts(text, i, "$[["))
            return optional_block(text, i, at, out, why);
        if (!starts(text, i, "${{"))
            continue;
        size_t end = i + 3;
        while (end < text.n && !starts(text, end, "}}") && text.p[end] != '$')
            end++;
        *out = (struct mio_azureml_expr){.offset = i};
        if (!starts(text, end, "}}"))
            return wrong(why, "`${{` is never closed by `}}`");
        *at = end + 2;
        return grammar(mio_str_sub(text, i + 3, end - i - 3), out, why);
    }
    *at = text.n;
    return false;
}
