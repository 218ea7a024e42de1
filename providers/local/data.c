/* providers/local/data.c: kind data. */
#include "providers/local/asset.h"

static void validate(struct local *l, const struct local_change *ch, struct local_findings *f)
{
    local_asset_validate(l, ch, f);
    struct mio_str type = mio_get_str(ch->inputs, "type"), path = mio_get_str(ch->inputs, "path");
    if (!mio_str_ieq(type, MIO_STR("mltable")) || !path.n || !ch->base_dir.n)
        return;
    const char *abs = local_abs(l, ch, path);
    if (mio_fs_is_dir(abs) && !mio_fs_exists(mio_arena_printf(l->a, "%s/MLTable", abs).p))
        local_find_error(f, "path", "Add the file MLTable, or write `type: uri_folder`.",
                         "%s has no file MLTable", abs);
}

LOCAL_ASSET_KIND(data, validate);
