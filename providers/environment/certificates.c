/* providers/environment/certificates.c: what update-ca-certificates makes: one file with every
 * certificate, a link for each, and links by the hash of their subjects, for OpenSSL. */
#include "providers/environment/static.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/fs.h"
#include <openssl/pem.h>
#include <openssl/x509.h>

#define FROM "usr/share/ca-certificates/"
#define TO "etc/ssl/certs/"

struct job {
    struct mio_env_view *v;
    struct mio_env_tree *made;
    int64_t mtime;
    struct mio_index taken; /* names of links by hash */
    struct mio_buf bundle, names;
    struct mio_err *err;
};

/* NAME.pem as the script names it: "A (B), C.crt" gives "A_=B=__C.pem". */
static struct mio_str pem_name(struct mio_arena *a, struct mio_str path)
{
    struct mio_str base = mio_path_base(path);
    char *z = mio_arena_z(a, mio_str_sub(base, 0, base.n - strlen(".crt")));
    for (char *c = z; *c; c++)
        *c = *c == ' ' || *c == ',' ? '_' : *c == '(' || *c == ')' ? '=' : *c;
    return mio_arena_printf(a, "%s.pem", z);
}

/* HASH.0, or the next number where two subjects share a hash. */
static void link_hash(struct job *j, struct mio_str text, struct mio_str pem)
{
    BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
    X509 *x = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    for (unsigned n = 0; x; n++) {
        struct mio_str name =
            mio_arena_printf(j->v->arena, TO "%08lx.%u", X509_subject_name_hash(x), n);
        if (!mio_index_add(&j->taken, name, 1))
            continue;
        mio_env_tree_symlink(j->made, name, pem, j->mtime);
        break;
    }
    X509_free(x);
    BIO_free(bio);
}

static enum mio_code take(struct job *j, const struct mio_env_cell *cell,
                          const struct mio_env_entry *e)
{
    struct mio_arena *a = j->v->arena;
    struct mio_str text, pem;
    if (mio_env_cell_read(a, cell, e, &text, j->err))
        return j->err->code;
    mio_buf_str(&j->bundle, text);
    if (text.n && text.p[text.n - 1] != '\n')
        mio_buf_char(&j->bundle, '\n');
    mio_buf_printf(&j->names, "%.*s\n", MIO_FMT(mio_str_sub(e->path, strlen(FROM), e->path.n)));
    pem = pem_name(a, e->path);
    mio_env_tree_symlink(j->made, mio_arena_printf(a, TO "%.*s", MIO_FMT(pem)),
                         mio_arena_printf(a, "/%.*s", MIO_FMT(e->path)), j->mtime);
    link_hash(j, text, pem);
    return MIO_OK;
}

static enum mio_code take_all(struct job *j)
{
    for (size_t c = 0; c < j->v->n; c++)
        for (size_t i = 0; i < j->v->cells[c].n; i++) {
            const struct mio_env_entry *e = &j->v->cells[c].items[i];
            if (e->type == MIO_ENTRY_FILE && mio_str_starts(e->path, FROM) &&
                mio_str_ends(e->path, ".crt") && take(j, &j->v->cells[c], e))
                return j->err->code;
        }
    return MIO_OK;
}

enum mio_code mio_env_certificates(struct mio_env_view *v, int64_t mtime, struct mio_env_tree *made,
                                   struct mio_err *err)
{
    struct job j = {.v = v, .made = made, .mtime = mtime, .err = err};
    mio_index_init(&j.taken, v->arena, 256);
    mio_buf_init(&j.bundle, 0);
    mio_buf_init(&j.names, 0);
    if (!take_all(&j) && j.bundle.n &&
        !mio_env_tree_file(made, MIO_STR("etc/ca-certificates.conf"), 0644, mtime,
                           mio_buf_view(&j.names), err))
        mio_env_tree_file(made, MIO_STR(TO "ca-certificates.crt"), 0644, mtime,
                          mio_buf_view(&j.bundle), err);
    mio_buf_free(&j.bundle);
    mio_buf_free(&j.names);
    return err->code;
}
