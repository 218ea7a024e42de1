/* tests/conformance/main.c: mlops-iac-conformance, the kit as a program for authors of plugins. */
#include <limits.h>
#include <unistd.h>

#include "providers/sdk/arena.h"
#include "tests/conformance/kit.h"

static void print(void *arg, bool held, const char *check, const char *seen)
{
    unsigned *n = arg;
    printf("%s %u - %s\n", held ? "ok" : "not ok", ++*n, check);
    if (!held)
        printf("# %s\n", seen);
}

static int usage(void)
{
    fprintf(stderr,
            "usage: mlops-iac-conformance PLUGIN.so KIND INPUTS [CHANGED [CONFIG [KILLS]]]\n"
            "  INPUTS   JSON object to create one with; %%d in it becomes a number\n"
            "  CHANGED  the same for an update; - when the kind has none\n"
            "  CONFIG   the provider's settings, JSON\n");
    return 2;
}

int main(int argc, char **argv)
{
    char plugin[PATH_MAX], self[PATH_MAX], cwd[PATH_MAX];
    if (argc < 4 || argc > 7 || !realpath(argv[1], plugin) || !getcwd(cwd, sizeof cwd))
        return usage();
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return usage();
    self[n] = 0;
    struct mio_arena a;
    mio_arena_init(&a);
    unsigned number = 0;
    uint64_t kills = 0;
    if (argc > 6)
        mio_str_u64(mio_str_z(argv[6]), &kills);
    char *slash = strrchr(self, '/');
    *slash = 0;
    struct kit_opts o = {
        .plugin_path = plugin,
        .host_program =
            mio_arena_printf(&a, "%s/../libexec/mlops-iac/mlops-iac-provider-host", self).p,
        .base_dir = cwd,
        .kind = argv[2],
        .inputs = argv[3],
        .changed = argc > 4 && strcmp(argv[4], "-") != 0 ? argv[4] : NULL,
        .config = argc > 5 ? argv[5] : "{}",
        .kills = (unsigned)kills,
        .report = print,
        .arg = &number,
    };
    struct kit_result result;
    struct mio_err err = {0};
    if (kit_run(&o, &result, &err))
        printf("Bail out! %s %s\n", err.message, err.hint);
    else
        printf("1..%u\n", number);
    mio_arena_free(&a);
    return err.code || result.broken ? 1 : 0;
}
