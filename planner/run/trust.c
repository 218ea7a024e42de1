/* planner/run/trust.c: see trust.h.
 *
 * Keys are given as a map of names to public keys (or lists of them), or as a file with a line
 * `NAME ssh-ed25519 AAAA...` each. What the machine's administrator names replaces what the
 * template names, and a stage never needs fewer approvals than the administrator says. */
#include "planner/run/trust.h"
#include "planner/run/internal.h"
#include "providers/sdk/fs.h"

#define ADMIN_DIR "/etc/mlops-iac"
#define ADMIN_FILE ADMIN_DIR "/approvals.yaml"
enum { FILE_MAX = 1 << 20, MOST_APPROVALS = 100 };

static enum mio_code add(struct mio_engine *e, const char *what, struct mio_str name,
                         struct mio_str key, struct mio_signers *out, struct mio_err *err)
{
    struct mio_signer s = {.name = name};
    if (name.n == 0 || name.n > 64 || !mio_ed25519_parse(key, s.key)) {
        mio_fail(err, MIO_USAGE, "%s: `%.*s` has no Ed25519 public key", what,
                 MIO_FMT(mio_str_sub(name, 0, 64)));
        return mio_err_hint(err,
                            "As in: %.*s: \"ssh-ed25519 AAAA...\" (openssl pkey -in KEY.pem "
                            "-pubout, or ssh-keygen's .pub)",
                            MIO_FMT(mio_str_sub(name, 0, 64)));
    }
    MIO_PUSH(&e->arena, out->items, out->n, out->cap) = s;
    return MIO_OK;
}

static enum mio_code add_value(struct mio_engine *e, const char *what, const struct mio_pair *p,
                               struct mio_signers *out, struct mio_err *err)
{
    if (p->value.type != MIO_LIST)
        return add(e, what, p->key, mio_value_str(p->value), out, err);
    enum mio_code rc = MIO_OK;
    for (uint32_t i = 0; !rc && i < p->value.n; i++)
        rc = add(e, what, p->key, mio_value_str(p->value.items[i]), out, err);
    return rc;
}

/* Lines of NAME KEY; # begins a remark. */
static enum mio_code add_file(struct mio_engine *e, const char *what, const char *dir,
                              struct mio_str path, struct mio_signers *out, struct mio_err *err)
{
    struct mio_str text;
    if (mio_fs_read(&e->arena, mio_path_join(&e->arena, mio_str_z(dir), path).p, FILE_MAX, &text,
                    NULL, err))
        return mio_err_wrap(err, "%s", what);
    enum mio_code rc = MIO_OK;
    while (!rc && text.n) {
        ptrdiff_t nl = mio_str_find(text, '\n');
        size_t len = nl < 0 ? text.n : (size_t)nl;
        struct mio_str line = mio_str_trim(mio_str_sub(text, 0, len));
        text = mio_str_sub(text, len + 1, text.n);
        ptrdiff_t blank = mio_str_find(line, ' ');
        if (line.n == 0 || line.p[0] == '#')
            continue;
        size_t name = blank < 0 ? line.n : (size_t)blank;
        rc = add(e, what, mio_str_sub(line, 0, name), mio_str_sub(line, name, line.n), out, err);
    }
    return rc;
}

/* A map, or a file whose name is relative to dir. */
static enum mio_code read_signers(struct mio_engine *e, const char *what, const char *dir,
                                  struct mio_value v, struct mio_signers *out, struct mio_err *err)
{
    *out = (struct mio_signers){0};
    if (mio_is_null(v))
        return MIO_OK;
    if (v.type == MIO_STRING)
        return add_file(e, what, dir, mio_value_str(v), out, err);
    if (v.type != MIO_MAP)
        return mio_fail(err, MIO_USAGE, "%s must be a map of names to public keys, or a file",
                        what);
    enum mio_code rc = MIO_OK;
    for (uint32_t i = 0; !rc && i < v.n; i++)
        rc = add_value(e, what, &v.pairs[i], out, err);
    return rc;
}

static enum mio_code value_of(struct mio_engine *e, const struct mio_node *n, const char *what,
                              struct mio_value *out, struct mio_err *err)
{
    *out = mio_null();
    if (!n || mio_node_literal(&e->arena, n, out))
        return MIO_OK;
    mio_fail(err, MIO_TEMPLATE, "%s takes no expressions", what);
    return mio_err_at(err, n->pos);
}

static struct mio_value member(struct mio_value map, const char *name)
{
    const struct mio_value *v = mio_get_z(map, name);
    return v ? *v : mio_null();
}

static enum mio_code only(struct mio_value map, const char *what, const char *const *names,
                          size_t n, struct mio_err *err)
{
    for (uint32_t i = 0; map.type == MIO_MAP && i < map.n; i++) {
        size_t k = 0;
        while (k < n && !mio_str_is(map.pairs[i].key, names[k]))
            k++;
        if (k == n)
            return mio_fail(err, MIO_USAGE, "%s has no setting `%.*s`", what,
                            MIO_FMT(map.pairs[i].key));
    }
    return MIO_OK;
}

static enum mio_code from_template(struct mio_engine *e, struct mio_trust *t, struct mio_err *err)
{
    static const char *const names[] = {"signers", "approvers"};
    const struct mio_node *stage = e->tpl->stage_block;
    const struct mio_node *own = stage ? mio_node_get(stage, "approvers") : NULL,
                          *count = stage ? mio_node_get(stage, "required_approvals") : NULL;
    const char *dir = mio_arena_z(&e->arena, e->tpl->dir);
    struct mio_value plans, mine;
    int64_t required = 0;
    enum mio_code rc = value_of(e, e->tpl->plans, "`mlops_iac.plans`", &plans, err);
    rc = rc ? rc : only(plans, "`mlops_iac.plans`", names, 2, err);
    rc = rc ? rc : value_of(e, own, "`approvers`", &mine, err);
    rc = rc ? rc : read_signers(e, "`signers`", dir, member(plans, "signers"), &t->signers, err);
    rc = rc ? rc
            : read_signers(e, "`approvers`", dir, own ? mine : member(plans, "approvers"),
                           &t->approvers, err);
    if (count && !mio_value_i64(count->literal, &required))
        required = MOST_APPROVALS; /* refused when the stage was read */
    t->required = (size_t)required;
    return rc;
}

static enum mio_code from_admin(struct mio_engine *e, struct mio_trust *t, struct mio_err *err)
{
    static const char *const names[] = {"signers", "approvers", "required_approvals"};
    struct mio_value v;
    struct mio_signers signers, approvers;
    enum mio_code rc = mio_engine_admin(e, ADMIN_FILE, &v, err);
    if (rc || mio_is_null(v))
        return rc;
    rc = only(v, ADMIN_FILE, names, 3, err);
    rc = rc ? rc : read_signers(e, ADMIN_FILE, ADMIN_DIR, member(v, "signers"), &signers, err);
    rc = rc ? rc : read_signers(e, ADMIN_FILE, ADMIN_DIR, member(v, "approvers"), &approvers, err);
    if (rc)
        return rc;
    if (signers.n)
        t->signers = signers;
    if (approvers.n)
        t->approvers = approvers;
    struct mio_str stage = e->tpl->stage.n ? e->tpl->stage : MIO_STR("default");
    const struct mio_value *count = mio_get(member(v, "required_approvals"), stage);
    int64_t required = 0;
    if (count && (!mio_value_i64(*count, &required) || required < 0 || required > MOST_APPROVALS))
        return mio_fail(err, MIO_USAGE,
                        "%s: `required_approvals` of %.*s must be a number from 0 to 100",
                        ADMIN_FILE, MIO_FMT(stage));
    if ((size_t)required > t->required)
        t->required = (size_t)required;
    return MIO_OK;
}

enum mio_code mio_engine_trust(struct mio_engine *e, struct mio_trust *out, struct mio_err *err)
{
    *out = (struct mio_trust){0};
    enum mio_code rc = from_template(e, out, err);
    return rc ? rc : from_admin(e, out, err);
}
