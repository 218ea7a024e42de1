/* planner/change/approval.h: who made a plan file and who approved it. Pure.
 *
 * Both sign its digest (planfile.h), which covers every change and everything that the plan is
 * bound to: template, variables, stage, serial and digest of the state, plugins, expiry. */
#pragma once
#include "planner/change/planfile.h"
#include "providers/sdk/ed25519.h"

/* One whom a template trusts. */
struct mio_signer {
    struct mio_str name;
    uint8_t key[MIO_ED25519_KEY];
};
struct mio_signers {
    struct mio_signer *items;
    size_t n, cap;
};

/* One approval as it lies in a plan file. */
struct mio_approval {
    struct mio_str by;          /* as the list of approvers has it, else as it calls itself */
    struct mio_str fingerprint; /* of its key */
    int64_t when, expires;
    const char *why_not; /* NULL: it counts */
};

/* A signature for f->signature. `name`: how the signer calls itself. */
enum mio_code mio_plan_sign(struct mio_arena *a, const struct mio_planfile *f, struct mio_str name,
                            const struct mio_ed25519 *key, struct mio_value *out,
                            struct mio_err *err);
/* Who of them signed it; NULL: none. */
const struct mio_signer *mio_plan_signed_by(struct mio_arena *a, const struct mio_planfile *f,
                                            const struct mio_signers *signers);
/* An approval for f->approvals. */
enum mio_code mio_plan_approve(struct mio_arena *a, const struct mio_planfile *f,
                               struct mio_str name, const struct mio_ed25519 *key, int64_t now,
                               int64_t expires, struct mio_value *out, struct mio_err *err);
/* Judges every approval of the file; gives how many count: of approvers, whole, not expired, each
 * approver once, and not by the one who signed the plan. */
size_t mio_plan_approvals(struct mio_arena *a, const struct mio_planfile *f,
                          const struct mio_signers *approvers, int64_t now,
                          struct mio_approval **out, size_t *n);
/* The name under which a key is listed, or "". */
struct mio_str mio_signer_name(const struct mio_signers *s, const uint8_t key[MIO_ED25519_KEY]);
/* Puts the approvals of `from` that `into` does not have into it. Errors: MIO_USAGE when they are
 * of different plans. */
enum mio_code mio_plan_merge(struct mio_arena *a, struct mio_planfile *into,
                             const struct mio_planfile *from, size_t *added, struct mio_err *err);
