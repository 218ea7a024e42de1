/* planner/run/version.h: mlops_iac.required_version: ">= 0.1", "~> 1.2, != 1.2.4". Pure. */
#pragma once
#include "providers/sdk/err.h"

/* MIO_OK when `version` satisfies every part. Errors: MIO_USAGE when it does not, MIO_TEMPLATE when
 * the constraint is malformed. */
enum mio_code mio_version_check(struct mio_str constraint, struct mio_str version,
                                struct mio_err *err);
