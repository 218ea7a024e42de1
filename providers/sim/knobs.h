/* providers/sim/knobs.h: how the simulated cloud misbehaves: what the settings ask for, decided per
 * call. */
#pragma once
#include "providers/sdk/plugin.h"
#include "providers/sim/cloud.h"

enum sim_fault {
    SIM_FINE,
    SIM_FAIL,        /* an error, nothing done */
    SIM_LOST,        /* done, but the reply is lost */
    SIM_CRASH,       /* abort() before anything is done */
    SIM_CRASH_AFTER, /* abort() after it is done */
    SIM_HANG,        /* never returns */
    SIM_GARBAGE,
};
enum sim_garbage {
    SIM_G_NONE,
    SIM_G_INDEX,
    SIM_G_DOUBLE,
    SIM_G_JSON,
    SIM_G_HUGE,
    SIM_G_MISSING,
    SIM_G_STATUS,
};

struct sim_rule {
    enum sim_fault fault;
    enum sim_garbage garbage;
    enum mio_code code;  /* SIM_FAIL */
    struct mio_str op;   /* "" : every one that changes something */
    struct mio_str name; /* name or address of the thing; "": every thing */
    int64_t times;       /* 0: always */
    uint32_t retry_after_ms;
    bool quote;  /* SIM_FAIL: the error and a log line quote the request */
    char id[24]; /* in the cloud's table of what has fired */
};
struct sim_knobs {
    struct mio_str path;
    int64_t latency_ms, read_latency_ms, lag_ms, late_commit_ms, quota; /* quota -1: none */
    double fail_share; /* of all changes fails, transient */
    char create_class; /* 'A'..'D': how things behave; 0: as their kind says */
    struct sim_rule *rules;
    size_t nrules, cap;
};

/* Reads the settings. Text lives in the arena. Errors: MIO_TEMPLATE naming the setting. */
enum mio_code sim_knobs_read(struct mio_arena *a, struct mio_value config, struct sim_knobs *out,
                             struct mio_err *err);
/* What happens to this call: a rule of the settings, or what the thing's own `fail` input says. */
struct sim_rule sim_knobs_decide(const struct sim_knobs *k, struct sim_cloud *cloud, const char *op,
                                 struct mio_str name, struct mio_str address,
                                 struct mio_str own_fail);
/* What happens when one object is read: a rule for "read" whose name is its id. */
struct sim_rule sim_knobs_read_rule(const struct sim_knobs *k, struct mio_str id);
/* The word of `fail`: "create", "crash-update", "hang-delete", "lost-create", "crash-after-create".
 * False: no such. */
bool sim_own_fail(struct mio_str word, enum sim_fault *fault, struct mio_str *op);
