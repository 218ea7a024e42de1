/* tests/conformance/kit.h: does a provider plugin keep the contract of mlops_provider.h?
 *
 * In: a plugin, its settings, and an example of the kind to be tried. Out: one line a check. It
 * makes and deletes real objects, and kills the plugin in mid-call to prove what its create class
 * claims. */
#pragma once
#include "providers/host/host.h"

struct kit_opts {
    const char *plugin_path;  /* absolute */
    const char *host_program; /* absolute */
    const char *base_dir;     /* what relative paths in settings and inputs are relative to */
    const char *config;       /* settings, JSON */
    const char *kind;
    /* Inputs as JSON. %d is replaced by a number, a new one for each object: names must differ. */
    const char *inputs;
    const char *changed; /* what an update turns them into; NULL: the kind has none */
    unsigned kills;      /* calls killed in the proof of the create class; 0: 20 */
    /* One check: what was tried, whether it held, and if not what was seen. */
    void (*report)(void *arg, bool held, const char *check, const char *seen);
    void *arg;
};
struct kit_result {
    unsigned held, broken;
};

/* Runs every check that fits the plugin's capabilities. Errors: what kept the kit from running at
 * all. */
enum mio_code kit_run(const struct kit_opts *o, struct kit_result *out, struct mio_err *err);
