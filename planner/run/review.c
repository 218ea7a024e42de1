/* planner/run/review.c: see review.h. */
#include "planner/run/review.h"
#include "planner/run/internal.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include <fcntl.h>
#include <unistd.h>

enum { LARGEST = 1 << 30 };

static enum mio_code hint_new(struct mio_err *err)
{
    return mio_err_hint(err, "Make a new one with `mlops-iac plan -out=FILE`.");
}

/* ---- reading ---- */

static enum mio_code unseal(struct mio_arena *a, struct mio_sealer *s, struct mio_str *text,
                            struct mio_seal_about *about, struct mio_err *err)
{
    enum mio_code rc = mio_unseal(s, a, "plan", *text, text, about, err);
    if (rc && rc != MIO_AUTH)
        return hint_new(err);
    return rc;
}

bool mio_review_is_sealed(const char *path)
{
    char head[16];
    MIO_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 ? 0 : read(fd, head, sizeof head);
    return n > 0 && mio_is_sealed((struct mio_str){head, (size_t)n});
}

static enum mio_code read_plan(struct mio_arena *a, struct mio_sealer *s, struct mio_str text,
                               bool sealed, bool whole, struct mio_planfile *out,
                               struct mio_err *err)
{
    struct mio_seal_about about = {0};
    if ((sealed && unseal(a, s, &text, &about, err)) || mio_planfile_read(a, text, whole, out, err))
        return err->code;
    const struct mio_plan_binding *k = &out->plan.binding;
    if (sealed && (about.serial != k->serial || !mio_str_eq(about.lineage, k->lineage))) {
        mio_fail(err, MIO_STATE, "sealed as another plan than it holds");
        return hint_new(err);
    }
    return MIO_OK;
}

enum mio_code mio_review_read(struct mio_arena *a, const struct mio_plan_source *from,
                              const char *path, bool whole, struct mio_planfile *out, bool *sealed,
                              struct mio_err *err)
{
    struct mio_str text;
    struct mio_seal_opts keys;
    struct mio_sealer *s = NULL;
    struct mio_sources sources = {0};
    struct mio_diags ignored;
    bool wanted = false;
    mio_diags_init(&ignored, a);
    if (mio_fs_read(a, path, LARGEST, &text, NULL, err))
        return err->code;
    *sealed = mio_is_sealed(text);
    enum mio_code rc =
        *sealed ? mio_sealing_of(a, from, &sources, &ignored, &keys, &wanted, err) : MIO_OK;
    rc = rc || !wanted ? rc : mio_sealer_open(&keys, &s, err);
    rc = rc ? rc : read_plan(a, s, text, *sealed, whole, out, err);
    mio_sealer_close(s);
    return rc ? mio_err_wrap(err, "%s", path) : MIO_OK;
}

static enum mio_code judge(struct mio_engine *e, struct mio_review *r, struct mio_err *err)
{
    struct mio_trust t;
    enum mio_code rc = mio_engine_trust(e, &t, err);
    if (rc)
        return rc;
    const struct mio_signer *by = mio_plan_signed_by(&e->arena, &r->file, &t.signers);
    r->signed_by = by ? by->name : MIO_STR("");
    r->required = t.required;
    r->good =
        mio_plan_approvals(&e->arena, &r->file, &t.approvers, mio_wall_s(), &r->approvals, &r->n);
    return MIO_OK;
}

enum mio_code mio_engine_review(struct mio_engine *e, const char *path, bool whole,
                                struct mio_review *out)
{
    struct mio_err err = {0};
    struct mio_sealer *s = NULL;
    struct mio_str text;
    struct mio_review r = {.path = path};
    if (mio_fs_read(&e->arena, path, LARGEST, &text, NULL, &err) || mio_engine_sealer(e, &s, &err))
        return mio_engine_fail(e, &err);
    r.sealed = mio_is_sealed(text);
    if (read_plan(&e->arena, s, text, r.sealed, whole, &r.file, &err)) {
        mio_err_wrap(&err, "%s", path);
        return mio_engine_fail(e, &err);
    }
    if (judge(e, &r, &err))
        return mio_engine_fail(e, &err);
    *out = r;
    return MIO_OK;
}

struct mio_value mio_review_counted(struct mio_arena *a, const struct mio_review *r)
{
    struct mio_value *items = MIO_NEW_N(a, struct mio_value, r->n + 1);
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        if (r->approvals[i].why_not)
            continue;
        struct mio_pair *pairs = MIO_NEW_N(a, struct mio_pair, 2);
        pairs[0] = (struct mio_pair){MIO_STR("by"), mio_string(r->approvals[i].by)};
        pairs[1] = (struct mio_pair){MIO_STR("key"), mio_string(r->approvals[i].fingerprint)};
        items[n++] = mio_map(pairs, 2);
    }
    return mio_list(items, n);
}

/* ---- judging ---- */

static enum mio_code enough(const struct mio_review *r, struct mio_err *err)
{
    if (r->good >= r->required || !mio_plan_has_changes(&r->file.plan))
        return MIO_OK;
    struct mio_str stage = r->file.plan.binding.stage;
    mio_fail(err, MIO_AUTH, "%s: %zu of %zu approvals that %s%.*s needs", r->path, r->good,
             r->required, stage.n ? "stage " : "the default stage", MIO_FMT(stage));
    for (size_t i = 0; i < r->n; i++)
        if (r->approvals[i].why_not)
            mio_err_cause(err, "the one of \"%.*s\" does not count: %s",
                          MIO_FMT(mio_str_sub(r->approvals[i].by, 0, 64)), r->approvals[i].why_not);
    return mio_err_hint(err, "Each approver: mlops-iac approve '%s'", r->path);
}

static enum mio_code signed_well(struct mio_engine *e, const struct mio_review *r,
                                 struct mio_err *err)
{
    struct mio_trust t;
    enum mio_code rc = mio_engine_trust(e, &t, err);
    if (rc || t.signers.n == 0 || r->signed_by.n)
        return rc;
    mio_fail(err, MIO_AUTH, "%s: the plan is %s", r->path,
             mio_is_null(r->file.signature)
                 ? "not signed"
                 : "signed, but not by one of the signers in `mlops_iac.plans`");
    return mio_err_hint(err, "Make it where a signer's key is: MLOPS_IAC_PLAN_KEY_FILE=KEY.pem "
                             "mlops-iac plan -out=FILE");
}

enum mio_code mio_engine_may_use(struct mio_engine *e, const struct mio_review *r, bool approved,
                                 struct mio_err *err)
{
    const struct mio_plan_binding *k = &r->file.plan.binding;
    if (mio_engine_seals(e) && !r->sealed) {
        mio_fail(err, MIO_AUTH, "%s: the plan is in clear, but plans are sealed here", r->path);
        return mio_err_hint(err, "Make a new one with the key that is set now: `mlops-iac plan "
                                 "-out=FILE`.");
    }
    if (r->file.plan.errored) {
        mio_fail(err, MIO_USAGE, "%s: the plan was made with errors and cannot be applied",
                 r->path);
        return hint_new(err);
    }
    if (!mio_str_eq(k->stage, e->tpl->stage)) {
        mio_fail(err, MIO_STATE, "%s: the saved plan is stale: it was made for another stage",
                 r->path);
        mio_err_cause(err, "planned with \"%.*s\", now \"%.*s\"", MIO_FMT(k->stage),
                      MIO_FMT(e->tpl->stage));
        return mio_err_hint(err, "Give its stage: -stage=%.*s", MIO_FMT(k->stage));
    }
    char when[24];
    if (k->created > mio_wall_s() + MIO_CLOCK_SKEW_S) { /* nobody could say when it expires */
        mio_rfc3339(k->created, when);
        mio_fail(err, MIO_STATE, "%s: the saved plan was made in the future (%s)", r->path, when);
        return mio_err_hint(err, "Set the clock of this machine, or of the one that made the plan, "
                                 "right; a plan of a wrong clock is made anew.");
    }
    if (k->expires < mio_wall_s()) {
        mio_rfc3339(k->expires, when);
        mio_fail(err, MIO_STATE, "%s: the saved plan is stale: it has expired (%s)", r->path, when);
        return mio_err_hint(err, "Make a new plan with `mlops-iac plan -out=FILE` (-valid-for=TIME "
                                 "for how long it holds) and have it reviewed again.");
    }
    enum mio_code rc = signed_well(e, r, err);
    return rc || !approved ? rc : enough(r, err);
}

const struct mio_review *mio_engine_reviewed(const struct mio_engine *e)
{
    return e->review;
}

enum mio_code mio_engine_may_apply(struct mio_engine *e)
{
    struct mio_trust t;
    struct mio_err err = {0};
    bool exempt = e->review || e->plan.mode == MIO_PLAN_REFRESH_ONLY || e->opts.temp_dir ||
                  !mio_plan_has_changes(&e->plan);
    if (exempt)
        return MIO_OK;
    if (mio_engine_trust(e, &t, &err) == MIO_OK && t.required) {
        struct mio_str stage = e->tpl->stage;
        mio_fail(&err, MIO_AUTH,
                 "%s%.*s needs %zu approval%s: nothing is applied without a saved plan",
                 stage.n ? "stage " : "the default stage", MIO_FMT(stage), t.required,
                 t.required == 1 ? "" : "s");
        mio_err_hint(&err, "mlops-iac plan -out=FILE; each approver: mlops-iac approve FILE; then "
                           "mlops-iac apply FILE");
    }
    return err.code ? mio_engine_fail(e, &err) : MIO_OK;
}

/* ---- writing ---- */

static enum mio_code put(struct mio_engine *e, struct mio_review *r, struct mio_err *err)
{
    MIO_AUTO_BUF plain = {0}, sealed = {0};
    struct mio_sealer *s = NULL;
    const struct mio_plan_binding *k = &r->file.plan.binding;
    struct mio_seal_about about = {
        .kind = MIO_STR("plan"), .lineage = k->lineage, .serial = k->serial};
    mio_planfile_put(&plain, &r->file);
    enum mio_code rc = r->sealed ? mio_engine_sealer(e, &s, err) : MIO_OK;
    if (rc == MIO_OK && r->sealed)
        rc = mio_seal(s, &about, mio_buf_view(&plain), &sealed, err);
    rc = rc ? rc : mio_fs_replace(r->path, mio_buf_view(r->sealed ? &sealed : &plain), 0600, err);
    if (plain.n)
        explicit_bzero(plain.p, plain.n);
    return rc;
}

/* A private key: from the file, or else as the environment has it. *out NULL: there is none. */
static enum mio_code open_key(struct mio_engine *e, const char *file, const char *file_variable,
                              const char *variable, struct mio_ed25519 **out, struct mio_err *err)
{
    const char *path = file ? file : mio_engine_env(e, file_variable);
    const char *text = path && *path ? NULL : mio_engine_env(e, variable);
    *out = NULL;
    if (path && *path)
        return mio_ed25519_open(path, MIO_STR(""), out, err);
    return text && *text ? mio_ed25519_open(NULL, mio_str_z(text), out, err) : MIO_OK;
}

static struct mio_str own_name(struct mio_engine *e)
{
    struct mio_str who, host;
    mio_store_who(&e->arena, &who, &host);
    return mio_arena_printf(&e->arena, "%.*s@%.*s", MIO_FMT(who), MIO_FMT(host));
}

static enum mio_code sign(struct mio_engine *e, struct mio_review *r, struct mio_err *err)
{
    struct mio_ed25519 *key;
    struct mio_trust t;
    enum mio_code rc = mio_engine_trust(e, &t, err);
    rc = rc ? rc : open_key(e, NULL, "MLOPS_IAC_PLAN_KEY_FILE", "MLOPS_IAC_PLAN_KEY", &key, err);
    if (rc)
        return rc;
    if (key) {
        uint8_t public[MIO_ED25519_KEY];
        mio_ed25519_public(key, public);
        struct mio_str name = mio_signer_name(&t.signers, public);
        rc = mio_plan_sign(&e->arena, &r->file, name.n ? name : own_name(e), key,
                           &r->file.signature, err);
        mio_ed25519_close(key);
    }
    rc = rc ? rc : judge(e, r, err);
    return rc ? rc : signed_well(e, r, err);
}

enum mio_code mio_engine_write_plan(struct mio_engine *e, const char *path, struct mio_review *out)
{
    MIO_AUTO_BUF b = {0};
    struct mio_err err = {0};
    struct mio_review r = {.path = path, .sealed = mio_engine_seals(e)};
    e->plan.binding.commit = mio_engine_commit(e);
    mio_planfile_write(&b, &e->plan, e->plan_salt, &e->state);
    struct mio_str text = mio_arena_str(&e->arena, mio_buf_view(&b));
    if (mio_planfile_read(&e->arena, text, false, &r.file, &err) || sign(e, &r, &err) ||
        put(e, &r, &err))
        return mio_engine_fail(e, &err);
    *out = r;
    return MIO_OK;
}

/* ---- approving ---- */

static enum mio_code add_approval(struct mio_engine *e, const struct mio_ed25519 *key,
                                  int64_t valid_s, struct mio_review *r, struct mio_err *err)
{
    struct mio_trust t;
    struct mio_value v;
    uint8_t public[MIO_ED25519_KEY];
    enum mio_code rc = mio_engine_trust(e, &t, err);
    if (rc)
        return rc;
    mio_ed25519_public(key, public);
    struct mio_str name = mio_signer_name(&t.approvers, public);
    if (name.n == 0) {
        mio_fail(err, MIO_AUTH, "this key (%.*s) is not one of the approvers of %s%.*s",
                 MIO_FMT(mio_ed25519_fingerprint(&e->arena, public)),
                 e->tpl->stage.n ? "stage " : "the default stage", MIO_FMT(e->tpl->stage));
        return mio_err_hint(err, "`approvers` of the stage, or of `mlops_iac.plans`, lists them.");
    }
    int64_t now = mio_wall_s(), until = r->file.plan.binding.expires;
    if (valid_s && now + valid_s < until)
        until = now + valid_s;
    if ((rc = mio_plan_approve(&e->arena, &r->file, name, key, now, until, &v, err)) != MIO_OK)
        return rc;
    struct mio_value *all = MIO_NEW_N(&e->arena, struct mio_value, r->file.napprovals + 1);
    if (r->file.napprovals)
        memcpy(all, r->file.approvals, r->file.napprovals * sizeof *all);
    all[r->file.napprovals++] = v;
    r->file.approvals = all;
    size_t before = r->good;
    if ((rc = judge(e, r, err)) != MIO_OK || r->good > before)
        return rc;
    mio_fail(err, MIO_AUTH, "%s: this approval of %.*s would not count: %s", r->path, MIO_FMT(name),
             r->approvals[r->n - 1].why_not);
    return mio_err_hint(err, "Another approver has to approve it.");
}

enum mio_code mio_engine_approve(struct mio_engine *e, const char *key_file, int64_t valid_s,
                                 struct mio_review *r)
{
    struct mio_err err = {0};
    struct mio_ed25519 *key = NULL;
    if (open_key(e, key_file, "MLOPS_IAC_APPROVAL_KEY_FILE", "MLOPS_IAC_APPROVAL_KEY", &key, &err))
        return mio_engine_fail(e, &err);
    if (!key) {
        mio_fail(&err, MIO_USAGE, "there is no key to approve with");
        mio_err_hint(&err, "Name the file of yours: -key=FILE, or MLOPS_IAC_APPROVAL_KEY_FILE. "
                           "Making one: openssl genpkey -algorithm ed25519 -out KEY.pem");
        return mio_engine_fail(e, &err);
    }
    enum mio_code rc = add_approval(e, key, valid_s, r, &err);
    mio_ed25519_close(key);
    rc = rc ? rc : put(e, r, &err);
    return rc ? mio_engine_fail(e, &err) : MIO_OK;
}

enum mio_code mio_engine_take_approvals(struct mio_engine *e, const char *copy,
                                        struct mio_review *r, size_t *added)
{
    struct mio_err err = {0};
    struct mio_review other;
    enum mio_code rc = mio_engine_review(e, copy, false, &other);
    if (rc)
        return rc;
    if (mio_plan_merge(&e->arena, &r->file, &other.file, added, &err)) {
        mio_err_wrap(&err, "%s and %s", r->path, copy);
        return mio_engine_fail(e, &err);
    }
    rc = judge(e, r, &err);
    rc = rc || !*added ? rc : put(e, r, &err);
    return rc ? mio_engine_fail(e, &err) : MIO_OK;
}
