/* planner/expr/func_ip.c: IP networks, version 4 and 6 alike as numbers of up to 128 bits. */
#include "planner/expr/func.h"
#include "providers/sdk/buf.h"
#include <arpa/inet.h>
#include <ctype.h>

__extension__ typedef unsigned __int128 u128;

struct network {
    u128 base;
    int bits, length; /* 32 or 128; of the prefix */
};

/* 2^n, which for 128 is more than fits: nothing asks for that. */
static u128 power(int n)
{
    return (u128)1 << n;
}

static u128 host_mask(const struct network *n, int length)
{
    return length == 0 ? (n->bits == 128 ? ~(u128)0 : power(32) - 1) : power(n->bits - length) - 1;
}

/* Leading zeros are decimal, as in Terraform. */
static bool parse_v4(struct mio_str s, u128 *out)
{
    size_t i = 0;
    *out = 0;
    for (int part = 0; part < 4; part++) {
        unsigned v = 0;
        size_t from = i;
        for (; i < s.n && isdigit((unsigned char)s.p[i]) && i - from < 8; i++)
            v = v * 10 + (unsigned)(s.p[i] - '0');
        if (i == from || v > 255)
            return false;
        *out = *out << 8 | v;
        if (part < 3 && (i >= s.n || s.p[i++] != '.'))
            return false;
    }
    return i == s.n;
}

static bool parse_v6(struct mio_str s, u128 *out)
{
    char z[64];
    unsigned char bytes[16];
    snprintf(z, sizeof z, "%.*s", MIO_FMT(s));
    if (s.n >= sizeof z || inet_pton(AF_INET6, z, bytes) != 1)
        return false;
    *out = 0;
    for (int i = 0; i < 16; i++)
        *out = *out << 8 | bytes[i];
    return true;
}

static bool parse_network(struct mio_str s, struct network *n)
{
    ptrdiff_t slash = mio_str_find(s, '/');
    uint64_t length;
    if (slash < 0 || !mio_str_u64(mio_str_sub(s, (size_t)slash + 1, s.n), &length))
        return false;
    struct mio_str address = mio_str_sub(s, 0, (size_t)slash);
    n->bits = mio_str_find(address, ':') >= 0 ? 128 : 32;
    if (n->bits == 128 ? !parse_v6(address, &n->base) : !parse_v4(address, &n->base))
        return false;
    if (length > (uint64_t)n->bits)
        return false;
    n->length = (int)length;
    n->base &= ~host_mask(n, n->length);
    return true;
}

static bool network(struct mio_call *c, struct network *n)
{
    if (parse_network(mio_value_str(c->args[0]), n))
        return true;
    mio_call_fail(c, 0, "write it like 10.0.0.0/16 or fd00::/8", "this is no IP network");
    return false;
}

static struct mio_str address_text(struct mio_arena *a, u128 v, int bits)
{
    if (bits == 32)
        return mio_arena_printf(a, "%u.%u.%u.%u", (unsigned)(v >> 24) & 255,
                                (unsigned)(v >> 16) & 255, (unsigned)(v >> 8) & 255,
                                (unsigned)v & 255);
    unsigned group[8];
    int best = 8, best_n = 1; /* the longest run of at least two zeros becomes :: */
    for (int i = 8; i--; v >>= 16)
        group[i] = (unsigned)(v & 0xffff);
    for (int i = 0, n; i < 8; i += n ? n : 1) {
        for (n = 0; i + n < 8 && !group[i + n];)
            n++;
        if (n > best_n) {
            best = i;
            best_n = n;
        }
    }
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    for (int i = 0; i < 8; i++) {
        if (i == best) {
            mio_buf_z(&b, "::");
            i += best_n - 1;
            continue;
        }
        mio_buf_printf(&b, "%s%x", i && b.p[b.n - 1] != ':' ? ":" : "", group[i]);
    }
    return mio_arena_str(a, mio_buf_view(&b));
}

static struct mio_value network_value(struct mio_call *c, const struct network *n)
{
    struct mio_str s = address_text(c->a, n->base, n->bits);
    return mio_string(mio_arena_printf(c->a, "%.*s/%d", MIO_FMT(s), n->length));
}

/* A whole number of up to 127 bits. */
static bool whole(struct mio_call *c, size_t arg, bool *neg, u128 *out)
{
    struct mio_str s = mio_number_canon(c->a, mio_value_str(c->args[arg]));
    *neg = s.n && *s.p == '-';
    *out = 0;
    for (size_t i = *neg; i < s.n; i++) {
        if (!isdigit((unsigned char)s.p[i]) || i > 37) {
            mio_call_fail(c, arg, NULL, "a whole number is required");
            return false;
        }
        *out = *out * 10 + (unsigned)(s.p[i] - '0');
    }
    return true;
}

enum mio_code mio_fn_cidrhost(struct mio_call *c, struct mio_value *out)
{
    struct network n;
    bool neg;
    u128 host;
    if (!network(c, &n) || !whole(c, 1, &neg, &host))
        return MIO_TEMPLATE;
    u128 last = host_mask(&n, n.length);
    if (neg ? host - 1 > last : host > last)
        return mio_call_fail(c, 1, NULL, "a prefix of %d bits has no host with this number",
                             n.length);
    *out = mio_string(address_text(c->a, n.base + (neg ? last + 1 - host : host), n.bits));
    return MIO_OK;
}

enum mio_code mio_fn_cidrnetmask(struct mio_call *c, struct mio_value *out)
{
    struct network n;
    if (!network(c, &n))
        return MIO_TEMPLATE;
    if (n.bits != 32)
        return mio_call_fail(c, 0, NULL, "only IPv4 networks have a mask");
    *out = mio_string(address_text(c->a, ~host_mask(&n, n.length), 32));
    return MIO_OK;
}

static enum mio_code new_length(struct mio_call *c, size_t arg, const struct network *n, int least,
                                int most, int *length)
{
    int64_t bits;
    if (!mio_value_i64(c->args[arg], &bits) || bits < least)
        return mio_call_fail(c, arg, NULL, "a whole number of at least %d is required", least);
    if (bits > most || n->length + (int)bits > n->bits)
        return mio_call_fail(c, arg, NULL, "%lld more bits do not fit behind a prefix of %d",
                             (long long)bits, n->length);
    *length = n->length + (int)bits;
    return MIO_OK;
}

enum mio_code mio_fn_cidrsubnet(struct mio_call *c, struct mio_value *out)
{
    struct network n;
    bool neg;
    u128 number;
    int length = 0;
    if (!network(c, &n) || new_length(c, 1, &n, 0, 128, &length) || !whole(c, 2, &neg, &number))
        return MIO_TEMPLATE;
    int added = length - n.length;
    if (neg || (added < 127 && number >= power(added)))
        return mio_call_fail(c, 2, NULL, "%d bits have no network with this number", added);
    if (number) /* a shift by all 128 bits is undefined, and only zero would need it */
        n.base |= number << (n.bits - length);
    n.length = length;
    *out = network_value(c, &n);
    return MIO_OK;
}

enum mio_code mio_fn_cidrsubnets(struct mio_call *c, struct mio_value *out)
{
    enum { MOST = 32 };
    struct network n;
    if (!network(c, &n))
        return MIO_TEMPLATE;
    struct mio_value *items = mio_arena_alloc(c->a, c->n * sizeof *items);
    u128 used = 0, room = host_mask(&n, n.length); /* used: of the room, in addresses */
    bool full = false;
    for (size_t i = 1; i < c->n; i++) {
        struct network sub = n;
        enum mio_code code = new_length(c, i, &n, 1, MOST, &sub.length);
        if (code)
            return code;
        u128 last = host_mask(&sub, sub.length);
        u128 start = (used + last) & ~last;
        if (full || start < used || start > room)
            return mio_call_fail(c, i, NULL, "the network is used up");
        sub.base |= start;
        full = start + last >= room;
        used = start + last + 1;
        items[i - 1] = network_value(c, &sub);
    }
    *out = mio_list(items, c->n - 1);
    return MIO_OK;
}

enum mio_code mio_fn_cidrcontains(struct mio_call *c, struct mio_value *out)
{
    struct network n, inner;
    struct mio_str s = mio_value_str(c->args[1]);
    if (!network(c, &n))
        return MIO_TEMPLATE;
    if (mio_str_find(s, '/') < 0)
        s = mio_arena_printf(c->a, "%.*s/%d", MIO_FMT(s), mio_str_find(s, ':') >= 0 ? 128 : 32);
    if (!parse_network(s, &inner))
        return mio_call_fail(c, 1, NULL, "this is no IP address or network");
    *out = mio_bool(n.bits == inner.bits && n.length <= inner.length &&
                    (inner.base & ~host_mask(&n, n.length)) == n.base);
    return MIO_OK;
}
