/* cli/cmd_state_store.c: what is done with whole states: fsck, history, at, push, rekey. diff is in
 * cmd_state_diff.c. */
#include "cli/json_out.h"
#include "cli/session.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include "state/fsck.h"

/* Each item on a line of its own, or all of them as one JSON list. */
static void put_list(struct mio_cli *c, const void *items, size_t n, size_t size,
                     void (*text)(struct mio_cli *c, const void *item),
                     void (*json)(struct mio_jout *j, const void *item))
{
    struct mio_jout j = {.b = &c->out.buf};
    bool is_json = mio_cli_on(c, MIO_OPT_JSON);
    if (is_json)
        mio_jout_open(&j, '[');
    for (size_t i = 0; i < n; i++) {
        const void *item = (const char *)items + i * size;
        if (is_json)
            json(&j, item);
        else
            text(c, item);
    }
    if (!is_json)
        return;
    mio_jout_close(&j, ']');
    mio_buf_char(j.b, '\n');
}

/* ---- fsck ---- */

static const char *const levels[] = {[MIO_FINDING_NOTE] = "note",
                                     [MIO_FINDING_WARNING] = "warning",
                                     [MIO_FINDING_DAMAGE] = "damage"};

static void put_finding(struct mio_cli *c, const void *item)
{
    const struct mio_finding *f = item;
    static const enum mio_style styles[] = {[MIO_FINDING_NOTE] = MIO_DIM,
                                            [MIO_FINDING_WARNING] = MIO_YELLOW,
                                            [MIO_FINDING_DAMAGE] = MIO_RED};
    struct mio_pen pen = mio_out_pen(&c->out);
    mio_style(&pen, styles[f->level]);
    mio_buf_z(pen.b, levels[f->level]);
    mio_style(&pen, MIO_RESET);
    mio_buf_printf(pen.b, " %.*s: ", MIO_FMT(f->what));
    mio_put_safe(pen.b, f->message);
    if (f->remedy.n) {
        mio_buf_z(pen.b, f->mended ? "\n  mended: " : f->mendable ? "\n  -repair: " : "\n  ");
        mio_put_safe(pen.b, f->remedy);
    }
    mio_buf_char(pen.b, '\n');
}

static void put_finding_json(struct mio_jout *j, const void *item)
{
    const struct mio_finding *f = item;
    mio_jout_item(j);
    mio_jout_open(j, '{');
    mio_jout_kz(j, "level", levels[f->level]);
    mio_jout_kstr(j, "what", f->what);
    mio_jout_kstr(j, "message", f->message);
    mio_jout_kstr(j, "remedy", f->remedy);
    mio_jout_kbool(j, "mendable", f->mendable);
    mio_jout_kbool(j, "mended", f->mended);
    mio_jout_close(j, '}');
}

/* What is left to do, after everything was told. */
static enum mio_code verdict(struct mio_cli *c, const struct mio_finding *f, size_t n)
{
    size_t damaged = 0, mendable = 0;
    struct mio_err err = {0};
    for (size_t i = 0; i < n; i++) {
        bool open = f[i].level == MIO_FINDING_DAMAGE && !f[i].mended;
        damaged += open;
        mendable += open && f[i].mendable;
    }
    if (damaged == 0) {
        if (!mio_cli_on(c, MIO_OPT_JSON))
            mio_buf_z(&c->out.buf, "The state is in order.\n");
        return MIO_OK;
    }
    mio_fail(&err, MIO_STATE, "%zu damaged, %zu of which -repair mends", damaged, mendable);
    if (mendable)
        mio_err_hint(&err, "mlops-iac state fsck -repair");
    return mio_cli_fail(c, &err);
}

enum mio_code mio_cmd_state_fsck(struct mio_cli *c)
{
    bool repair = mio_cli_on(c, MIO_OPT_REPAIR);
    struct mio_store *s = NULL;
    struct mio_finding *found;
    size_t n = 0;
    struct mio_err err = {0};
    enum mio_code code = mio_cli_store(c, repair ? MIO_OPEN_WRITE : MIO_OPEN_READ, &s);
    if (code)
        return code;
    if (mio_store_fsck(s, &c->arena, repair, &found, &n, &err))
        return mio_cli_fail(c, &err);
    put_list(c, found, n, sizeof *found, put_finding, put_finding_json);
    return verdict(c, found, n);
}

/* ---- history ---- */

/* Where the change comes from: plan, commit, who made and who approved it. */
static void put_lineage(struct mio_buf *b, const struct mio_history *h)
{
    enum { SHORT = 12 };
    mio_buf_printf(b, "    plan %.*s", MIO_FMT(mio_str_sub(h->plan_digest, 0, SHORT)));
    if (h->commit.n) {
        mio_buf_z(b, ", commit ");
        mio_put_safe(b, mio_str_sub(h->commit, 0, SHORT));
        mio_buf_z(b, mio_str_ends(h->commit, "-dirty") ? " with changes" : "");
    }
    if (h->signed_by.n) {
        mio_buf_z(b, ", signed by ");
        mio_put_safe(b, h->signed_by);
    }
    for (uint32_t i = 0; h->approvals.type == MIO_LIST && i < h->approvals.n; i++) {
        mio_buf_z(b, i ? ", " : ", approved by ");
        mio_put_safe(b, mio_get_str(h->approvals.items[i], "by"));
    }
    mio_buf_char(b, '\n');
}

static void put_line(struct mio_cli *c, const void *item)
{
    const struct mio_history *h = item;
    char when[24];
    struct mio_buf *b = &c->out.buf;
    mio_rfc3339(h->when, when);
    mio_buf_printf(b, "%s  serial %lu  ", when, (unsigned long)h->serial);
    mio_put_safe(b, h->operation);
    mio_buf_z(b, " by ");
    mio_put_safe(b, h->who);
    mio_buf_char(b, '@');
    mio_put_safe(b, h->host);
    mio_buf_printf(b, ": %u added, %u changed, %u destroyed", h->added, h->changed, h->destroyed);
    if (h->imported)
        mio_buf_printf(b, ", %u imported", h->imported);
    if (h->forgotten)
        mio_buf_printf(b, ", %u forgotten", h->forgotten);
    mio_buf_z(b, h->complete ? "\n" : ", not complete\n");
    put_lineage(b, h);
}

static void put_line_json(struct mio_jout *j, const void *item)
{
    const struct mio_history *h = item;
    char when[24];
    mio_rfc3339(h->when, when);
    mio_jout_item(j);
    mio_jout_open(j, '{');
    mio_jout_kz(j, "when", when);
    mio_jout_ku64(j, "serial", h->serial);
    mio_jout_kstr(j, "operation", h->operation);
    mio_jout_kstr(j, "who", h->who);
    mio_jout_kstr(j, "host", h->host);
    mio_jout_kstr(j, "commit", h->commit);
    mio_jout_kstr(j, "plan_digest", h->plan_digest);
    mio_jout_kstr(j, "template", h->tpl);
    mio_jout_kstr(j, "signed_by", h->signed_by);
    mio_jout_key(j, "approvals");
    if (h->approvals.type == MIO_LIST)
        mio_jout_value(j, h->approvals);
    else
        mio_jout_value(j, mio_list(NULL, 0));
    mio_jout_ku64(j, "added", h->added);
    mio_jout_ku64(j, "changed", h->changed);
    mio_jout_ku64(j, "destroyed", h->destroyed);
    mio_jout_ku64(j, "imported", h->imported);
    mio_jout_ku64(j, "forgotten", h->forgotten);
    mio_jout_kbool(j, "complete", h->complete);
    mio_jout_close(j, '}');
}

enum mio_code mio_cmd_state_history(struct mio_cli *c)
{
    struct mio_store *s = NULL;
    struct mio_history *lines;
    size_t n = 0, broken = 0;
    struct mio_err err = {0};
    enum mio_code code = mio_cli_store(c, MIO_OPEN_READ, &s);
    if (code)
        return code;
    if (mio_store_history(s, &c->arena, &lines, &n, &broken, &err))
        return mio_cli_fail(c, &err);
    put_list(c, lines, n, sizeof *lines, put_line, put_line_json);
    if (!broken)
        return MIO_OK;
    mio_fail(&err, MIO_STATE, "line %zu of the history does not follow from the one before it",
             broken);
    mio_err_hint(&err, "Lines were removed or altered; what comes before it can be relied on.");
    return mio_cli_fail(c, &err);
}

/* ---- whole states ---- */

enum mio_code mio_cmd_state_at(struct mio_cli *c)
{
    struct mio_store *s = NULL;
    struct mio_state state;
    uint64_t serial = 0;
    struct mio_err err = {0};
    if (!mio_str_u64(mio_str_z(c->args[0]), &serial))
        return mio_cli_usage(c, "'mlops-iac state history' lists serials.", "\"%s\" is no serial",
                             c->args[0]);
    enum mio_code code = mio_cli_store(c, MIO_OPEN_READ, &s);
    if (code)
        return code;
    if (mio_store_at(s, &c->arena, serial, &state, &err))
        return mio_cli_fail(c, &err);
    mio_state_mask(&state);
    c->out.exact = true;
    mio_state_write(&c->out.buf, &state);
    return MIO_OK;
}

enum mio_code mio_cmd_state_push(struct mio_cli *c)
{
    enum { STATE_MAX = 1 << 30 };
    struct mio_store *s = NULL;
    struct mio_str text;
    struct mio_err err = {0};
    bool from_stdin = strcmp(c->args[0], "-") == 0;
    if (from_stdin ? mio_cli_stdin(c, STATE_MAX >> 20, &text, &err)
                   : mio_fs_read(&c->arena, c->args[0], STATE_MAX, &text, NULL, &err))
        return mio_cli_fail(c, &err);
    enum mio_code code = mio_cli_store(c, MIO_OPEN_WRITE, &s);
    if (code)
        return code;
    if (mio_store_push(s, text, mio_cli_on(c, MIO_OPT_FORCE), &err))
        return mio_cli_fail(c, &err);
    mio_ui_note(&c->ui, "The state of %s has been put in place.",
                from_stdin ? "standard input" : c->args[0]);
    return MIO_OK;
}

enum mio_code mio_cmd_state_rekey(struct mio_cli *c)
{
    struct mio_store *s = NULL;
    struct mio_err err = {0};
    enum mio_code code = mio_cli_store(c, MIO_OPEN_WRITE, &s);
    if (code)
        return code;
    if (!mio_engine_key(c->engine))
        return mio_cli_usage(
            c, "Set MLOPS_IAC_STATE_KEY_FILE, or name keys in `mlops_iac.encryption`.",
            "there is no key to seal with");
    if (mio_store_rekey(s, &err))
        return mio_cli_fail(c, &err);
    if (mio_engine_seals(c->engine))
        mio_ui_note(
            &c->ui,
            "The state is sealed with key %s. Older generations keep the key that they have.",
            mio_engine_key(c->engine));
    else
        mio_ui_note(&c->ui,
                    "The state is in clear. Older generations keep the key that they have.");
    return MIO_OK;
}
