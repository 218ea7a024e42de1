/* providers/sim/sim.h: the inside of the simulated cloud's plugin. */
#pragma once
#include <pthread.h>

#include "providers/sim/cloud.h"
#include "providers/sim/knobs.h"

struct mlops_instance {
    struct mio_arena arena; /* what the knobs point to; never changed after configure */
    struct sim_knobs knobs;
    struct sim_cloud *cloud;
    pthread_mutex_t mu;
    pthread_cond_t woken; /* a call was cancelled */
};

/* The verbs (thing.c, ask.c). */
int sim_create(struct mlops_instance *p, const struct mlops_call *c,
               const struct mlops_change_args *a);
int sim_update(struct mlops_instance *p, const struct mlops_call *c,
               const struct mlops_change_args *a);
int sim_remove(struct mlops_instance *p, const struct mlops_call *c,
               const struct mlops_change_args *a);
int sim_read_many(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_read_args *a);
int sim_import(struct mlops_instance *p, const struct mlops_call *c,
               const struct mlops_import_args *a);
int sim_validate(struct mlops_instance *p, const struct mlops_call *c,
                 const struct mlops_change_args *a);
int sim_list(struct mlops_instance *p, const struct mlops_call *c, const struct mlops_list_args *a);
int sim_lookup(struct mlops_instance *p, const struct mlops_call *c,
               const struct mlops_lookup_args *a);
int sim_preflight(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_preflight_args *a);
int sim_data_read(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_data_args *a);

int sim_function(struct mlops_instance *p, const struct mlops_call *c, const char *name,
                 const char *arguments);

/* Sleeps; false when the call was cancelled meanwhile. */
bool sim_sleep(struct mlops_instance *p, const struct mlops_call *c, int64_t ms);
_Noreturn void sim_hang(void);
/* "t-12" and back; 0 when it is no id of ours. */
struct mio_str sim_id(struct mio_arena *a, int64_t id);
int64_t sim_id_number(const char *id);
/* Attributes of a thing as JSON: its inputs, id and output. */
struct mio_str sim_attributes(struct mio_arena *a, const struct sim_row *row, struct mio_err *err);
/* emit() of one thing; `garbage` spoils it. */
int sim_emit(struct mio_arena *a, const struct mlops_call *c, size_t index,
             const struct sim_row *row, enum sim_garbage garbage);
