/* providers/environment/index.h: signed package indices of Debian suites.
 *
 * In: sources. Out: the text of each Packages file, checked against a Release file that gpgv
 * accepted. */
#pragma once
#include "providers/environment/sources.h"
#include "providers/environment/store.h"

struct mio_env_index {
    struct mio_env_source source;
    struct mio_str component;
    struct mio_str sha256;   /* of the uncompressed Packages text */
    struct mio_str signer;   /* fingerprint of the key that vouched */
    struct mio_str date;     /* the Release file's, as written there */
    int64_t epoch;           /* the same in seconds */
    bool expired;            /* past its Valid-Until; accepted because apt is set to accept it */
    struct mio_str packages; /* mapped text, kept until the process ends */
    const char *cache;       /* stem of files for what was made of it; NULL: keep nothing */
};
/* Fetches and checks. Errors: those of mio_env_fetch_all; MIO_AUTH when a signature is missing, bad
 * or by an unknown key, or when the index has expired. */
enum mio_code mio_env_indices(struct mio_arena *a, const struct mio_env_store *s,
                              struct mio_str arch, const struct mio_env_source *sources, size_t n,
                              struct mio_env_index **out, size_t *count, struct mio_err *err);
/* Checks a signed text with gpgv and gives what was signed and by which key. Errors: MIO_AUTH. */
enum mio_code mio_env_verify_signed(struct mio_arena *a, const struct mio_env_store *s,
                                    const char *path, struct mio_str keyring,
                                    struct mio_str *content, struct mio_str *signer,
                                    struct mio_err *err);
/* "Sat, 11 Jul 2026 10:16:37 UTC" in seconds since 1970. */
bool mio_env_date(struct mio_str text, int64_t *seconds);
