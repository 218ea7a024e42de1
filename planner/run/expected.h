/* planner/run/expected.h: `expect_failures` of a test's step against what did fail. */
#pragma once
#include "planner/template/template.h"

/* Takes what `list` (a list of addresses, or NULL) expects out of diags: errors, and checks that
 * failed, which are warnings otherwise. Adds an error for each address that did not fail or that
 * the template does not have, and makes one of each check that failed and was not expected to. */
void mio_expected(const struct mio_node *list, const struct mio_template *t,
                  struct mio_diags *diags);
/* Is it about a check of the template? */
bool mio_is_of_check(const struct mio_err *err);
