/* cli/prompt.c: the one question that the program asks, and what else it is told on standard input.
 */
#include "cli/session.h"
#include <errno.h>
#include <unistd.h>

/* One line from the terminal; false at its end or when a signal comes. */
static bool read_line(struct mio_cli *c, char *line, size_t room)
{
    size_t n = 0;
    for (;;) {
        char byte;
        ssize_t got = read(STDIN_FILENO, &byte, 1);
        if (got < 0 && errno == EINTR && !__atomic_load_n(c->interrupt, __ATOMIC_RELAXED))
            continue;
        if (got <= 0)
            return false;
        if (byte == '\n')
            break;
        if (n + 1 < room)
            line[n++] = byte;
    }
    line[n] = '\0';
    return true;
}

enum mio_code mio_cli_confirm(struct mio_cli *c, const char *question, const char *text,
                              const char *instead)
{
    char answer[16];
    bool terminal = c->out.tty && isatty(STDIN_FILENO) == 1;
    if (!terminal || !mio_cli_on(c, MIO_OPT_INPUT)) {
        struct mio_err err = {0};
        mio_fail(&err, MIO_USAGE, "approval is needed, and %s",
                 terminal ? "-input=false forbids to ask" : "there is no terminal to ask at");
        mio_err_hint(&err, "Give %s to go on without being asked.", instead);
        return mio_cli_fail(c, &err);
    }
    struct mio_pen pen = mio_out_pen(&c->out);
    mio_style(&pen, MIO_BOLD);
    mio_buf_printf(pen.b, "%s\n", question);
    mio_style(&pen, MIO_RESET);
    mio_buf_printf(pen.b, "  %s\n  Only 'yes' will be accepted to approve.\n\n", text);
    mio_style(&pen, MIO_BOLD);
    mio_buf_z(pen.b, "  Enter a value: ");
    mio_style(&pen, MIO_RESET);
    mio_out_flush(&c->out);
    bool read = read_line(c, answer, sizeof answer);
    mio_ui_note(&c->ui, "%s", read ? "" : "\n");
    if (read && mio_str_is(mio_str_trim(mio_str_z(answer)), "yes"))
        return MIO_OK;
    mio_ui_note(&c->ui, "Cancelled. Nothing was changed.");
    return MIO_CANCELLED;
}

enum mio_code mio_cli_stdin(struct mio_cli *c, size_t most_mib, struct mio_str *out,
                            struct mio_err *err)
{
    MIO_AUTO_BUF text;
    mio_buf_init(&text, (most_mib << 20) + 1);
    char chunk[16384];
    ssize_t n;
    while ((n = read(STDIN_FILENO, chunk, sizeof chunk)) > 0 ||
           (n < 0 && errno == EINTR && !__atomic_load_n(c->interrupt, __ATOMIC_RELAXED)))
        mio_buf_add(&text, chunk, n > 0 ? (size_t)n : 0);
    if (n < 0)
        return mio_fail_sys(err, errno, "cannot read standard input");
    if (mio_buf_full(&text))
        return mio_fail(err, MIO_IO, "standard input is larger than %zu MiB", most_mib);
    *out = mio_arena_str(&c->arena, mio_buf_view(&text));
    return MIO_OK;
}
