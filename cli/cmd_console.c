/* cli/cmd_console.c: console: expressions to values, one a line. Line editing comes from a library
 * that is loaded only here and only at a terminal, so that nothing else pays for it; what was typed
 * there is kept in a file of the user's. */
#include "cli/render_diag.h"
#include "cli/render_value.h"
#include "cli/session.h"
#include "planner/expr/convert.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* GNU readline, or libedit, which has the same two functions. */
struct editor {
    void *library;
    char *(*readline)(const char *prompt);
    void (*add_history)(const char *line);
};

static void editor_open(struct editor *ed)
{
    static const char *const names[] = {"libreadline.so.8", "libedit.so.2", "libreadline.so.7"};
    *ed = (struct editor){0};
    for (size_t i = 0; !ed->library && i < sizeof names / sizeof *names; i++)
        ed->library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!ed->library)
        return;
    /* POSIX promises that the pointer of dlsym fits a function; C alone does not. */
    *(void **)&ed->readline = dlsym(ed->library, "readline");
    *(void **)&ed->add_history = dlsym(ed->library, "add_history");
    if (ed->readline && ed->add_history)
        return;
    dlclose(ed->library);
    *ed = (struct editor){0};
}

enum { HISTORY_LINES = 1000, HISTORY_BYTES = 1 << 20 };

struct console {
    struct mio_cli *c;
    struct editor ed;
    const char *history; /* the file, or NULL */
    const char *dir;     /* without a template: where file functions look; else NULL */
    bool terminal;
    enum mio_code first; /* of the errors: a script must notice */
};

/* ---- history ---- */

/* What earlier sessions left; of a long file, the end alone stays. A history that cannot be kept is
 * no reason to keep somebody from working. */
static void history_open(struct console *k)
{
    struct mio_arena *a = &k->c->arena;
    struct mio_err ignored = {0};
    struct mio_str text, *lines = NULL;
    size_t n = 0, cap = 0;
    bool found = false;
    k->history = k->ed.add_history ? mio_cli_home(a, "console_history") : NULL;
    if (!k->history ||
        mio_fs_mkdirs(mio_arena_z(a, mio_path_dir(mio_str_z(k->history))), 0700, &ignored) ||
        mio_fs_read(a, k->history, HISTORY_BYTES, &text, &found, &ignored) || !found)
        return;
    while (text.n) {
        ptrdiff_t nl = mio_str_find(text, '\n');
        size_t end = nl < 0 ? text.n : (size_t)nl;
        if (end)
            MIO_PUSH(a, lines, n, cap) = mio_str_sub(text, 0, end);
        text = mio_str_sub(text, end + 1, text.n);
    }
    size_t from = n > HISTORY_LINES ? n - HISTORY_LINES : 0;
    MIO_AUTO_BUF kept = {0};
    for (size_t i = from; i < n; i++) {
        k->ed.add_history(mio_arena_z(a, lines[i]));
        mio_buf_str(&kept, lines[i]);
        mio_buf_char(&kept, '\n');
    }
    if (from)
        mio_fs_replace(k->history, mio_buf_view(&kept), 0600, &ignored);
}

/* A line that begins with a blank is not kept, as in shells. */
static void history_add(struct console *k, const char *line)
{
    if (!*line || *line == ' ')
        return;
    k->ed.add_history(line);
    if (!k->history)
        return;
    MIO_AUTO_BUF text = {0};
    struct mio_err ignored = {0};
    mio_buf_printf(&text, "%s\n", line);
    MIO_AUTO_CLOSE int fd =
        open(k->history, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0)
        mio_fs_write_all(fd, text.p, text.n, k->history, &ignored);
}

/* ---- lines ---- */

/* One line without its end; false at the end of the input. */
static bool plain_line(struct console *k, const char *prompt, struct mio_buf *line)
{
    if (k->terminal) {
        mio_buf_z(&k->c->out.buf, prompt);
        mio_out_flush(&k->c->out);
    }
    for (;;) {
        char byte;
        ssize_t got = read(STDIN_FILENO, &byte, 1);
        if (got < 0 && errno == EINTR && !__atomic_load_n(k->c->interrupt, __ATOMIC_RELAXED))
            continue;
        if (got <= 0)
            return line->n > 0;
        if (byte == '\n')
            return true;
        mio_buf_char(line, byte);
    }
}

static bool next_line(struct console *k, bool more, struct mio_buf *line)
{
    const char *prompt = more ? ". " : "> ";
    if (!k->ed.readline)
        return plain_line(k, prompt, line);
    char *text = k->ed.readline(prompt);
    if (!text)
        return false;
    mio_buf_z(line, text);
    history_add(k, text);
    free(text);
    return true;
}

/* Brackets that are still open outside of strings: the expression goes on. */
static bool is_open(struct mio_str s)
{
    int depth = 0;
    bool string = false;
    for (size_t i = 0; i < s.n; i++) {
        if (string && s.p[i] == '\\')
            i++;
        else if (s.p[i] == '"')
            string = !string;
        else if (!string && strchr("([{", s.p[i]))
            depth++;
        else if (!string && strchr(")]}", s.p[i]))
            depth--;
    }
    return depth > 0;
}

/* Without a template there is nothing to refer to, but all the rest. */
static enum mio_code evaluate_alone(struct console *k, struct mio_str text, struct mio_value *out,
                                    struct mio_err *err)
{
    struct mio_arena *a = &k->c->arena;
    struct mio_diags diags;
    struct mio_scope scope = {.arena = a, .dir = k->dir, .now = mio_wall_s()};
    struct mio_sources *s = MIO_NEW(a, struct mio_sources);
    s->items = MIO_NEW(a, struct mio_source);
    s->items[0] = (struct mio_source){.path = MIO_STR("console"), .text = mio_arena_str(a, text)};
    s->n = s->cap = 1;
    k->c->sources = s;
    mio_diags_init(&diags, a);
    const struct mio_expr *e =
        mio_expr_parse(a, s->items[0].text, (struct mio_pos){1, 1, 1, (uint32_t)text.n}, &diags);
    if (!e)
        *err = diags.items[0].err;
    return e ? mio_expr_eval(e, &scope, out, err) : err->code;
}

/* type(EXPRESSION), here alone: what kind of value it is. The word becomes blanks, so that errors
 * point at the right column. */
static bool asks_type(struct console *k, struct mio_str *text)
{
    static const char word[] = "type(";
    if (!mio_str_starts(*text, word) || !mio_str_ends(*text, ")"))
        return false;
    char *inside = mio_arena_z(&k->c->arena, *text);
    memset(inside, ' ', sizeof word - 2);
    text->p = inside;
    return true;
}

static void put_type(struct mio_cli *c, struct mio_value v)
{
    struct mio_str name = mio_typespec_name(&c->arena, mio_type_of(&c->arena, v));
    mio_buf_str(&c->out.buf, name);
}

static void evaluate(struct console *k, struct mio_str text)
{
    struct mio_cli *c = k->c;
    struct mio_err err = {0};
    struct mio_value v;
    bool type = asks_type(k, &text);
    enum mio_code code =
        k->dir ? evaluate_alone(k, text, &v, &err) : mio_engine_eval(c->engine, text, &v, &err);
    if (code) {
        k->first = k->first ? k->first : code;
        if (err.reported)
            mio_cli_report(c, code);
        else
            mio_cli_fail(c, &err);
        return;
    }
    struct mio_pen pen = mio_out_pen(&c->out);
    if (type)
        put_type(c, v);
    else
        mio_put_value(&pen, v, 0, "");
    mio_buf_char(&c->out.buf, '\n');
    mio_ui_flush(&c->ui);
}

static void read_lines(struct console *k)
{
    MIO_AUTO_BUF text;
    mio_buf_init(&text, 4 << 20);
    for (;;) {
        MIO_AUTO_BUF line;
        mio_buf_init(&line, 1 << 20);
        if (!next_line(k, text.n > 0, &line) || __atomic_load_n(k->c->interrupt, __ATOMIC_RELAXED))
            break;
        if (text.n)
            mio_buf_char(&text, '\n');
        mio_buf_str(&text, mio_buf_view(&line));
        struct mio_str all = mio_str_trim(mio_buf_view(&text));
        if (mio_str_is(all, "exit") || mio_str_is(all, "quit"))
            return;
        if (is_open(all) && line.n) /* an empty line ends it in any case */
            continue;
        if (all.n)
            evaluate(k, all);
        mio_buf_reset(&text);
    }
    struct mio_str rest = mio_str_trim(mio_buf_view(&text));
    if (rest.n)
        evaluate(k, rest);
    if (k->terminal)
        mio_buf_char(&k->c->out.buf, '\n');
}

/* The working directory when there is no template and none was named; else NULL. */
static const char *without_template(struct mio_cli *c)
{
    struct mio_err err = {0};
    const char *dir;
    char cwd[4096];
    if (mio_cli_text(c, MIO_OPT_DIR) || mio_cli_dir(c, &dir, &err) == MIO_OK)
        return NULL;
    return getcwd(cwd, sizeof cwd) ? mio_arena_z(&c->arena, mio_str_z(cwd)) : "/";
}

/* The first evaluation plans: what is wrong with the template is said before the first prompt. */
static enum mio_code open_template(struct mio_cli *c)
{
    struct mio_err err = {0};
    struct mio_value ignored;
    enum mio_code code = mio_cli_open(c, MIO_OPEN_READ);
    if (code)
        return code;
    if (mio_engine_eval(c->engine, MIO_STR("null"), &ignored, &err))
        return err.reported ? mio_cli_report(c, err.code) : mio_cli_fail(c, &err);
    return mio_cli_report(c, MIO_OK);
}

enum mio_code mio_cmd_console(struct mio_cli *c)
{
    struct console k = {.c = c, .terminal = isatty(STDIN_FILENO) == 1 && c->out.tty};
    k.dir = without_template(c);
    enum mio_code code = k.dir ? MIO_OK : open_template(c);
    if (code)
        return code;
    mio_ui_flush(&c->ui);
    if (k.terminal) {
        editor_open(&k.ed);
        history_open(&k);
    }
    read_lines(&k);
    return k.terminal ? MIO_OK : k.first;
}
