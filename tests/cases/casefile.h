/* tests/cases/casefile.h: text cases: input, expected output, in files that people can read and
 * write.
 *
 * A *.case file holds cases; each begins with `=== title` and has sections:
 *   --- file NAME      a file in the case's own folder (folders are made)
 *   --- expect         what the runner must print, to the byte; the case's folder is printed as DIR
 *   --- WORD ARG       anything else, for the runner to ask for
 * A section's text runs up to the next line that begins with `=== ` or `--- `. `\` at the end of a
 * section's head (`--- file x \`) drops its last newline. MIO_CASES_UPDATE=1 writes what was
 * printed back into the file, for a person to read before it is committed. */
#pragma once
#include "providers/sdk/arena.h"
#include "providers/sdk/buf.h"

struct mio_section {
    struct mio_str word, arg, text;
};
struct mio_case {
    struct mio_arena *arena;
    struct mio_str title;
    struct mio_str
        folder; /* absolute; made fresh, holds the `file` sections, removed after the case */
    struct mio_section *sections;
    size_t n, cap;
};
/* The first section of that word, or NULL. */
const struct mio_section *mio_case_section(const struct mio_case *c, const char *word);
/* Its text or, when that is empty, its argument; "" when there is no such section. */
struct mio_str mio_case_text(const struct mio_case *c, const char *word);

/* Runs every case of every *.case file below $MIO_SOURCE/tests/cases/FOLDER. `run` appends to out
 * what the case prints. Returns the number of cases that failed (0: all good), for main. */
int mio_cases_run(const char *folder, void (*run)(struct mio_case *c, struct mio_buf *out));
