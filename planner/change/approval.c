/* planner/change/approval.c: see approval.h. */
#include "planner/change/approval.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/json.h"

/* What a signature is over says what it is for, so that none serves as another. */
static const char sign_what[] = "mlops-iac plan 1\n", approve_what[] = "mlops-iac approval 1\n";

static struct mio_str message(struct mio_arena *a, const char *what, struct mio_value v)
{
    MIO_AUTO_BUF b = {0};
    mio_buf_z(&b, what);
    mio_json_write(&b, mio_map_without(a, v, MIO_STR("sig")), MIO_JSON_PLAIN);
    return mio_arena_str(a, mio_buf_view(&b));
}

/* v with key and signature in it. */
static enum mio_code sign(struct mio_arena *a, const char *what, const struct mio_ed25519 *key,
                          struct mio_value v, struct mio_value *out, struct mio_err *err)
{
    uint8_t public[MIO_ED25519_KEY], sig[MIO_ED25519_SIG];
    mio_ed25519_public(key, public);
    v = mio_map_with(a, v, MIO_STR("key"), mio_string(mio_base64(a, public, sizeof public)));
    enum mio_code rc = mio_ed25519_sign(key, message(a, what, v), sig, err);
    if (rc == MIO_OK)
        *out = mio_map_with(a, v, MIO_STR("sig"), mio_string(mio_base64(a, sig, sizeof sig)));
    return rc;
}

/* Whole, and by the key that it names? */
static bool holds(struct mio_arena *a, const char *what, struct mio_value v,
                  uint8_t key[MIO_ED25519_KEY])
{
    struct mio_str sig;
    return v.type == MIO_MAP && !mio_has_unknown(v) && !mio_has_sensitive(v) &&
           mio_ed25519_parse(mio_get_str(v, "key"), key) &&
           mio_unbase64(a, mio_get_str(v, "sig"), &sig) &&
           mio_ed25519_verify(key, message(a, what, v), sig);
}

static const struct mio_signer *signer_of(const struct mio_signers *s,
                                          const uint8_t key[MIO_ED25519_KEY])
{
    for (size_t i = 0; i < s->n; i++)
        if (memcmp(s->items[i].key, key, MIO_ED25519_KEY) == 0)
            return &s->items[i];
    return NULL;
}

struct mio_str mio_signer_name(const struct mio_signers *s, const uint8_t key[MIO_ED25519_KEY])
{
    const struct mio_signer *one = signer_of(s, key);
    return one ? one->name : MIO_STR("");
}

enum mio_code mio_plan_sign(struct mio_arena *a, const struct mio_planfile *f, struct mio_str name,
                            const struct mio_ed25519 *key, struct mio_value *out,
                            struct mio_err *err)
{
    struct mio_pair *pairs = MIO_NEW_N(a, struct mio_pair, 2);
    pairs[0] = (struct mio_pair){MIO_STR("by"), mio_string(name)};
    pairs[1] = (struct mio_pair){MIO_STR("plan"), mio_string(f->digest)};
    return sign(a, sign_what, key, mio_map(pairs, 2), out, err);
}

const struct mio_signer *mio_plan_signed_by(struct mio_arena *a, const struct mio_planfile *f,
                                            const struct mio_signers *signers)
{
    uint8_t key[MIO_ED25519_KEY];
    return holds(a, sign_what, f->signature, key) &&
                   mio_str_eq(mio_get_str(f->signature, "plan"), f->digest)
               ? signer_of(signers, key)
               : NULL;
}

enum mio_code mio_plan_approve(struct mio_arena *a, const struct mio_planfile *f,
                               struct mio_str name, const struct mio_ed25519 *key, int64_t now,
                               int64_t expires, struct mio_value *out, struct mio_err *err)
{
    char when[24], until[24];
    mio_rfc3339(now, when);
    mio_rfc3339(expires, until);
    struct mio_pair *pairs = MIO_NEW_N(a, struct mio_pair, 5);
    pairs[0] = (struct mio_pair){MIO_STR("plan"), mio_string(f->digest)};
    pairs[1] = (struct mio_pair){MIO_STR("stage"), mio_string(f->plan.binding.stage)};
    pairs[2] = (struct mio_pair){MIO_STR("by"), mio_string(name)};
    pairs[3] = (struct mio_pair){MIO_STR("when"), mio_string(mio_arena_str(a, mio_str_z(when)))};
    pairs[4] =
        (struct mio_pair){MIO_STR("expires"), mio_string(mio_arena_str(a, mio_str_z(until)))};
    return sign(a, approve_what, key, mio_map(pairs, 5), out, err);
}

/* Was this approver's approval counted before? Two keys of one name are one approver. */
static bool counted(const struct mio_approval *list, size_t n, struct mio_str by)
{
    for (size_t i = 0; i < n; i++)
        if (!list[i].why_not && mio_str_eq(list[i].by, by))
            return true;
    return false;
}

static const char *judge(struct mio_arena *a, const struct mio_planfile *f,
                         const struct mio_signers *approvers, int64_t now, struct mio_value v,
                         struct mio_approval *p)
{
    uint8_t key[MIO_ED25519_KEY], maker[MIO_ED25519_KEY];
    p->by = mio_get_str(v, "by");
    if (!holds(a, approve_what, v, key))
        return "its signature does not hold";
    p->fingerprint = mio_ed25519_fingerprint(a, key);
    const struct mio_signer *who = signer_of(approvers, key);
    if (!mio_str_eq(mio_get_str(v, "plan"), f->digest))
        return "it is of another plan";
    if (!mio_rfc3339_parse(mio_get_str(v, "when"), &p->when) ||
        !mio_rfc3339_parse(mio_get_str(v, "expires"), &p->expires))
        return "its times cannot be read";
    if (!who)
        return "its key is not one of the approvers'";
    p->by = who->name;
    if (p->when > now + MIO_CLOCK_SKEW_S)
        return "it was made in the future, by a clock that is wrong";
    if (p->expires < now)
        return "it has expired";
    if (holds(a, sign_what, f->signature, maker) && memcmp(maker, key, sizeof key) == 0)
        return "it is by the one who made the plan";
    return NULL;
}

size_t mio_plan_approvals(struct mio_arena *a, const struct mio_planfile *f,
                          const struct mio_signers *approvers, int64_t now,
                          struct mio_approval **out, size_t *n)
{
    struct mio_approval *list = MIO_NEW_N(a, struct mio_approval, f->napprovals + 1);
    size_t good = 0;
    for (size_t i = 0; i < f->napprovals; i++) {
        list[i] = (struct mio_approval){0};
        list[i].why_not = judge(a, f, approvers, now, f->approvals[i], &list[i]);
        if (!list[i].why_not && counted(list, i, list[i].by))
            list[i].why_not = "the same approver is counted already";
        good += !list[i].why_not;
    }
    *out = list;
    *n = f->napprovals;
    return good;
}

enum mio_code mio_plan_merge(struct mio_arena *a, struct mio_planfile *into,
                             const struct mio_planfile *from, size_t *added, struct mio_err *err)
{
    if (!mio_str_eq(into->digest, from->digest))
        return mio_fail(err, MIO_USAGE, "they are two different plans");
    struct mio_value *all = MIO_NEW_N(a, struct mio_value, into->napprovals + from->napprovals + 1);
    size_t n = into->napprovals;
    if (n)
        memcpy(all, into->approvals, n * sizeof *all);
    *added = 0;
    for (size_t i = 0; i < from->napprovals; i++) {
        bool there = false;
        for (size_t k = 0; k < n && !there; k++)
            there = mio_equal(all[k], from->approvals[i]);
        if (!there)
            all[n++] = from->approvals[i], ++*added;
    }
    into->approvals = all;
    into->napprovals = n;
    return MIO_OK;
}
