/* tests/conformance/example_plugin.c: a complete provider plugin: notes, kept as files in a folder.
 * Create class A: the name is the client's choice. */
#include <errno.h>
#include <unistd.h>

#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/plugin.h"

struct mlops_instance {
    struct mio_arena arena;
    struct mio_str folder;
};

/* One file is one note: {"key": "...", "text": "..."}. The name is its id. */
static struct mio_str path_of(struct mio_arena *a, const struct mlops_instance *p, const char *id)
{
    return mio_arena_printf(a, "%.*s/%s.note", MIO_FMT(p->folder), id);
}

static bool is_name(const char *s)
{
    return *s && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(s);
}

static enum mio_code load(struct mio_arena *a, const struct mlops_instance *p, const char *id,
                          struct mio_value *note, bool *found, struct mio_err *err)
{
    struct mio_str text;
    *found = false;
    if (!is_name(id)) /* no note has such a name */
        return MIO_OK;
    if (mio_fs_read(a, path_of(a, p, id).p, 1 << 20, &text, found, err) || !*found)
        return err->code;
    return mio_json_read(a, text, NULL, note, err);
}

/* What the engine sees of a note. The fingerprint is a digest of the text: a changed file never
 * passes for unchanged. */
static int emit(struct mio_arena *a, const struct mlops_call *c, size_t index, const char *id,
                struct mio_value note)
{
    struct mio_str text = mio_get_str(note, "text");
    uint8_t sum[MIO_SHA256_LEN];
    char hex[MIO_SHA256_HEX + 1];
    mio_sha256_of(text.p, text.n, sum);
    mio_hex(sum, sizeof sum, hex);
    struct mio_pair *pairs = MIO_NEW_N(a, struct mio_pair, 3);
    pairs[0] = (struct mio_pair){MIO_STR("name"), mio_string_z(id)};
    pairs[1] = (struct mio_pair){MIO_STR("text"), mio_string(text)};
    pairs[2] = (struct mio_pair){MIO_STR("size"), mio_number_i64(a, (int64_t)text.n)};
    return mio_plugin_emit(a, c, index, mio_str_z(id), mio_str_z(hex), mio_map(pairs, 3));
}

static struct mio_str file_text(struct mio_arena *a, struct mio_str key, struct mio_str text)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    mio_buf_z(&b, "{\"key\":");
    mio_json_string(&b, key);
    mio_buf_z(&b, ",\"text\":");
    mio_json_string(&b, text);
    mio_buf_char(&b, '}');
    return mio_arena_str(a, mio_buf_view(&b));
}

/* Written aside, then linked under its name: a name is taken whole or not at all, whenever we are
 * killed. */
static enum mio_code add(struct mio_arena *a, const struct mlops_instance *p, const char *name,
                         const char *key, struct mio_value *note, struct mio_err *err)
{
    struct mio_str text = file_text(a, mio_str_z(key), mio_get_str(*note, "text"));
    struct mio_str aside = mio_arena_printf(a, "%.*s/.%s", MIO_FMT(p->folder), key);
    if (mio_fs_replace(aside.p, text, 0600, err))
        return err->code;
    int taken = link(aside.p, path_of(a, p, name).p) < 0 ? errno : 0;
    unlink(aside.p);
    if (taken && taken != EEXIST)
        return mio_fail_sys(err, taken, "cannot write note %s", name);
    bool found = false;
    if (!taken || load(a, p, name, note, &found, err))
        return err->code;
    if (!mio_str_is(mio_get_str(*note, "key"), key)) { /* not the one this very call made before */
        mio_fail(err, MIO_REALITY, "there is a note \"%s\" already", name);
        return mio_err_hint(err, "import it, or choose another name");
    }
    return MIO_OK;
}

static int create(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_change_args *a)
{
    struct mio_arena arena;
    struct mio_err err = {0};
    struct mio_value note;
    int status = MLOPS_OK;
    mio_arena_init(&arena);
    mio_plugin_json(&arena, a->inputs, &note, &err);
    const char *name = err.code ? "" : mio_arena_z(&arena, mio_get_str(note, "name"));
    if (!err.code && !is_name(name))
        mio_fail(&err, MIO_TEMPLATE, "name: lower-case letters, digits and hyphens");
    if (!err.code)
        add(&arena, p, name, c->idempotency_key, &note, &err);
    status = err.code ? mio_plugin_fail(c, &err) : emit(&arena, c, 0, name, note);
    mio_arena_free(&arena);
    return status;
}

static int update(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_change_args *a)
{
    struct mio_arena arena;
    struct mio_err err = {0};
    struct mio_value inputs, old;
    bool found = false;
    int status = MLOPS_OK;
    mio_arena_init(&arena);
    if (!mio_plugin_json(&arena, a->inputs, &inputs, &err) &&
        !load(&arena, p, a->id, &old, &found, &err) && found)
        mio_fs_replace(path_of(&arena, p, a->id).p,
                       file_text(&arena, mio_get_str(old, "key"), mio_get_str(inputs, "text")),
                       0600, &err);
    if (err.code)
        status = mio_plugin_fail(c, &err);
    else if (found)
        status = emit(&arena, c, 0, a->id, inputs);
    else
        mio_plugin_emit_status(c, 0, MLOPS_NOT_FOUND); /* an answer, not an error */
    mio_arena_free(&arena);
    return status;
}

static int remove_note(struct mlops_instance *p, const struct mlops_call *c,
                       const struct mlops_change_args *a)
{
    struct mio_arena arena;
    struct mio_err err = {0};
    mio_arena_init(&arena);
    if (is_name(a->id) && unlink(path_of(&arena, p, a->id).p) < 0 && errno != ENOENT)
        mio_fail_sys(&err, errno, "cannot delete note %s", a->id);
    mio_arena_free(&arena);
    return err.code ? mio_plugin_fail(c, &err) : MLOPS_OK;
}

/* Exactly one answer an item. A fingerprint that still holds costs one byte on the wire. */
static int read_many(struct mlops_instance *p, const struct mlops_call *c,
                     const struct mlops_read_args *a)
{
    struct mio_arena arena;
    mio_arena_init(&arena);
    for (size_t i = 0; i < a->count; i++) {
        const struct mlops_read_item *item = mio_plugin_item(a, i);
        struct mio_err err = {0};
        struct mio_value note;
        bool found = false;
        if (load(&arena, p, item->id, &note, &found, &err))
            mio_plugin_emit_error(c, i, &err);
        else if (!found)
            mio_plugin_emit_status(c, i, MLOPS_NOT_FOUND);
        else {
            uint8_t sum[MIO_SHA256_LEN];
            char hex[MIO_SHA256_HEX + 1];
            struct mio_str text = mio_get_str(note, "text");
            mio_sha256_of(text.p, text.n, sum);
            mio_hex(sum, sizeof sum, hex);
            if (!item->full && item->fingerprint && strcmp(item->fingerprint, hex) == 0)
                mio_plugin_emit_status(c, i, MLOPS_UNCHANGED);
            else
                emit(&arena, c, i, item->id, note);
        }
    }
    mio_arena_free(&arena);
    return MLOPS_OK;
}

static void close_notes(struct mlops_instance *p)
{
    mio_arena_free(&p->arena);
    free(p);
}

static int configure(const struct mlops_call *c, const struct mlops_configure_args *a,
                     struct mlops_instance **out)
{
    struct mlops_instance *p = calloc(1, sizeof *p);
    struct mio_err err = {0};
    struct mio_value config;
    if (!p)
        return MLOPS_ERROR;
    mio_arena_init(&p->arena);
    if (mio_plugin_json(&p->arena, a->config, &config, &err) == MIO_OK) {
        p->folder = mio_path_join(&p->arena, mio_str_z(a->base_dir), mio_get_str(config, "folder"));
        mio_fs_mkdirs(p->folder.p, 0700, &err);
    }
    if (err.code) {
        close_notes(p);
        return mio_plugin_fail(c, &err);
    }
    *out = p;
    return MLOPS_OK;
}

#define FIELD .size = sizeof(struct mlops_field)
static const struct mlops_field settings[] = {
    {FIELD, .type = MLOPS_STRING, .name = "folder", .flags = MLOPS_REQUIRED,
     .doc = "Where the notes lie."},
    {0},
};
static const struct mlops_field note_fields[] = {
    {FIELD, .type = MLOPS_STRING, .name = "name", .flags = MLOPS_REQUIRED | MLOPS_CREATE_ONLY,
     .pattern = "^[a-z0-9-]+$", .doc = "Name of the note."},
    {FIELD, .type = MLOPS_STRING, .name = "text", .flags = MLOPS_OPTIONAL, .dflt = "\"\"",
     .doc = "What it says."},
    {FIELD, .type = MLOPS_INTEGER, .name = "size", .flags = MLOPS_COMPUTED | MLOPS_VOLATILE,
     .unit = "bytes", .doc = "Length of the text."},
    {0},
};
static const struct mlops_kind kinds[] = {
    {.size = sizeof(struct mlops_kind),
     .name = "note",
     .doc = "A text in a file.",
     .create_class = MLOPS_CREATE_A,
     .fields = note_fields,
     .schema_version = 1},
    {0},
};
static const struct mlops_provider provider = {
    .size = sizeof provider,
    .abi_minor = MLOPS_ABI_MINOR,
    .name = "notes",
    .version = "1.0.0",
    .doc = "Notes in a folder.",
    .config = settings,
    .kinds = kinds,
    .configure = configure,
    .read_many = read_many,
    .create = create,
    .update = update,
    .remove = remove_note,
    .close = close_notes,
};

const struct mlops_provider *mlops_provider_v1(const struct mlops_host *host)
{
    return host->abi_minor >= provider.abi_minor ? &provider : NULL;
}
