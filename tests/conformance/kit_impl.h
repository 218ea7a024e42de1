/* tests/conformance/kit_impl.h: what the files of the kit share. */
#pragma once
#include "providers/sdk/clock.h"
#include "providers/sdk/json.h"
#include "tests/conformance/kit.h"

struct kit {
    const struct kit_opts *o;
    struct kit_result *result;
    struct mio_arena a;
    struct mio_provider *p;
    const struct mio_schema *schema;
    const struct mio_kind *kind;
    unsigned number;   /* of the last object */
    unsigned long run; /* makes keys differ from run to run */
};

/* Notes a check; `fmt` says what was seen when it did not hold. Returns held. */
bool kit_check(struct kit *k, bool held, const char *check, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Opens and configures k->p. */
enum mio_code kit_connect(struct kit *k, struct mio_err *err);
/* The example inputs with the next number in them. */
struct mio_value kit_inputs(struct kit *k, const char *text, unsigned number);
struct mio_str kit_key(struct kit *k, unsigned number);
enum mio_code kit_create(struct kit *k, struct mio_provider *p, struct mio_arena *a,
                         unsigned number, struct mio_object *out, struct mio_err *err);
void kit_delete(struct kit *k, const struct mio_object *obj);
/* How many objects list() shows; -1 when the plugin cannot list. */
int64_t kit_count(struct kit *k);

void kit_schema(struct kit *k); /* kit_schema.c */
void kit_cycle(struct kit *k);  /* kit_cycle.c: create, read, update, delete */
void kit_class(struct kit *k);  /* kit_class.c: repeated keys, killed calls */
void kit_sizes(struct kit *k);  /* kit_sizes.c: structs of a newer host, without the host between */
