/* cli/cmd_graph.c: graph: DOT, JSON, or SVG that Graphviz draws. */
#include "cli/session.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/proc.h"
#include <unistd.h>

enum { DRAW_MS = 120000, SVG_MAX = 256 << 20 };

static enum mio_code draw(struct mio_cli *c, struct mio_str dot)
{
    struct mio_err err = {0};
    struct mio_str program = mio_proc_find(&c->arena, "dot");
    int status = 0;
    if (!program.n) {
        mio_fail(&err, MIO_IO, "the program \"dot\" is missing");
        mio_err_hint(&err, "Install Graphviz (the package graphviz), or use -format=dot.");
        return mio_cli_fail(c, &err);
    }
    int fd = mio_cli_text_file(dot, &err);
    if (fd < 0)
        return mio_cli_fail(c, &err);
    const char *argv[] = {program.p, "-Tsvg", NULL};
    struct mio_proc_opts o = {.argv = argv, .in = fd};
    MIO_AUTO_BUF svg;
    mio_buf_init(&svg, SVG_MAX);
    mio_proc_run(&o, mio_now_ms() + DRAW_MS, &svg, &status, &err);
    close(fd);
    if (!err.code && status) {
        mio_fail(&err, MIO_IO, "dot could not draw the graph");
        mio_err_cause(&err, "%.*s", MIO_FMT(mio_str_sub(mio_buf_view(&svg), 0, 200)));
    }
    if (err.code)
        return mio_cli_fail(c, &err);
    mio_buf_str(&c->out.buf, mio_buf_view(&svg));
    return MIO_OK;
}

enum mio_code mio_cmd_graph(struct mio_cli *c)
{
    struct mio_str format = mio_str_z(mio_cli_text(c, MIO_OPT_FORMAT));
    const struct mio_optval *v = c->opt.v;
    const struct mio_plan_opts scope = {
        .targets = v[MIO_OPT_TARGET].list,
        .ntargets = v[MIO_OPT_TARGET].n,
        .excludes = v[MIO_OPT_EXCLUDE].list,
        .nexcludes = v[MIO_OPT_EXCLUDE].n,
    };
    MIO_AUTO_BUF dot = {0};
    enum mio_code code = mio_cli_open(c, MIO_OPEN_READ);
    if (code)
        return code;
    if (mio_str_is(format, "json"))
        return mio_cli_report(c, mio_engine_graph_json(c->engine, &scope, &c->out.buf));
    if (!mio_str_is(format, "svg"))
        return mio_cli_report(c, mio_engine_graph(c->engine, &scope, &c->out.buf));
    code = mio_cli_report(c, mio_engine_graph(c->engine, &scope, &dot));
    return code ? code : draw(c, mio_buf_view(&dot));
}
