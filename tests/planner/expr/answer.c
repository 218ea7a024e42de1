/* tests/planner/expr/answer.c: see answer.h. */
#include "answer.h"
#include "planner/expr/func.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/fs.h"
#include <fcntl.h>
#include <unistd.h>

static const struct {
    const char *name, *text;
} FILES[] = {
    {"a.txt", "hello\n"},
    {"t.tpl", "x is ${x}\n"},
    {"list.tpl", "%{ for i in items ~}\n- ${i}\n%{ endfor ~}\n"},
    {"sub/b.txt", "caf\xc3\xa9"},
    {"sub/deep/c.json", "{\"a\":[1,2]}"},
    {"bin.dat", "\xff\xfe"},
};

void answer_folder_make(char *dir)
{
    struct mio_err err = {0};
    snprintf(dir, 64, "/tmp/mio-expr-XXXXXX");
    if (!mkdtemp(dir))
        abort();
    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        char path[160];
        snprintf(path, sizeof path, "%s/sub/deep", dir);
        if (mio_fs_mkdirs(path, 0700, &err))
            abort();
        snprintf(path, sizeof path, "%s/%s", dir, FILES[i].name);
        if (mio_fs_replace(path, mio_str_z(FILES[i].text), 0600, &err))
            abort();
    }
}

void answer_folder_remove(const char *dir)
{
    struct mio_err err = {0};
    mio_fs_remove_tree(dir, &err);
}

struct mio_str answer(struct mio_arena *a, const char *dir, struct mio_str text)
{
    struct mio_diags diags;
    struct mio_err err = {0};
    struct mio_value v;
    mio_diags_init(&diags, a);
    struct mio_scope scope = {.arena = a, .dir = dir, .now = 1700000000};
    const struct mio_expr *e = mio_expr_parse(a, text, (struct mio_pos){1, 1, 1, 1}, &diags);
    if (!e) /* an unknown function or a wrong number of arguments is no matter of syntax */
        return strstr(diags.items[0].err.message, "argument") ? MIO_STR("!") : MIO_STR("?");
    if (mio_expr_eval(e, &scope, &v, &err))
        return MIO_STR("!");
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    mio_put_json(a, &b, v);
    return mio_arena_str(a, mio_buf_view(&b));
}
