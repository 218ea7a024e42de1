/* state/mask.c: what stands in the state for a sensitive value: a keyed digest, enough to see a
 * change.
 *
 * The key (the salt) lies in the state's header, so a short secret can be guessed by whoever reads
 * the file: sealing is the answer to that, this is the answer to secrets in clear. */
#include "providers/sdk/alloc.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/json.h"
#include "state/model.h"

static struct mio_value digest_of(struct mio_arena *a, struct mio_str salt, struct mio_value v)
{
    MIO_AUTO_BUF b = {0};
    mio_buf_z(&b, "mask\n"); /* keeps these apart from idempotency keys under the same salt */
    mio_json_write(&b, v, MIO_JSON_OPEN);
    uint8_t mac[MIO_SHA256_LEN];
    mio_hmac_sha256(salt.p, salt.n, b.p, b.n, mac);
    explicit_bzero(b.p, b.n);
    char *hex = mio_arena_alloc(a, MIO_SHA256_HEX + 1);
    mio_hex(mac, sizeof mac, hex);
    struct mio_pair *pairs = MIO_NEW_N(a, struct mio_pair, 2);
    pairs[0] = (struct mio_pair){MIO_STR("$mio"), mio_string_z("digest")};
    pairs[1] = (struct mio_pair){MIO_STR("h"), mio_string((struct mio_str){hex, MIO_SHA256_HEX})};
    return mio_sensitive(mio_map(pairs, 2));
}

struct mio_value mio_keep(struct mio_arena *a, const struct mio_state *s, struct mio_value v)
{
    return s->keeps ? v : mio_mask(a, s->salt, v);
}

struct mio_value mio_mask(struct mio_arena *a, struct mio_str salt, struct mio_value v)
{
    if (!mio_has_sensitive(v) || mio_is_masked(v))
        return v;
    if (mio_is_sensitive(v))
        return mio_has_unknown(v) || mio_is_null(v) ? v : digest_of(a, salt, v);
    if (v.type == MIO_LIST) {
        struct mio_value *items = MIO_NEW_N(a, struct mio_value, v.n);
        for (uint32_t i = 0; i < v.n; i++)
            items[i] = mio_mask(a, salt, v.items[i]);
        struct mio_value out = mio_list(items, v.n);
        out.marks = v.marks;
        return out;
    }
    if (v.type != MIO_MAP)
        return v;
    struct mio_pair *pairs = MIO_NEW_N(a, struct mio_pair, v.n);
    for (uint32_t i = 0; i < v.n; i++)
        pairs[i] = (struct mio_pair){v.pairs[i].key, mio_mask(a, salt, v.pairs[i].value)};
    return mio_map(pairs, v.n);
}
