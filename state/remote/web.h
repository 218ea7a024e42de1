/* state/remote/web.h: HTTP for the backends: verified TLS, no redirects, deadlines, sizes capped,
 * retries.
 *
 * Every call made through it may be repeated: the backends only send what is conditional or the
 * same again. Thread- confined. */
#pragma once
#include "providers/sdk/arena.h"
#include "providers/sdk/err.h"

struct mio_web;
struct mio_web_opts {
    bool insecure_http;          /* http:// to other machines than this one */
    const char *ca_file;         /* NULL: the system's */
    const char *user, *password; /* basic authentication; NULL: none */
    unsigned timeout_s; /* a server that says nothing, or next to it, for so long is given up */
};
/* Errors: MIO_IO. */
enum mio_code mio_web_open(const struct mio_web_opts *o, struct mio_web **out, struct mio_err *err);
void mio_web_close(struct mio_web *w); /* NULL accepted */

enum { MIO_WEB_HEADERS = 16 };
struct mio_web_call {
    const char *method, *url;
    struct mio_str headers[MIO_WEB_HEADERS]; /* "Name: value"; ended by an empty one */
    struct mio_str body;
    bool has_body;
};
struct mio_web_reply {
    long status;
    struct mio_str body, etag; /* etag as sent, quotes included; "" when there was none */
    bool repeated;             /* an earlier attempt got no answer: it may have worked */
};
/* Any status is MIO_OK but 429 and 5xx that stay (MIO_TRANSIENT), 401 and 403 (MIO_AUTH). Errors
 * besides: MIO_TRANSIENT (no connection, no answer), MIO_AUTH (certificate), MIO_USAGE (bad
 * address). The query part of an address is never in a message. */
enum mio_code mio_web_call(struct mio_web *w, struct mio_arena *a, const struct mio_web_call *c,
                           struct mio_web_reply *out, struct mio_err *err);
/* For statuses that a caller did not expect: MIO_IO with the status and the beginning of the body.
 */
enum mio_code mio_web_unexpected(const struct mio_web_call *c, const struct mio_web_reply *r,
                                 struct mio_err *err);

/* Percent-encoding of everything but A-Z a-z 0-9 - _ . ~ (and / when `slashes`). */
struct mio_str mio_web_escape(struct mio_arena *a, struct mio_str text, bool slashes);
/* The texts between <tag> and </tag>, in order, entities resolved. */
size_t mio_xml_texts(struct mio_arena *a, struct mio_str xml, const char *tag,
                     struct mio_str **out);
