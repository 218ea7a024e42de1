/* providers/host/child/dispatch.c: from a message to a call of the plugin, and back. */
#include "providers/host/child/child.h"

typedef int verb_fn(struct mio_child *c, struct mio_child_call *call, struct mio_in *in);

static int configure(struct mio_child *c, struct mio_child_call *call, struct mio_in *in)
{
    struct mlops_configure_args a = {.size = sizeof a};
    a.config = mio_in_z(in);
    a.instance = mio_in_z(in);
    a.base_dir = mio_in_z(in);
    a.stage = mio_in_z(in);
    a.lineage = mio_in_z(in);
    struct mlops_instance *instance = NULL;
    int status = in->bad ? MLOPS_ERROR : c->plugin->configure(&call->abi, &a, &instance);
    if (status == MLOPS_OK && !call->failed)
        c->instance = instance;
    return status;
}

static struct mlops_change_args change_args(struct mio_in *in)
{
    struct mlops_change_args a = {.size = sizeof a};
    a.kind = mio_in_z(in);
    a.address = mio_in_z(in);
    a.id = mio_in_z(in);
    a.inputs = mio_in_z(in);
    a.prior = mio_in_z(in);
    a.changed = mio_in_z(in);
    a.content = mio_in_z(in);
    a.base_dir = mio_in_z(in);
    a.fingerprint = mio_in_z(in);
    a.resume = mio_in_z(in);
    return a;
}

/* The five that share their arguments. */
static int change(struct mio_child *c, struct mio_child_call *call, struct mio_in *in)
{
    struct mlops_change_args a = change_args(in);
    const struct mlops_provider *p = c->plugin;
    int (*fn)(struct mlops_instance *, const struct mlops_call *,
              const struct mlops_change_args *) = NULL;
    switch (call->verb) {
    case MIO_VERB_VALIDATE:
        fn = p->validate;
        break;
    case MIO_VERB_PLAN:
        fn = p->plan;
        break;
    case MIO_VERB_CREATE:
        fn = p->create;
        break;
    case MIO_VERB_UPDATE:
        fn = p->update;
        break;
    default:
        fn = p->remove;
    }
    return in->bad || !fn ? MLOPS_ERROR : fn(c->instance, &call->abi, &a);
}

static int read_many(struct mio_child *c, struct mio_child_call *call, struct mio_in *in)
{
    size_t n = mio_in_u32(in);
    if (in->bad || n > (size_t)(in->end - in->p))
        return MLOPS_ERROR;
    MIO_AUTO_FREE struct mlops_read_item *items = mio_alloc((n + 1) * sizeof *items);
    for (size_t i = 0; i < n; i++) {
        items[i].size = sizeof *items;
        items[i].kind = mio_in_z(in);
        items[i].id = mio_in_z(in);
        items[i].fingerprint = mio_in_z(in);
        items[i].attributes = mio_in_z(in);
        items[i].full = mio_in_u8(in);
    }
    if (in->bad)
        return MLOPS_ERROR;
    call->status = mio_alloc(n + 1);
    memset(call->status, MIO_NOT_EMITTED, n);
    call->expected = n;
    struct mlops_read_args a = {.size = sizeof a, .items = items, .count = n};
    return c->plugin->read_many(c->instance, &call->abi, &a);
}

static int import(struct mio_child *c, struct mio_child_call *call, struct mio_in *in)
{
    struct mlops_import_args a = {.size = sizeof a};
    a.kind = mio_in_z(in);
    a.id = mio_in_z(in);
    return in->bad ? MLOPS_ERROR : c->plugin->import(c->instance, &call->abi, &a);
}

static int list(struct mio_child *c, struct mio_child_call *call, struct mio_in *in)
{
    struct mlops_list_args a = {.size = sizeof a};
    a.kind = mio_in_z(in);
    return in->bad ? MLOPS_ERROR : c->plugin->list(c->instance, &call->abi, &a);
}

static int lookup(struct mio_child *c, struct mio_child_call *call, struct mio_in *in)
{
    struct mlops_lookup_args a = {.size = sizeof a};
    a.kind = mio_in_z(in);
    a.key = mio_in_z(in);
    a.inputs = mio_in_z(in);
    call->grows = true;
    return in->bad ? MLOPS_ERROR : c->plugin->lookup_by_key(c->instance, &call->abi, &a);
}

static int preflight(struct mio_child *c, struct mio_child_call *call, struct mio_in *in)
{
    struct mlops_preflight_args a = {.size = sizeof a};
    a.changes = mio_in_z(in);
    return in->bad ? MLOPS_ERROR : c->plugin->preflight(c->instance, &call->abi, &a);
}

static int data_read(struct mio_child *c, struct mio_child_call *call, struct mio_in *in)
{
    struct mlops_data_args a = {.size = sizeof a};
    a.kind = mio_in_z(in);
    a.query = mio_in_z(in);
    return in->bad ? MLOPS_ERROR : c->plugin->data_read(c->instance, &call->abi, &a);
}

static int function(struct mio_child *c, struct mio_child_call *call, struct mio_in *in)
{
    const char *name = mio_in_z(in), *arguments = mio_in_z(in);
    return in->bad ? MLOPS_ERROR : c->plugin->function(c->instance, &call->abi, name, arguments);
}

/* `single`: at most one object is emitted; `due`: exactly one must be. */
static const struct {
    verb_fn *run;
    bool single, due;
    uint32_t cap;
} verbs[MIO_VERB_COUNT] = {
    [MIO_VERB_CONFIGURE] = {configure, false, false, 0},
    [MIO_VERB_VALIDATE] = {change, false, false, 0},
    [MIO_VERB_PLAN] = {change, false, false, MLOPS_CAP_PLAN},
    [MIO_VERB_READ] = {read_many, false, false, 0},
    [MIO_VERB_CREATE] = {change, true, true, 0},
    [MIO_VERB_UPDATE] = {change, true, true, 0},
    [MIO_VERB_REMOVE] = {change, true, false, 0},
    [MIO_VERB_IMPORT] = {import, true, true, MLOPS_CAP_IMPORT},
    [MIO_VERB_LIST] = {list, false, false, MLOPS_CAP_LIST},
    [MIO_VERB_LOOKUP] = {lookup, false, false, MLOPS_CAP_LOOKUP},
    [MIO_VERB_PREFLIGHT] = {preflight, false, false, MLOPS_CAP_PREFLIGHT},
    [MIO_VERB_DATA] = {data_read, false, false, MLOPS_CAP_DATA},
    [MIO_VERB_FUNCTION] = {function, false, false, MLOPS_CAP_FUNCTIONS},
};

/* What was promised and is not there. */
static void check_complete(struct mio_child_call *call, int status)
{
    if (call->breach[0] || call->failed || call->large)
        return;
    bool object_failed =
        call->emitted == 1 && call->expected == 1 && call->status[0] == MLOPS_ERROR;
    if (status == MLOPS_ERROR && !object_failed)
        mio_child_breach(call, "it returned an error and did not say which");
    else if (status != MLOPS_OK && status != MLOPS_ERROR)
        mio_child_breach(call, "it returned %d", status);
    else if (call->verb == MIO_VERB_READ && call->emitted != call->expected)
        mio_child_breach(call, "%zu of %zu items were answered", call->emitted, call->expected);
    else if (verbs[call->verb].due && call->emitted == 0)
        mio_child_breach(call, "it returned without an object");
}

static void send_result(const struct mio_child_call *call)
{
    struct mio_wire_head head = {.type = MIO_WIRE_RESULT, .id = call->id};
    MIO_AUTO_OUT first = {0}, last = {0};
    struct iovec parts[3] = {{0}};
    if (call->breach[0]) {
        head.verb = MIO_OUT_BREACH;
        mio_msg_z(&first, call->breach);
    } else if (call->failed) {
        head.verb = MIO_OUT_FAIL;
        mio_msg_raw(&first, call->error.p, call->error.n);
    } else if (call->large) {
        head.verb = MIO_OUT_LARGE;
    } else {
        head.verb = MIO_OUT_OK;
        bool none = verbs[call->verb].single && call->emitted == 0;
        uint32_t n = none ? 0 : (uint32_t)call->expected;
        mio_msg_u32(&first, n);
        mio_msg_raw(&first, call->status, n);
        mio_msg_u32(&first, (uint32_t)call->objects.n);
        parts[1] = (struct iovec){call->objects.p, call->objects.n};
        if (call->answered)
            mio_msg_str(&last, (struct mio_str){call->answer, call->answer_len});
        else
            mio_msg_z(&last, NULL);
        parts[2] = (struct iovec){last.p, last.n};
    }
    parts[0] = (struct iovec){first.p, first.n};
    if (first.n + parts[1].iov_len + parts[2].iov_len > MIO_WIRE_MAX) {
        head.verb = MIO_OUT_LARGE;
        mio_child_send(call->lane, head, NULL, 0);
    } else {
        mio_child_send(call->lane, head, parts, 3);
    }
}

void mio_child_dispatch(struct mio_child *c, struct mio_child_call *call, struct mio_in *in)
{
    call->abi.idempotency_key = mio_in_z(in);
    call->abi.deadline_ms = mio_in_i64(in);
    call->abi.attempt = mio_in_u32(in);
    uint8_t one = MIO_NOT_EMITTED;
    uint32_t caps = MIO_PLUGIN_GET(c->plugin, caps);
    if (call->verb >= MIO_VERB_COUNT || !verbs[call->verb].run || (verbs[call->verb].cap & ~caps)) {
        mio_child_breach(call, "it has no such function");
    } else {
        if (verbs[call->verb].single) {
            call->status = mio_alloc(1);
            call->status[0] = one;
            call->expected = 1;
        }
        int status = verbs[call->verb].run(c, call, in);
        pthread_mutex_lock(&call->mu);
        check_complete(call, status);
        pthread_mutex_unlock(&call->mu);
    }
    send_result(call);
}
