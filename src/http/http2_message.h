/* Messages between HTTP/2 and HTTP/1.1 (RFC 9113 chapter 8): the fields of a request as the text of
 * a head that codec/http.h reads, and the text of an answer as fields and pieces of a body. So
 * handlers and what is under them know one protocol. Pure: frames, streams and windows are
 * http2.c's business.
 */
#ifndef PRAETOR_HTTP_HTTP2_MESSAGE_H
#define PRAETOR_HTTP_HTTP2_MESSAGE_H

#include "base/buf.h"
#include "codec/http.h"

/* As the peer's SETTINGS say (tls.md 6); counted as RFC 9113 6.5.2 does. */
#define HTTP2_FIELDS_MAX ((size_t)1048896)

/* ---- requests ---- */

/* Zeroed at first. */
struct http2_request {
    struct buf method, path, authority, host;
    struct buf lines; /* of all other fields */
    size_t size;
    bool has_length;
    uint64_t left;  /* of the body, when it has a length */
    bool too_large; /* to be answered with 431; fields are not kept any more */
    bool chunked;   /* how the body is written: set by http2_request_head */
};
/* The next field, in any order. False: the request is malformed (it would not come out of the
 * text as it went in, or says how long it is in the old way). */
bool http2_request_field(struct http2_request *q, struct str name, struct str value);
/* Appends the head. ended: no body follows. False: malformed. */
bool http2_request_head(struct http2_request *q, bool ended, struct buf *out);
/* Appends a piece of the body, or its end. False: not as long as it was said to be. */
bool http2_request_body(struct http2_request *q, struct str bytes, struct buf *out);
bool http2_request_end(const struct http2_request *q, struct buf *out);
void http2_request_free(struct http2_request *q);

/* ---- answers ---- */

struct http2_field {
    struct str name, value; /* the name in lower case */
};

enum http2_body { HTTP2_NO_BODY, HTTP2_SIZED, HTTP2_CHUNKED, HTTP2_UNTIL_END };

/* Zeroed at first, but for `to_head`. */
struct http2_answer {
    bool to_head; /* the request was a HEAD */
    bool head_done;
    enum http2_body body;
    uint64_t left; /* of a body with a length */
    struct http_chunked chunks;
    struct buf head;
    /* The first is ":status". What belongs to one connection only is left out. */
    struct http2_field *fields;
    size_t field_count;
    char status[4];
};
/* Takes bytes from the front of *in. COMPLETE: `fields` are those of a head: one with a status
 * below 200 comes before another, or the body follows. REFUSED: that is no answer. */
enum http_progress http2_answer_head(struct http2_answer *a, struct str *in);
bool http2_answer_is_interim(const struct http2_answer *a);
/* Takes bytes from the front of *in and gives a piece of the body, a view into them. COMPLETE: that
 * was all of it. */
enum http_progress http2_answer_body(struct http2_answer *a, struct str *in, struct str *piece);
void http2_answer_free(struct http2_answer *a);

#endif
