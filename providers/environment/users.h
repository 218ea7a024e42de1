/* providers/environment/users.h: users that the declaration adds to those of the packages. */
#pragma once
#include "providers/environment/view.h"

struct mio_env_user {
    struct mio_str name, home, shell; /* home may be empty */
    unsigned uid, gid;
};
/* Errors: MIO_TEMPLATE, with the user's name. */
enum mio_code mio_env_users_read(struct mio_arena *a, struct mio_value config,
                                 struct mio_env_user **out, size_t *n, struct mio_err *err);
/* Adds rows to etc/passwd and etc/group of `made`, and home folders. Errors: MIO_TEMPLATE where a
 * package has the name or the number already. */
enum mio_code mio_env_users(struct mio_env_view *v, struct mio_value config, int64_t mtime,
                            struct mio_env_tree *made, struct mio_err *err);
