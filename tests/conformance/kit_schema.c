/* tests/conformance/kit_schema.c: tables that make sense, to the engine and to the reader of the
 * docs. */
#include "tests/conformance/kit_impl.h"

/* What is wrong with a field; NULL when nothing is. */
static const char *flaw(const struct mio_field *f)
{
    bool computed = f->flags & MLOPS_COMPUTED, optional = f->flags & MLOPS_OPTIONAL;
    if ((f->flags & MLOPS_REQUIRED) && (computed || optional))
        return "required and computed or optional at once";
    if ((f->flags & MLOPS_CREATE_ONLY) && computed && !optional)
        return "create-only, though nobody can set it";
    if ((f->flags & (MLOPS_VOLATILE | MLOPS_ENSURED | MLOPS_UNSTABLE)) && !computed)
        return "volatile, ensured or unstable, but not computed";
    if ((f->flags & MLOPS_REQUIRED) && f->has_default)
        return "required, with a default";
    if (f->nallowed > 0 && f->type != MLOPS_STRING)
        return "allowed values for what is no string";
    if ((f->minimum.n > 0 || f->maximum.n > 0) && f->type != MLOPS_NUMBER &&
        f->type != MLOPS_INTEGER && !(f->flags & MLOPS_DURATION))
        return "limits for what is no number";
    if (f->type == MLOPS_OBJECT && f->nfields == 0)
        return "an object without fields";
    if (f->doc.n == 0)
        return "no doc";
    return NULL;
}

/* False at the first flaw, which `where` then names. */
static bool sane(const struct mio_field *object, char where[256])
{
    for (size_t i = 0; i < object->nfields; i++) {
        const struct mio_field *f = &object->fields[i];
        const char *what = flaw(f);
        if (what) {
            snprintf(where, 256, "field %.*s: %s", MIO_FMT(f->name), what);
            return false;
        }
        if (!sane(f, where) || (f->element && !sane(f->element, where)))
            return false;
    }
    return true;
}

void kit_schema(struct kit *k)
{
    char where[256] = "";
    kit_check(k, k->schema->version.n > 0 && k->schema->doc.n > 0, "plugin has a version and a doc",
              "one of them is empty");
    kit_check(k, sane(&k->schema->config, where), "settings make sense", "%s", where);
    for (size_t i = 0; i < k->schema->nkinds; i++) {
        const struct mio_kind *kind = &k->schema->kinds[i];
        struct mio_str check =
            mio_arena_printf(&k->a, "kind %.*s makes sense", MIO_FMT(kind->name));
        bool ok = sane(&kind->root, where);
        if (ok && (kind->doc.n == 0 || kind->root.nfields == 0)) {
            snprintf(where, sizeof where, "no doc, or no fields");
            ok = false;
        }
        kit_check(k, ok, check.p, "%s", where);
    }
    if (k->schema->caps & MLOPS_CAP_FUNCTIONS) {
        struct mio_err err = {0};
        struct mio_value answer;
        mio_provider_function(k->p, &k->a, MIO_STR("no_such_function"), mio_list(NULL, 0), &answer,
                              &err);
        kit_check(k, err.code == MIO_TEMPLATE, "an unknown function is an error of the template",
                  "%s: %s", err.code ? mio_code_name(err.code) : "it answered", err.message);
    }
}
