/* cli/environment.c: secrets of the environment in memory of our own. See environment.h. */
#include "cli/environment.h"
#include "providers/sdk/redact.h"
#include <stdlib.h>
#include <string.h>

struct mio_env_item {
    const char *name;
    char *value;
};

/* Those that only a state needs. */
static const char *const names[] = {
    "MLOPS_IAC_STATE_KEY",
    "MLOPS_IAC_STATE_PASSPHRASE",
    "MLOPS_IAC_STATE_OLD_KEY",
    "MLOPS_IAC_STATE_OLD_PASSPHRASE",
    "MLOPS_IAC_PLAN_KEY",
    "MLOPS_IAC_APPROVAL_KEY",
    "MLOPS_IAC_BACKEND_PASSWORD",
    "MLOPS_IAC_BACKEND_CONN_STR",
    "MLOPS_IAC_BACKEND_ACCESS_KEY",
    "MLOPS_IAC_BACKEND_SECRET_KEY",
    "MLOPS_IAC_BACKEND_SAS_TOKEN",
    "TF_HTTP_PASSWORD",
    "PG_CONN_STR",
    "ETCDV3_PASSWORD",
};
/* Those of platforms stay, since providers read them, too; they are not shown either. */
static const char *const stay[] = {
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",   "ARM_ACCESS_KEY", "ARM_SAS_TOKEN",
    "ARM_CLIENT_SECRET",     "AZURE_CLIENT_SECRET", "PGPASSWORD",
};

void mio_env_take(struct mio_env *e, struct mio_arena *a)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *value = getenv(names[i]);
        if (!value)
            continue;
        size_t n = strlen(value);
        char *copy = mio_arena_alloc(a, n + 1);
        memcpy(copy, value, n + 1);
        mio_secret_add(mio_str_z(copy));
        MIO_PUSH(a, e->items, e->n, e->cap) = (struct mio_env_item){names[i], copy};
        explicit_bzero(value,
                       n); /* the first text of the process stays readable in /proc otherwise */
        unsetenv(names[i]);
    }
    for (size_t i = 0; i < sizeof stay / sizeof *stay; i++)
        mio_secret_add(mio_str_z(getenv(stay[i])));
}

const char *mio_env_get(void *env, const char *name)
{
    const struct mio_env *e = env;
    for (size_t i = 0; i < e->n; i++)
        if (strcmp(e->items[i].name, name) == 0)
            return e->items[i].value;
    return getenv(name);
}

void mio_env_wipe(struct mio_env *e)
{
    for (size_t i = 0; i < e->n; i++)
        explicit_bzero(e->items[i].value, strlen(e->items[i].value));
}
