/* providers/environment/sources.c: mirrors, by template or by apt's configuration. */
#include "providers/environment/sources.h"
#include "providers/sdk/fs.h"

#define DEBIAN_KEYRING "/usr/share/keyrings/debian-archive-keyring.gpg"
#define APT_ETC "/etc/apt"

bool mio_env_line(struct mio_str *text, struct mio_str *line)
{
    if (!text->n)
        return false;
    ptrdiff_t nl = mio_str_find(*text, '\n');
    size_t n = nl < 0 ? text->n : (size_t)nl;
    *line = (struct mio_str){text->p, n};
    *text = mio_str_sub(*text, nl < 0 ? n : n + 1, text->n);
    return true;
}

bool mio_env_word(struct mio_str *text, struct mio_str *word)
{
    struct mio_str t = mio_str_trim(*text);
    size_t n = 0;
    while (n < t.n && !strchr(" \t\n\r", t.p[n]))
        n++;
    *word = mio_str_sub(t, 0, n);
    *text = mio_str_sub(t, n, t.n);
    return n > 0;
}

struct mio_str mio_env_field(struct mio_str stanza, const char *name)
{
    size_t len = strlen(name);
    struct mio_str line, rest = stanza;
    while (mio_env_line(&rest, &line)) {
        if (line.n <= len || line.p[len] != ':' ||
            !mio_str_ieq(mio_str_sub(line, 0, len), mio_str_z(name)))
            continue;
        const char *from = line.p + len + 1, *end = line.p + line.n;
        while (rest.n && (rest.p[0] == ' ' || rest.p[0] == '\t') && mio_env_line(&rest, &line))
            end = line.p + line.n;
        return mio_str_trim((struct mio_str){from, (size_t)(end - from)});
    }
    return (struct mio_str){0};
}

struct list {
    struct mio_arena *a;
    const struct mio_env_spec *spec;
    struct mio_env_source *items;
    size_t n, cap;
};

/* The suite itself, its point updates, its security updates. */
static bool wanted(const struct list *l, struct mio_str suite)
{
    struct mio_str s = l->spec->suite, rest = mio_str_sub(suite, s.n, suite.n);
    return mio_str_eq(mio_str_sub(suite, 0, s.n), s) &&
           (!rest.n || mio_str_is(rest, "-updates") || mio_str_is(rest, "-security"));
}

static void add(struct list *l, struct mio_str uri, struct mio_str suite, struct mio_str components,
                struct mio_str keyring)
{
    while (uri.n && uri.p[uri.n - 1] == '/')
        uri.n--;
    if (!keyring.n || keyring.p[0] != '/')
        keyring = MIO_STR(DEBIAN_KEYRING);
    for (size_t i = 0; i < l->n; i++)
        if (mio_str_eq(l->items[i].uri, uri) && mio_str_eq(l->items[i].suite, suite))
            return;
    MIO_PUSH(l->a, l->items, l->n, l->cap) =
        (struct mio_env_source){uri, suite, components, keyring};
}

/* One-line format: deb [options] URI suite component... */
static void read_list(struct list *l, struct mio_str text)
{
    struct mio_str line, word, uri, suite, keyring = {0};
    while (mio_env_line(&text, &line)) {
        if (!mio_env_word(&line, &word) || !mio_str_is(word, "deb"))
            continue;
        line = mio_str_trim(line);
        if (line.n && line.p[0] == '[') {
            ptrdiff_t end = mio_str_find(line, ']');
            struct mio_str options = mio_str_sub(line, 1, end < 0 ? line.n : (size_t)end - 1);
            line = mio_str_sub(line, end < 0 ? line.n : (size_t)end + 1, line.n);
            while (mio_env_word(&options, &word))
                if (mio_str_starts(word, "signed-by="))
                    keyring = mio_str_sub(word, 10, word.n);
        }
        if (mio_env_word(&line, &uri) && mio_env_word(&line, &suite) && wanted(l, suite))
            add(l, uri, suite, mio_str_trim(line), keyring);
    }
}

static bool has_word(struct mio_str text, const char *z)
{
    struct mio_str word;
    while (mio_env_word(&text, &word))
        if (mio_str_is(word, z))
            return true;
    return false;
}

static void read_stanza(struct list *l, struct mio_str stanza)
{
    struct mio_str uris = mio_env_field(stanza, "URIs"), uri, suite;
    struct mio_str enabled = mio_env_field(stanza, "Enabled");
    if (!has_word(mio_env_field(stanza, "Types"), "deb") || mio_str_is(enabled, "no"))
        return;
    while (mio_env_word(&uris, &uri)) {
        struct mio_str suites = mio_env_field(stanza, "Suites");
        while (mio_env_word(&suites, &suite))
            if (wanted(l, suite))
                add(l, uri, suite, mio_env_field(stanza, "Components"),
                    mio_env_field(stanza, "Signed-By"));
    }
}

/* Stanzas are separated by empty lines; comment lines belong to none. */
static void read_stanzas(struct list *l, struct mio_str text)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    struct mio_str line;
    for (bool more = true; more;) {
        more = mio_env_line(&text, &line);
        if (more && line.n && line.p[0] == '#')
            continue;
        if (more && mio_str_trim(line).n) {
            mio_buf_str(&b, line);
            mio_buf_char(&b, '\n');
        } else if (b.n) {
            read_stanza(l, mio_arena_str(l->a, mio_buf_view(&b)));
            mio_buf_reset(&b);
        }
    }
}

static enum mio_code read_file(struct list *l, const char *path, struct mio_err *err)
{
    struct mio_str text;
    bool found = false;
    if (mio_fs_read(l->a, path, 1 << 20, &text, &found, err))
        return err->code;
    if (found && mio_str_ends(mio_str_z(path), ".list"))
        read_list(l, text);
    else if (found && mio_str_ends(mio_str_z(path), ".sources"))
        read_stanzas(l, text);
    return MIO_OK;
}

static enum mio_code read_system(struct list *l, struct mio_err *err)
{
    struct mio_str *names;
    size_t n = 0;
    if (read_file(l, APT_ETC "/sources.list", err))
        return err->code;
    if (mio_fs_is_dir(APT_ETC "/sources.list.d") &&
        mio_fs_list(l->a, APT_ETC "/sources.list.d", &names, &n, err))
        return err->code;
    for (size_t i = 0; i < n; i++)
        if (read_file(l,
                      mio_arena_printf(l->a, APT_ETC "/sources.list.d/%.*s", MIO_FMT(names[i])).p,
                      err))
            return err->code;
    return MIO_OK;
}

enum mio_code mio_env_sources(struct mio_arena *a, const struct mio_env_spec *spec,
                              struct mio_env_source **out, size_t *n, struct mio_err *err)
{
    struct list l = {.a = a, .spec = spec};
    if (spec->mirror.n)
        add(&l, spec->mirror, spec->suite, MIO_STR("main"), spec->keyring);
    if (spec->security_mirror.n)
        add(&l, spec->security_mirror, mio_arena_printf(a, "%.*s-security", MIO_FMT(spec->suite)),
            MIO_STR("main"), spec->keyring);
    if (!l.n && read_system(&l, err))
        return err->code;
    if (!l.n) {
        mio_fail(err, MIO_TEMPLATE, "environment %.*s: no source for Debian %.*s is known",
                 MIO_FMT(spec->name), MIO_FMT(spec->suite));
        return mio_err_hint(err,
                            "set base.mirror, or add the suite to apt's sources on this machine");
    }
    *out = l.items;
    *n = l.n;
    return MIO_OK;
}
