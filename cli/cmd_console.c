/* cli/cmd_console.c: console: expressions to values, one a line. Line editing comes from a library
 * that is loaded only here and only at a terminal, so that nothing else pays for it. */
#include "cli/render_diag.h"
#include "cli/render_value.h"
#include "cli/session.h"
#include <dlfcn.h>
#include <errno.h>
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

struct console {
    struct mio_cli *c;
    struct editor ed;
    bool terminal;
    enum mio_code first; /* of the errors: a script must notice */
};

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
    if (*text)
        k->ed.add_history(text);
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

static void evaluate(struct console *k, struct mio_str text)
{
    struct mio_cli *c = k->c;
    struct mio_err err = {0};
    struct mio_value v;
    enum mio_code code = mio_engine_eval(c->engine, text, &v, &err);
    if (code) {
        k->first = k->first ? k->first : code;
        if (err.reported)
            mio_cli_report(c, code);
        else
            mio_cli_fail(c, &err);
        return;
    }
    struct mio_pen pen = mio_out_pen(&c->out);
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

enum mio_code mio_cmd_console(struct mio_cli *c)
{
    struct console k = {.c = c, .terminal = isatty(STDIN_FILENO) == 1 && c->out.tty};
    struct mio_err err = {0};
    struct mio_value ignored;
    enum mio_code code = mio_cli_open(c, MIO_OPEN_READ);
    if (code)
        return code;
    /* The first evaluation plans: what is wrong with the template is said before the first prompt.
     */
    if (mio_engine_eval(c->engine, MIO_STR("null"), &ignored, &err))
        return err.reported ? mio_cli_report(c, err.code) : mio_cli_fail(c, &err);
    mio_cli_report(c, MIO_OK);
    mio_ui_flush(&c->ui);
    if (k.terminal)
        editor_open(&k.ed);
    read_lines(&k);
    return k.terminal ? MIO_OK : k.first;
}
