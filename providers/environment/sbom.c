/* providers/environment/sbom.c: SPDX 2.3 and CycloneDX 1.5. */
#include "providers/environment/sbom.h"
#include "providers/environment/base_image.h"
#include "providers/environment/conda.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"

struct part {                                   /* a package, a wheel or an image, told alike */
    struct mio_str name, version, sha256, purl; /* sha256: empty for what lies in an image */
    bool image;
};

/* Package URLs keep letters, digits and .-_~ and escape the rest. */
static struct mio_str escape(struct mio_arena *a, struct mio_str s)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || strchr(".-_~", c))
            mio_buf_char(&b, (char)c);
        else
            mio_buf_printf(&b, "%%%02X", c);
    }
    return mio_arena_str(a, mio_buf_view(&b));
}

static struct part image_part(struct mio_arena *a, struct mio_value image)
{
    struct mio_str reference = mio_get_str(image, "reference"),
                   digest = mio_get_str(image, "manifest"), base = mio_path_base(reference);
    ptrdiff_t cut = mio_str_find(base, ':'), at = mio_str_find(base, '@');
    size_t n = at >= 0 && (cut < 0 || at < cut) ? (size_t)at : cut >= 0 ? (size_t)cut : base.n;
    return (struct part){reference, digest, mio_str_sub(digest, 7, digest.n),
                         mio_arena_printf(a, "pkg:oci/%.*s@%.*s?repository_url=%.*s",
                                          MIO_FMT(escape(a, mio_str_sub(base, 0, n))),
                                          MIO_FMT(escape(a, digest)),
                                          MIO_FMT(escape(a, mio_path_dir(reference)))),
                         true};
}

/* Of the image's own database. */
static struct part package_part(struct mio_arena *a, struct mio_value image, struct mio_value p)
{
    struct mio_str distro = mio_get_str(image, "distribution"), name = mio_get_str(p, "name"),
                   version = mio_get_str(p, "version");
    ptrdiff_t dash = mio_str_find(distro, '-');
    struct mio_str vendor = mio_str_sub(distro, 0, dash < 0 ? distro.n : (size_t)dash);
    return (struct part){.name = name,
                         .version = version,
                         .purl =
                             mio_arena_printf(a, "pkg:deb/%.*s/%.*s@%.*s?arch=%.*s&distro=%.*s",
                                              MIO_FMT(vendor.n ? vendor : MIO_STR("debian")),
                                              MIO_FMT(escape(a, name)), MIO_FMT(escape(a, version)),
                                              MIO_FMT(mio_get_str(p, "arch")), MIO_FMT(distro))};
}

static struct part *parts_of(struct mio_arena *a, const struct mio_env_lock *l, size_t *n)
{
    struct mio_value image = mio_env_below(l);
    const struct mio_value *inside = mio_get_z(image, "packages");
    const struct mio_value *bases = mio_get_z(l->build, "bases");
    size_t n_bases = bases && bases->type == MIO_LIST ? bases->n : 0;
    struct part *parts = MIO_NEW_N(
        a, struct part, l->n_packages + l->n_wheels + (inside ? inside->n : 0) + n_bases + 2u);
    *n = 0;
    if (!mio_is_null(l->image))
        parts[(*n)++] = image_part(a, l->image);
    for (uint32_t i = 0; bases && i < bases->n; i++)
        parts[(*n)++] = image_part(a, bases->items[i]);
    for (uint32_t i = 0; inside && i < inside->n; i++)
        parts[(*n)++] = package_part(a, image, inside->items[i]);
    for (size_t i = 0; i < l->n_packages; i++) {
        const struct mio_env_package *p = &l->packages[i];
        parts[(*n)++] = (struct part){
            p->name, p->version, p->sha256,
            mio_arena_printf(a, "pkg:deb/debian/%.*s@%.*s?arch=%.*s&distro=%.*s",
                             MIO_FMT(escape(a, p->name)), MIO_FMT(escape(a, p->version)),
                             MIO_FMT(p->arch), MIO_FMT(l->suite)),
            false};
    }
    for (size_t i = 0; i < l->n_wheels; i++) {
        const struct mio_env_wheel *w = &l->wheels[i];
        char *name = mio_arena_z(a, w->name);
        for (char *c = name; *c; c++)
            *c = *c == '_' ? '-' : *c >= 'A' && *c <= 'Z' ? (char)(*c | 32) : *c;
        parts[(*n)++] = (struct part){w->name, w->version, w->sha256,
                                      mio_arena_printf(a, "pkg:%s/%s@%.*s",
                                                       mio_env_is_conda(w) ? "conda" : "pypi", name,
                                                       MIO_FMT(escape(a, w->version))),
                                      false};
    }
    return parts;
}

static struct mio_value map_of(struct mio_arena *a, const struct mio_pair *rows, size_t n)
{
    struct mio_pair *pairs = MIO_NEW_N(a, struct mio_pair, n + 1);
    memcpy(pairs, rows, n * sizeof *rows);
    return mio_map(pairs, n);
}
#define MAP(a, ...)                                     \
    map_of((a), (const struct mio_pair[]){__VA_ARGS__}, \
           sizeof((const struct mio_pair[]){__VA_ARGS__}) / sizeof(struct mio_pair))
#define ROW(key, v)                   \
    {                                 \
        {(key), sizeof(key) - 1}, (v) \
    }
#define TEXT(z) mio_string_z(z)

static struct mio_value one(struct mio_arena *a, struct mio_value v)
{
    struct mio_value *items = MIO_NEW(a, struct mio_value);
    *items = v;
    return mio_list(items, 1);
}

static struct mio_str print(struct mio_arena *a, struct mio_value v)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    mio_json_pretty(&b, v, MIO_JSON_PLAIN);
    return mio_arena_str(a, mio_buf_view(&b));
}

static struct mio_value spdx_package(struct mio_arena *a, const struct part *p, size_t i)
{
    struct mio_value sum = MAP(a, ROW("algorithm", TEXT("SHA256")),
                               ROW("checksumValue", mio_string(p->sha256))),
                     sums = p->sha256.n ? one(a, sum) : mio_list(NULL, 0);
    struct mio_value ref =
        MAP(a, ROW("referenceCategory", TEXT("PACKAGE-MANAGER")),
            ROW("referenceType", TEXT("purl")), ROW("referenceLocator", mio_string(p->purl)));
    return MAP(a, ROW("SPDXID", mio_string(mio_arena_printf(a, "SPDXRef-%zu", i + 1))),
               ROW("name", mio_string(p->name)), ROW("versionInfo", mio_string(p->version)),
               ROW("downloadLocation", TEXT("NOASSERTION")), ROW("filesAnalyzed", mio_bool(false)),
               ROW("licenseConcluded", TEXT("NOASSERTION")),
               ROW("licenseDeclared", TEXT("NOASSERTION")),
               ROW("copyrightText", TEXT("NOASSERTION")), ROW("checksums", sums),
               ROW("externalRefs", one(a, ref)));
}

struct mio_str mio_env_spdx(struct mio_arena *a, const struct mio_env_lock *lock)
{
    size_t n;
    const struct part *parts = parts_of(a, lock, &n);
    struct mio_value *packages = MIO_NEW_N(a, struct mio_value, n + 1),
                     *links = MIO_NEW_N(a, struct mio_value, n + 1);
    char created[24];
    mio_rfc3339(lock->epoch, created);
    for (size_t i = 0; i < n; i++) {
        packages[i] = spdx_package(a, &parts[i], i);
        links[i] =
            MAP(a, ROW("spdxElementId", TEXT("SPDXRef-DOCUMENT")),
                ROW("relationshipType", TEXT("DESCRIBES")),
                ROW("relatedSpdxElement", mio_string(mio_arena_printf(a, "SPDXRef-%zu", i + 1))));
    }
    struct mio_value info = MAP(a, ROW("created", mio_string(mio_arena_str(a, mio_str_z(created)))),
                                ROW("creators", one(a, TEXT("Tool: mlops-iac-" MIO_VERSION))));
    struct mio_value doc = MAP(
        a, ROW("spdxVersion", TEXT("SPDX-2.3")), ROW("dataLicense", TEXT("CC0-1.0")),
        ROW("SPDXID", TEXT("SPDXRef-DOCUMENT")), ROW("name", mio_string(lock->name)),
        ROW("documentNamespace", mio_string(mio_arena_printf(a, "urn:mlops-iac:environment:%.*s",
                                                             MIO_FMT(lock->inputs)))),
        ROW("creationInfo", info), ROW("packages", mio_list(packages, n)),
        ROW("relationships", mio_list(links, n)));
    return print(a, doc);
}

struct mio_str mio_env_cyclonedx(struct mio_arena *a, const struct mio_env_lock *lock)
{
    size_t n;
    const struct part *parts = parts_of(a, lock, &n);
    struct mio_value *items = MIO_NEW_N(a, struct mio_value, n + 1);
    char created[24];
    mio_rfc3339(lock->epoch, created);
    for (size_t i = 0; i < n; i++) {
        struct mio_value hash =
            MAP(a, ROW("alg", TEXT("SHA-256")), ROW("content", mio_string(parts[i].sha256)));
        items[i] = MAP(
            a, ROW("type", TEXT(parts[i].image ? "container" : "library")),
            ROW("bom-ref", mio_string(parts[i].purl)), ROW("name", mio_string(parts[i].name)),
            ROW("version", mio_string(parts[i].version)), ROW("purl", mio_string(parts[i].purl)),
            ROW("hashes", parts[i].sha256.n ? one(a, hash) : mio_list(NULL, 0)));
    }
    struct mio_value self =
        MAP(a, ROW("type", TEXT("container")), ROW("name", mio_string(lock->name)));
    struct mio_value meta =
        MAP(a, ROW("timestamp", mio_string(mio_arena_str(a, mio_str_z(created)))),
            ROW("component", self));
    struct mio_value doc =
        MAP(a, ROW("bomFormat", TEXT("CycloneDX")), ROW("specVersion", TEXT("1.5")),
            ROW("version", mio_number_i64(a, 1)), ROW("metadata", meta),
            ROW("components", mio_list(items, n)));
    return print(a, doc);
}
