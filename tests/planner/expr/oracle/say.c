/* tests/planner/expr/oracle/say.c: expressions on standard input, one a line; "EXPRESSION TAB
 * ANSWER" out. */
#include "../answer.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    char dir[64];
    char *line = NULL;
    size_t room = 0;
    answer_folder_make(dir);
    for (ssize_t n; (n = getline(&line, &room, stdin)) > 0;) {
        struct mio_arena a;
        mio_arena_init(&a);
        struct mio_str text = mio_str_trim((struct mio_str){line, (size_t)n});
        struct mio_str result = answer(&a, dir, text);
        printf("%.*s\t%.*s\n", MIO_FMT(text), MIO_FMT(result));
        mio_arena_free(&a);
    }
    free(line);
    answer_folder_remove(dir);
    return 0;
}
