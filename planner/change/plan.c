/* planner/change/plan.c: words and questions about a plan. See plan.h. */
#include "planner/change/plan.h"

const char *mio_reason_name(enum mio_reason r)
{
    static const char *const names[] = {
        [MIO_WHY_NONE] = "",
        [MIO_WHY_TAINTED] = "replace_because_tainted",
        [MIO_WHY_CANNOT_UPDATE] = "replace_because_cannot_update",
        [MIO_WHY_REQUESTED] = "replace_by_request",
        [MIO_WHY_TRIGGERS] = "replace_by_triggers",
        [MIO_WHY_NO_RESOURCE_CONFIG] = "delete_because_no_resource_config",
        [MIO_WHY_WRONG_REPETITION] = "delete_because_wrong_repetition",
        [MIO_WHY_COUNT_INDEX] = "delete_because_count_index",
        [MIO_WHY_EACH_KEY] = "delete_because_each_key",
        [MIO_WHY_NO_MODULE] = "delete_because_no_module",
        [MIO_WHY_DISABLED] = "delete_because_enabled_false",
        [MIO_WHY_CONFIG_UNKNOWN] = "read_because_config_unknown",
        [MIO_WHY_DEPENDENCY_PENDING] = "read_because_dependency_pending",
        [MIO_WHY_DEPOSED] = "delete_because_deposed",
        [MIO_WHY_DRIFT] = "update_because_drift",
        [MIO_WHY_CONTENT] = "replace_because_content",
        [MIO_WHY_DEPENDENCY_CBD] = "replace_because_dependency",
        [MIO_WHY_PROVIDER] = "replace_because_provider",
    };
    return names[r];
}

static const struct {
    const char *name, *symbol;
} actions[] = {
    [MIO_NOOP] = {"no-op", " "},
    [MIO_READ] = {"read", "<="},
    [MIO_CREATE] = {"create", "+"},
    [MIO_UPDATE] = {"update", "~"},
    [MIO_DELETE] = {"delete", "-"},
    [MIO_REPLACE] = {"replace", "-/+"},
    [MIO_REPLACE_CREATE] = {"replace", "+/-"},
    [MIO_FORGET] = {"forget", "."},
};

const char *mio_action_name(enum mio_action a)
{
    return actions[a].name;
}

const char *mio_action_symbol(enum mio_action a)
{
    return actions[a].symbol;
}

bool mio_plan_has_changes(const struct mio_plan *p)
{
    if (p->mode == MIO_PLAN_REFRESH_ONLY && p->ndrift)
        return true;
    for (size_t i = 0; i < p->noutputs; i++)
        if (p->outputs[i].action != MIO_NOOP)
            return true;
    const struct mio_plan_counts *c = &p->counts;
    return c->add || c->change || c->destroy || c->import || c->forget || c->move || c->read;
}

const struct mio_change *mio_plan_find(const struct mio_plan *p, struct mio_str address)
{
    for (size_t i = 0; i < p->nchanges; i++)
        if (mio_str_eq(p->changes[i].address, address) && p->changes[i].deposed.n == 0)
            return &p->changes[i];
    return NULL;
}
