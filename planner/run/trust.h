/* planner/run/trust.h: whose signatures count: `mlops_iac.plans` of the template, `approvers` and
 * `required_approvals` of the stage, and the machine's approvals.yaml over both. */
#pragma once
#include "planner/change/approval.h"

struct mio_engine;
struct mio_trust {
    struct mio_signers signers;   /* who may make plans; none: anybody */
    struct mio_signers approvers; /* of the stage */
    size_t required;              /* approvals that an apply in this stage needs */
};
/* Errors: MIO_USAGE, MIO_TEMPLATE, MIO_IO (a file of keys). */
enum mio_code mio_engine_trust(struct mio_engine *e, struct mio_trust *out, struct mio_err *err);
