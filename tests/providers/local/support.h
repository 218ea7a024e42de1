/* tests/providers/local/support.h: the local plugin, loaded as the host loads it and called through
 * its ABI. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include "providers/abi/mlops_provider.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"

/* What one call brought back. Text and values live in the fixture's arena. */
struct answer {
    int rc;     /* MLOPS_OK or MLOPS_ERROR */
    int status; /* of the emitted object; -1 when none was emitted */
    struct mio_str id, fingerprint;
    struct mio_value attributes; /* of the object */
    struct mio_value json;       /* answer() */
    int code;                    /* enum mlops_error_code */
    struct mio_str message, hint;
};
struct fixture {
    struct mio_arena arena;
    void *plugin;
    const struct mlops_provider *provider;
    struct mlops_instance *instance;
    const char *dir;  /* temporary folder: the template's directory */
    const char *root; /* dir/.local-platform */
    unsigned warnings;
    struct mio_str last_warning, last_progress;
    const char *cancel_at; /* cancelled() is true once a progress line has this; NULL: never */
    int64_t deadline_ms;   /* of the calls; 0: none */
};

/* cmocka set-up and tear-down: a configured plugin on a fresh folder; nothing is left running. */
int fixture_open(void **state);
int fixture_close(void **state);
/* Configures the plugin anew with these settings (JSON). */
void fixture_configure(struct fixture *f, const char *config);

/* One verb each; key is padded to 26 characters. JSON in double quotes or, easier to write, in
 * single ones. */
struct answer do_create(struct fixture *f, const char *kind, const char *key, const char *inputs);
/* content: the digests that the plan saw. */
struct answer do_create_planned(struct fixture *f, const char *kind, const char *key,
                                const char *inputs, const char *content);
struct answer do_update(struct fixture *f, const char *kind, const char *key, const char *id,
                        const char *inputs, const char *changed);
struct answer do_remove(struct fixture *f, const char *kind, const char *id);
struct answer do_plan(struct fixture *f, const char *kind, const char *id, const char *inputs);
struct answer do_validate(struct fixture *f, const char *kind, const char *inputs);
/* fingerprint NULL: a full read. */
struct answer do_read(struct fixture *f, const char *kind, const char *id, const char *fingerprint);
struct answer do_import(struct fixture *f, const char *kind, const char *id);
struct answer do_list(struct fixture *f, const char *kind);
struct answer do_data(struct fixture *f, const char *kind, const char *query);
struct answer do_preflight(struct fixture *f, const char *changes);

/* Formatted text and paths in the fixture's arena. */
const char *text(struct fixture *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void put_file(struct fixture *f, const char *path, const char *content); /* folders are made */
const char *get_file(struct fixture *f, const char *path);               /* fails when absent */
struct mio_str attr(const struct answer *a, const char *key);
/* Attribute inside an object attribute. */
struct mio_str attr2(const struct answer *a, const char *key, const char *inner);
#define assert_str(view, want) assert_string_equal(text(f, "%.*s", MIO_FMT(view)), (want))
#define assert_has(view, part) assert_non_null(strstr(text(f, "%.*s", MIO_FMT(view)), (part)))
#define assert_done(a)                              \
    do {                                            \
        if ((a).rc != MLOPS_OK)                     \
            fail_msg("%.*s", MIO_FMT((a).message)); \
    } while (0)
