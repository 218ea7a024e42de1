/* cli/apply.h: what apply, destroy and refresh share. */
#pragma once
#include "cli/session.h"

/* Plans (or takes the saved plan), asks unless -auto-approve or `approved`, performs, reports. */
enum mio_code mio_cli_apply(struct mio_cli *c, enum mio_plan_mode mode, const char *planfile,
                            bool approved);
/* The mode that -destroy and -refresh-only ask for. Errors (both): shown, MIO_USAGE. */
enum mio_code mio_cli_mode(struct mio_cli *c, enum mio_plan_mode *mode);
