/* state/backend_env.c: settings of backends that come from the environment, so that no secret need
 * be in a template. */
#include "state/store.h"

/* Rows of one setting are tried in order. */
static const struct {
    const char *type, *setting, *variable;
} rows[] = {
    {"http", "address", "MLOPS_IAC_BACKEND_ADDRESS"},
    {"http", "username", "MLOPS_IAC_BACKEND_USERNAME"},
    {"http", "username", "TF_HTTP_USERNAME"},
    {"http", "password", "MLOPS_IAC_BACKEND_PASSWORD"},
    {"http", "password", "TF_HTTP_PASSWORD"},
    {"pg", "conn_str", "MLOPS_IAC_BACKEND_CONN_STR"},
    {"pg", "conn_str", "PG_CONN_STR"},
    {"s3", "access_key", "MLOPS_IAC_BACKEND_ACCESS_KEY"},
    {"s3", "access_key", "AWS_ACCESS_KEY_ID"},
    {"s3", "secret_key", "MLOPS_IAC_BACKEND_SECRET_KEY"},
    {"s3", "secret_key", "AWS_SECRET_ACCESS_KEY"},
    {"s3", "token", "AWS_SESSION_TOKEN"},
    {"s3", "region", "MLOPS_IAC_BACKEND_REGION"},
    {"s3", "region", "AWS_REGION"},
    {"s3", "region", "AWS_DEFAULT_REGION"},
    {"azure", "access_key", "MLOPS_IAC_BACKEND_ACCESS_KEY"},
    {"azure", "access_key", "ARM_ACCESS_KEY"},
    {"azure", "sas_token", "MLOPS_IAC_BACKEND_SAS_TOKEN"},
    {"azure", "sas_token", "ARM_SAS_TOKEN"},
    {"etcd", "username", "MLOPS_IAC_BACKEND_USERNAME"},
    {"etcd", "username", "ETCDV3_USERNAME"},
    {"etcd", "password", "MLOPS_IAC_BACKEND_PASSWORD"},
    {"etcd", "password", "ETCDV3_PASSWORD"},
    {"ssh", "user", "MLOPS_IAC_BACKEND_USER"},
    {"ssh", "identity_file", "MLOPS_IAC_BACKEND_IDENTITY_FILE"},
};

struct mio_value mio_backend_settings(struct mio_arena *a, struct mio_value backend,
                                      mio_lookup *lookup, void *arg)
{
    struct mio_str type = mio_get_str(backend, "type");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!mio_str_is(type, rows[i].type) || mio_get_str(backend, rows[i].setting).n)
            continue;
        const char *text = lookup(arg, rows[i].variable);
        if (text && *text)
            backend = mio_map_with(a, backend, mio_str_z(rows[i].setting),
                                   mio_sensitive(mio_string(mio_arena_str(a, mio_str_z(text)))));
    }
    return backend;
}
