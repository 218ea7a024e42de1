/* tests/planner/expr/oracle/say.c: expressions on standard input, one a line; "EXPRESSION TAB
 * ANSWER" out. With a file of variables as argument, answers of the form for what flows; lines
 * "TYPE TAB JSON" are then conversions. */
#include "../answer.h"
#include "providers/sdk/fs.h"
#include <stdio.h>
#include <stdlib.h>

static struct mio_str say(struct mio_arena *a, const char *dir, struct mio_str rows,
                          struct mio_str text)
{
    ptrdiff_t tab = mio_str_find(text, '\t');
    if (!rows.n)
        return answer(a, dir, text);
    if (tab >= 0)
        return answer_type(a, mio_str_sub(text, 0, (size_t)tab),
                           mio_str_sub(text, (size_t)tab + 1, text.n));
    return answer_flow(a, dir, answer_names(a, rows), text);
}

int main(int argc, char **argv)
{
    char dir[64];
    char *line = NULL;
    size_t room = 0;
    struct mio_arena all;
    struct mio_str rows = {0};
    struct mio_err err = {0};
    mio_arena_init(&all);
    if (argc > 1 && mio_fs_read(&all, argv[1], 1 << 20, &rows, NULL, &err))
        return 1;
    answer_folder_make(dir);
    for (ssize_t n; (n = getline(&line, &room, stdin)) > 0;) {
        struct mio_arena a;
        mio_arena_init(&a);
        struct mio_str text = mio_str_trim((struct mio_str){line, (size_t)n});
        struct mio_str result = say(&a, dir, rows, text);
        printf("%.*s\t%.*s\n", MIO_FMT(text), MIO_FMT(result));
        mio_arena_free(&a);
    }
    free(line);
    answer_folder_remove(dir);
    mio_arena_free(&all);
    return 0;
}
