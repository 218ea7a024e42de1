/* providers/environment/tar.c: the canonical tar writer. */
#include "providers/environment/tar.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/buf.h"

enum { BLOCK = 512, CHUNK = 1 << 16, NAME = 100 };

struct header { /* POSIX.1-1988 */
    char name[NAME], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[NAME],
        magic[8], owner[32], group[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a tar header is one block");

static void put_octal(char *to, size_t room, uint64_t v)
{
    for (size_t i = room - 1; i-- > 0; v >>= 3)
        to[i] = (char)('0' + (v & 7));
    to[room - 1] = 0;
}

static void put_text(char *to, size_t room, struct mio_str s)
{
    if (s.n)
        memcpy(to, s.p, s.n < room ? s.n : room);
}

static void finish(struct header *h)
{
    memcpy(h->magic, "ustar\00000", 8);
    memset(h->sum, ' ', sizeof h->sum);
    unsigned sum = 0;
    for (size_t i = 0; i < BLOCK; i++)
        sum += ((const unsigned char *)h)[i];
    put_octal(h->sum, 7, sum);
}

static enum mio_code put_padding(struct mio_env_sink *out, uint64_t size, struct mio_err *err)
{
    static const char zeros[BLOCK];
    size_t n = (size_t)(BLOCK - size % BLOCK) % BLOCK;
    return n ? mio_env_sink_write(out, zeros, n, err) : MIO_OK;
}

/* "LENGTH key=value\n", where LENGTH counts itself. */
static void pax_record(struct mio_buf *b, const char *key, struct mio_str value)
{
    size_t rest = strlen(key) + value.n + 3, digits = 1;
    for (size_t limit = 10; rest + digits >= limit; limit *= 10)
        digits++;
    mio_buf_printf(b, "%zu %s=", rest + digits, key);
    mio_buf_str(b, value);
    mio_buf_char(b, '\n');
}

static enum mio_code put_pax(const struct mio_env_entry *e, struct mio_str name, uint64_t size,
                             struct mio_env_sink *out, uint64_t *at, struct mio_err *err)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    char number[24];
    if (e->link.n > NAME)
        pax_record(&b, "linkpath", e->link);
    if (name.n > NAME)
        pax_record(&b, "path", name);
    snprintf(number, sizeof number, "%llu", (unsigned long long)size);
    if (size >= (1ull << 33))
        pax_record(&b, "size", mio_str_z(number));
    if (!b.n)
        return MIO_OK;
    struct header h = {.type = 'x', .name = "pax"};
    put_octal(h.mode, sizeof h.mode, 0644);
    put_octal(h.uid, sizeof h.uid, 0);
    put_octal(h.gid, sizeof h.gid, 0);
    put_octal(h.size, sizeof h.size, b.n);
    put_octal(h.mtime, sizeof h.mtime, 0);
    finish(&h);
    *at += BLOCK + b.n + (BLOCK - b.n % BLOCK) % BLOCK;
    if (mio_env_sink_write(out, &h, BLOCK, err) || mio_env_sink_write(out, b.p, b.n, err))
        return err->code;
    return put_padding(out, b.n, err);
}

static enum mio_code put_content(const struct mio_env_tree *t, const struct mio_env_entry *e,
                                 struct mio_env_sink *out, struct mio_err *err)
{
    MIO_AUTO_FREE char *chunk = NULL;
    for (uint64_t done = 0; done < e->size;) {
        size_t want = e->size - done < CHUNK ? (size_t)(e->size - done) : CHUNK;
        const char *p = mio_env_spool_peek(&t->spool, e->offset + done, &want);
        if (!p) {
            p = chunk = chunk ? chunk : mio_alloc(CHUNK);
            if (mio_env_spool_read(&t->spool, e->offset + done, chunk, want, err))
                return err->code;
        }
        if (mio_env_sink_write(out, p, want, err))
            return err->code;
        done += want;
    }
    return put_padding(out, e->size, err);
}

static enum mio_code put_entry(struct mio_env_tree *t, struct mio_env_entry *e,
                               struct mio_env_sink *out, uint64_t *at, struct mio_err *err)
{
    static const char types[] = {[MIO_ENTRY_FILE] = '0',
                                 [MIO_ENTRY_DIR] = '5',
                                 [MIO_ENTRY_SYMLINK] = '2',
                                 [MIO_ENTRY_HARDLINK] = '1'};
    struct mio_str name =
        e->type == MIO_ENTRY_DIR ? mio_arena_printf(t->arena, "%.*s/", MIO_FMT(e->path)) : e->path;
    uint64_t size = e->type == MIO_ENTRY_FILE ? e->size : 0;
    if (put_pax(e, name, size, out, at, err))
        return err->code;
    struct header h = {.type = types[e->type]};
    put_text(h.name, NAME, name);
    put_text(h.link, NAME, e->link);
    put_octal(h.mode, sizeof h.mode, e->mode);
    put_octal(h.uid, sizeof h.uid, e->uid);
    put_octal(h.gid, sizeof h.gid, e->gid);
    put_octal(h.size, sizeof h.size, size < (1ull << 33) ? size : 0);
    put_octal(h.mtime, sizeof h.mtime, (uint64_t)e->mtime);
    put_octal(h.major, sizeof h.major, 0);
    put_octal(h.minor, sizeof h.minor, 0);
    finish(&h);
    if (mio_env_sink_write(out, &h, BLOCK, err))
        return err->code;
    *at += BLOCK;
    if (e->type == MIO_ENTRY_FILE && put_content(t, e, out, err))
        return err->code;
    e->offset = *at;
    *at += size + (BLOCK - size % BLOCK) % BLOCK;
    return MIO_OK;
}

enum mio_code mio_env_tar_write(struct mio_env_tree *t, struct mio_env_sink *out,
                                struct mio_err *err)
{
    uint64_t at = 0;
    for (size_t i = 0; i < t->n; i++)
        if (put_entry(t, &t->items[i], out, &at, err))
            return err->code;
    return mio_env_sink_frame(out, err);
}

enum mio_code mio_env_tar_end(struct mio_env_sink *out, struct mio_err *err)
{
    static const char zeros[2 * BLOCK];
    return mio_env_sink_write(out, zeros, sizeof zeros, err) ? err->code
                                                             : mio_env_sink_frame(out, err);
}
