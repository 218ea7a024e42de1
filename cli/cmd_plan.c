/* cli/cmd_plan.c: plan. */
#include "cli/apply.h"
#include "cli/render_plan.h"
#include "planner/run/review.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static void put_saved(struct mio_cli *c, const struct mio_review *r)
{
    struct mio_str by = r->signed_by;
    bool missing = r->good < r->required;
    if (!by.n && !mio_is_null(r->file.signature))
        by = mio_get_str(r->file.signature, "by");
    mio_ui_note(&c->ui, "Saved the plan to: %s%s%s%s%.*s\nDigest %.*s", r->path,
                r->sealed ? ", sealed with key " : "", r->sealed ? mio_engine_key(c->engine) : "",
                by.n ? ", signed by " : "", MIO_FMT(by), MIO_FMT(r->file.digest));
    if (missing)
        mio_ui_note(&c->ui, "It needs %zu approval%s: mlops-iac approve \"%s\"", r->required,
                    r->required == 1 ? "" : "s", r->path);
    if (!c->automation)
        mio_cli_advise_apply(c, r->path);
}

static void put_advice(struct mio_cli *c, const struct mio_review *saved, bool proposes)
{
    if (saved) {
        put_saved(c, saved);
    } else if (proposes && !c->automation) {
        mio_ui_note(&c->ui,
                    "Note: this plan was not saved (-out=FILE), so a later apply makes its own, "
                    "which\nmay differ.");
    }
}

/* Where the blocks of a module go: beside its own files, under the name that was given. */
static const char *generated_path(struct mio_cli *c, const char *given,
                                  const struct mio_generated_file *f)
{
    return f->dir.n ? mio_path_join(&c->arena, f->dir, mio_path_base(mio_str_z(given))).p : given;
}

/* The blocks that the plan made for imports without one; an existing file is never touched. */
static enum mio_code write_generated(struct mio_cli *c, const char *given)
{
    struct mio_err err = {0};
    struct mio_generated_file *files;
    size_t n;
    mio_engine_generated(c->engine, &files, &n);
    if (c->diags->errors)
        return mio_cli_report(c, MIO_TEMPLATE);
    if (!n)
        mio_ui_note(&c->ui, "Every import has a block: nothing was written to %s.", given);
    for (size_t i = 0; i < n; i++) {
        const char *path = generated_path(c, given, &files[i]);
        MIO_AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0)
            mio_fail_sys(&err, errno, "cannot write %s", path);
        else
            mio_fs_write_all(fd, files[i].text.p, files[i].text.n, path, &err);
        if (err.code)
            return mio_cli_fail(c, &err);
        mio_ui_note(&c->ui,
                    "Wrote the missing blocks to %s. Review them; the next plan then imports the "
                    "objects.",
                    path);
    }
    return MIO_OK;
}

/* A plan may take the place of a plan; what else is there might be a template, or a state. */
static enum mio_code check_out(struct mio_cli *c, const char *path)
{
    static const char clear[] = "{\"body_sha256\":", sealed[] = "{\"sealed\":",
                      kind[] = "\"kind\":\"plan\"";
    char text[256] = "";
    if (!*path)
        return mio_cli_usage(c, NULL, "-out needs the name of a file");
    MIO_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    struct mio_str there = {text, n > 0 ? (size_t)n : 0};
    if (n == 0 || mio_str_starts(there, clear) ||
        (mio_str_starts(there, sealed) && strstr(text, kind)))
        return MIO_OK;
    return mio_cli_usage(c, "Name a new file: what is there might be yours.",
                         "%s exists already, and is no plan", path);
}

enum mio_code mio_cmd_plan(struct mio_cli *c)
{
    const struct mio_plan *plan = NULL;
    struct mio_review saved;
    enum mio_plan_mode mode = MIO_PLAN_NORMAL;
    const char *out = mio_cli_text(c, MIO_OPT_OUT),
               *generate = mio_cli_text(c, MIO_OPT_GENERATE_CONFIG_OUT);
    enum mio_code code = mio_cli_mode(c, &mode);
    if (!code && out)
        code = check_out(c, out);
    if (!code && generate && mio_fs_exists(generate))
        code = mio_cli_usage(c, "Name a new file: what is there might be yours.",
                             "%s exists already", generate);
    if (!code)
        code = mio_cli_open(c, MIO_OPEN_PLAN);
    if (code)
        return code;
    code = mio_cli_plan(c, mode, &plan);
    if (plan && plan->whole) /* one that is refused is shown, too: it says what was refused */
        mio_ui_plan(&c->ui, plan, mio_cli_on(c, MIO_OPT_SUMMARY));
    code = mio_cli_report(c, code);
    if (code || !plan)
        return code;
    if (out)
        code = mio_cli_report(c, mio_engine_write_plan(c->engine, out, &saved));
    if (!code && generate)
        code = write_generated(c, generate);
    if (!code)
        put_advice(c, out ? &saved : NULL, mio_plan_proposes(plan));
    c->differs = mio_plan_proposes(plan);
    return code;
}
