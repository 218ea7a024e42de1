/* providers/environment/static.h: what maintainer scripts would have done, done without running
 * them. */
#pragma once
#include "providers/environment/view.h"

/* Adds links, users, caches, the certificate bundle and dpkg's database to `made`. Errors:
 * MIO_REALITY when a package's script does what static mode cannot do and the package is not in
 * `accepted`. */
enum mio_code mio_env_static(struct mio_env_view *v, const struct mio_env_lock *lock,
                             struct mio_env_tree *made, struct mio_err *err);
/* Parts, each adding to `made`. alternatives.c: the links that update-alternatives would have made.
 * Errors: MIO_REALITY when a script calls it with words that only a shell can work out. */
enum mio_code mio_env_alternatives(struct mio_env_view *v, int64_t mtime,
                                   bool (*accepted)(const void *arg, struct mio_str package),
                                   const void *arg, struct mio_env_tree *made, struct mio_err *err);
/* certificates.c: /etc/ssl/certs with its bundle and its links, from the package's certificates. */
enum mio_code mio_env_certificates(struct mio_env_view *v, int64_t mtime, struct mio_env_tree *made,
                                   struct mio_err *err);
/* ldcache.c: /etc/ld.so.cache from the shared objects of the view. */
enum mio_code mio_env_ld_cache(struct mio_env_view *v, int64_t mtime, struct mio_env_tree *made,
                               struct mio_err *err);
