/* providers/sdk/redact.c: see redact.h. The first bytes of each form of each secret are hashed into
 * a bitmap, so that text is looked at once, however many there are. */
#include "providers/sdk/redact.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include "providers/sdk/alloc.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/json.h"

enum {
    HEAD = MIO_SECRET_MIN, /* bytes of the hash */
    BITS = 16,             /* of the bitmap's index */
    LINE_MIN = 12,         /* a line of a longer secret that is a secret by itself */
    FORMS_MAX = 64 * 1024, /* of a longer text, only the text itself is looked for */
    CHUNK = 256 * 1024,
};
#define HIDDEN "(sensitive value)"

struct form {
    struct mio_str text;
    struct form *next; /* of the same slot, by all of its text */
    struct form *peer; /* of the same head */
    bool allowed;
};

/* The forms that begin with the same bytes, and which lengths they have. */
struct head {
    uint64_t hash;
    struct head *next; /* of the same slot */
    struct form *forms;
    size_t *lengths;
    size_t n, cap;
};

struct chunk {
    struct chunk *next;
    size_t used, size; /* of the whole mapping */
};

static struct {
    pthread_mutex_t lock;
    _Atomic size_t n;
    uint64_t bitmap[(1 << BITS) / 64];
    struct form **forms;
    struct head **heads;
    size_t nslots; /* of each */
    struct chunk *chunks;
} known = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- memory ---- */

/* Of a mapping of its own: a core file or a fork has nothing of it. */
static void *take(size_t size)
{
    size = (size + 15) & ~(size_t)15;
    struct chunk *c = known.chunks;
    if (!c || c->size - c->used < size) {
        size_t whole = sizeof *c + size > CHUNK ? (sizeof *c + size + 4095) & ~(size_t)4095 : CHUNK;
        c = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (c == MAP_FAILED)
            mio_alloc_die(whole);
        madvise(c, whole, MADV_DONTDUMP);
        madvise(c, whole, MADV_WIPEONFORK);
        (void)mlock(c, whole); /* as far as the limit allows */
        *c = (struct chunk){.next = known.chunks, .used = sizeof *c, .size = whole};
        known.chunks = c;
    }
    void *p = (char *)c + c->used;
    c->used += size;
    return p;
}

static void wipe_chunks(void)
{
    while (known.chunks) {
        struct chunk *c = known.chunks;
        size_t size = c->size;
        known.chunks = c->next;
        explicit_bzero(c, size);
        munmap(c, size);
    }
}

/* ---- the table ---- */

static uint64_t head_of(const char *p)
{
    uint32_t a;
    uint16_t b;
    memcpy(&a, p, sizeof a);
    memcpy(&b, p + sizeof a, sizeof b);
    return ((uint64_t)b << 32 | a) * UINT64_C(0x9E3779B97F4A7C15);
}

static bool in_bitmap(uint64_t head)
{
    size_t bit = (size_t)(head >> (64 - BITS));
    return known.bitmap[bit / 64] >> (bit % 64) & 1;
}

static struct form **form_slot(struct mio_str text)
{
    return &known.forms[mio_str_hash(text) & (known.nslots - 1)];
}

static struct head **head_slot(uint64_t hash)
{
    return &known.heads[(hash >> 20) & (known.nslots - 1)];
}

static struct form *find_form(struct mio_str text)
{
    struct form *f = known.nslots ? *form_slot(text) : NULL;
    while (f && !mio_str_eq(f->text, text))
        f = f->next;
    return f;
}

static struct head *find_head(uint64_t hash)
{
    struct head *h = *head_slot(hash);
    while (h && h->hash != hash)
        h = h->next;
    return h;
}

static void grow(void)
{
    struct form **forms = known.forms;
    struct head **heads = known.heads;
    size_t n = known.nslots;
    known.nslots = n ? n * 2 : 64;
    known.forms = mio_zalloc(known.nslots, sizeof(struct form *));
    known.heads = mio_zalloc(known.nslots, sizeof(struct head *));
    for (size_t i = 0; i < n; i++) {
        for (struct form *f = forms[i], *next; f; f = next) {
            struct form **slot = form_slot(f->text);
            next = f->next;
            f->next = *slot;
            *slot = f;
        }
        for (struct head *h = heads[i], *next; h; h = next) {
            struct head **slot = head_slot(h->hash);
            next = h->next;
            h->next = *slot;
            *slot = h;
        }
    }
    free(forms);
    free(heads);
}

static struct head *take_head(uint64_t hash)
{
    struct head *h = find_head(hash), **slot = head_slot(hash);
    if (h)
        return h;
    h = take(sizeof *h);
    *h = (struct head){.hash = hash, .next = *slot};
    *slot = h;
    known.bitmap[(hash >> (64 - BITS)) / 64] |= UINT64_C(1) << ((hash >> (64 - BITS)) % 64);
    return h;
}

static void add_length(struct head *h, size_t length)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->lengths[i] == length)
            return;
    if (h->n == h->cap) {
        size_t *more = take((h->cap + 4) * 2 * sizeof *more);
        if (h->n)
            memcpy(more, h->lengths, h->n * sizeof *more);
        h->lengths = more;
        h->cap = (h->cap + 4) * 2;
    }
    h->lengths[h->n++] = length;
}

static void add_form(struct mio_str text, bool allowed)
{
    struct form *f = find_form(text);
    if (text.n < MIO_SECRET_MIN)
        return;
    if (f) {
        f->allowed |= allowed;
        return;
    }
    if (known.n >= known.nslots)
        grow();
    struct form **slot = form_slot(text);
    struct head *h = take_head(head_of(text.p));
    char *copy = take(text.n);
    f = take(sizeof *f);
    memcpy(copy, text.p, text.n);
    *f = (struct form){{copy, text.n}, *slot, h->forms, allowed};
    *slot = h->forms = f;
    add_length(h, text.n);
    known.n++;
}

/* ---- forms ---- */

static void wiped(struct mio_buf *b)
{
    if (b->p)
        explicit_bzero(b->p, b->n);
    mio_buf_free(b);
}
#define WIPED __attribute__((cleanup(wiped))) struct mio_buf

/* The characters of base64 that depend on the text alone, when `shift` bytes stand before it. */
static void add_base64(struct mio_str text, size_t shift, bool url, bool allowed)
{
    static const char alphabet[2][65] = {
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"};
    WIPED b = {0};
    size_t first = (8 * shift + 5) / 6, end = 8 * (shift + text.n) / 6;
    mio_buf_init(&b, 0);
    for (size_t i = first; i < end; i++) {
        unsigned v = 0;
        for (size_t bit = 6 * i; bit < 6 * i + 6; bit++) {
            unsigned char c = (unsigned char)text.p[bit / 8 - shift];
            v = v << 1 | ((c >> (7 - bit % 8)) & 1);
        }
        mio_buf_char(&b, alphabet[url][v]);
    }
    add_form(mio_buf_view(&b), allowed);
}

static void add_percent(struct mio_str text, bool plus, bool allowed)
{
    WIPED b = {0};
    mio_buf_init(&b, 0);
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_' || c == '~';
        if (plain)
            mio_buf_char(&b, c);
        else if (plus && c == ' ')
            mio_buf_char(&b, '+');
        else
            mio_buf_printf(&b, "%%%02X", (unsigned)(unsigned char)c);
    }
    add_form(mio_buf_view(&b), allowed);
}

static void add_json(struct mio_str text, bool allowed)
{
    WIPED b = {0};
    mio_buf_init(&b, 0);
    mio_json_string(&b, text);
    add_form(mio_str_sub(mio_buf_view(&b), 1, b.n - 2), allowed);
}

static void add_forms(struct mio_str text, bool allowed)
{
    add_form(text, allowed);
    if (text.n > FORMS_MAX)
        return;
    add_json(text, allowed);
    add_percent(text, false, allowed);
    add_percent(text, true, allowed);
    for (size_t shift = 0; shift < 3; shift++) {
        add_base64(text, shift, false, allowed);
        add_base64(text, shift, true, allowed);
    }
}

/* Of a key in PEM each line is as secret as the whole; the frame is not. */
static void add_lines(struct mio_str text, bool allowed)
{
    while (text.n) {
        ptrdiff_t nl = mio_str_find(text, '\n');
        struct mio_str line = mio_str_trim(nl < 0 ? text : mio_str_sub(text, 0, (size_t)nl));
        text = nl < 0 ? (struct mio_str){0} : mio_str_sub(text, (size_t)nl + 1, text.n);
        if (line.n >= LINE_MIN && !mio_str_starts(line, "-----"))
            add_form(line, allowed);
    }
}

static void add(struct mio_str text, bool allowed)
{
    pthread_mutex_lock(&known.lock);
    if (allowed || !find_form(text)) {
        add_forms(text, allowed);
        if (memchr(text.p, '\n', text.n))
            add_lines(text, allowed);
    }
    pthread_mutex_unlock(&known.lock);
}

void mio_secret_add(struct mio_str text)
{
    if (text.n >= MIO_SECRET_MIN)
        add(text, false);
}

void mio_secret_allow(struct mio_str text)
{
    if (text.n >= MIO_SECRET_MIN)
        add(text, true);
}

void mio_secrets_wipe(void)
{
    pthread_mutex_lock(&known.lock);
    known.n = 0;
    free(known.forms);
    free(known.heads);
    known.forms = NULL;
    known.heads = NULL;
    known.nslots = 0;
    memset(known.bitmap, 0, sizeof known.bitmap);
    wipe_chunks();
    pthread_mutex_unlock(&known.lock);
}

/* ---- finding ---- */

struct match {
    size_t n;
    bool allowed;
};

/* Is the whole rest how a secret begins? */
static bool is_cut(const struct head *h, struct mio_str rest)
{
    for (const struct form *f = h->forms; f; f = f->peer)
        if (!f->allowed && f->text.n > rest.n && memcmp(f->text.p, rest.p, rest.n) == 0)
            return true;
    return false;
}

/* The longest text known that starts at p, or the whole rest where that is how a secret begins. */
static struct match match_at(const char *p, size_t n)
{
    struct match best = {0};
    bool longer = false;
    if (n < HEAD)
        return best;
    uint64_t hash = head_of(p);
    const struct head *h = in_bitmap(hash) ? find_head(hash) : NULL;
    for (size_t i = 0; h && i < h->n; i++) {
        longer |= h->lengths[i] > n;
        if (h->lengths[i] > n || h->lengths[i] <= best.n)
            continue;
        const struct form *f = find_form((struct mio_str){p, h->lengths[i]});
        if (f)
            best = (struct match){f->text.n, f->allowed};
    }
    if (longer && best.n < n && is_cut(h, (struct mio_str){p, n}))
        best = (struct match){n, false};
    return best;
}

/* Where the secrets that begin at `at` end: one may begin inside another. */
static size_t end_of(struct mio_str text, size_t at, size_t n)
{
    size_t end = at + n;
    for (size_t i = at + 1; i < end; i++) {
        struct match m = match_at(text.p + i, text.n - i);
        end = !m.allowed && i + m.n > end ? i + m.n : end;
    }
    return end;
}

/* Length of the control or direction-changing character at p, or 0 when it is harmless. */
static size_t control_at(const unsigned char *p, size_t n)
{
    if ((p[0] < 0x20 && p[0] != '\n' && p[0] != '\t') || p[0] == 0x7F)
        return 1;
    if (n >= 2 && p[0] == 0xC2 && p[1] >= 0x80 && p[1] <= 0x9F)
        return 2; /* C1 */
    if (n >= 3 && p[0] == 0xE2 &&
        ((p[1] == 0x80 && p[2] >= 0xAA && p[2] <= 0xAE) ||
         (p[1] == 0x81 && p[2] >= 0xA6 && p[2] <= 0xA9)))
        return 3; /* bidi embeddings, overrides and isolates */
    return 0;
}

static void copy(struct mio_buf *out, struct mio_str text, bool controls)
{
    size_t from = 0;
    bool any = known.n > 0;
    for (size_t i = 0; i < text.n;) {
        const char *p = text.p + i;
        struct match m = any ? match_at(p, text.n - i) : (struct match){0};
        size_t control = controls && !m.n ? control_at((const unsigned char *)p, text.n - i) : 0;
        if (m.allowed || (!m.n && !control)) {
            i += m.n ? m.n : 1;
            continue;
        }
        mio_buf_add(out, text.p + from, i - from);
        if (m.n)
            mio_buf_z(out, HIDDEN);
        for (size_t k = 0; k < control; k++)
            mio_buf_printf(out, "\\x%02x", (unsigned)(unsigned char)p[k]);
        i = m.n ? end_of(text, i, m.n) : i + control;
        from = i;
    }
    mio_buf_add(out, text.p + from, text.n - from);
}

bool mio_secrets_known(void)
{
    return atomic_load_explicit(&known.n, memory_order_relaxed) > 0;
}

void mio_hide(struct mio_buf *out, struct mio_str text)
{
    pthread_mutex_lock(&known.lock);
    copy(out, text, false);
    pthread_mutex_unlock(&known.lock);
}

void mio_redact(struct mio_buf *out, struct mio_str text)
{
    pthread_mutex_lock(&known.lock);
    copy(out, text, true);
    pthread_mutex_unlock(&known.lock);
}
