/* HTTP/1.1 messages as a server reads them: the head of a request, and bodies in chunks. Strict
 * where leniency would let two readers disagree about where a message ends (RFC 9112 chapters 5 to
 * 7): what is ambiguous is refused. Pure: bytes in, values out; no I/O, no clock. Refusals carry
 * the peer's status and text (http-core.md 1.2). URLs are in codec/url.h.
 */
#ifndef PRAETOR_CODEC_HTTP_H
#define PRAETOR_CODEC_HTTP_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

#define HTTP_HEAD_MAX ((size_t)(1024 + 4) * 1024) /* bytes of request line and header lines */
#define HTTP_HEADERS_MAX 4096u                    /* header lines */
#define HTTP_CHUNK_LINE_MAX 4096u /* bytes of a chunk's size line, of all trailers */

/* Answered as "HTTP/1.1 <line>", body <body>, and the end of the connection. */
struct http_refusal {
    int status;
    const char *line; /* "400 Bad Request: missing required Host header" */
    const char *body; /* mostly the same */
};

/* Where the search for the end of a head stands, so that a head that comes byte by byte is looked
 * at once. Zeroed for each message. */
struct http_head_scan {
    size_t scanned;
    bool line_checked;
};
enum http_progress { HTTP_MORE, HTTP_COMPLETE, HTTP_REFUSED };
/* bytes: all of the message that has come. COMPLETE: *end is the length of the head with its blank
 * line. Refuses a malformed request line before the rest is there, and too long heads. An
 * empty line in front of a message is malformed, as it is for the peer. */
enum http_progress http_head_find(struct http_head_scan *scan, struct str bytes, size_t *end,
                                  struct http_refusal *refusal);

struct http_header {
    struct str name;  /* as sent */
    struct str value; /* without blanks around */
};

struct http_head {
    struct str method;
    struct str target; /* as sent */
    struct http_header *headers;
    uint32_t header_count;
    uint8_t minor;   /* HTTP/1.minor */
    bool chunked;    /* the body comes in chunks */
    bool keep_alive; /* as the client wishes */
    bool expect_continue;
    bool accepts_gzip;      /* http-core.md 5.2 */
    int64_t content_length; /* -1: no such header */
    struct str host;
};
/* bytes: a whole head as http_head_find measured it; all strings of *head point into it. The array
 * of headers is in the arena. */
bool http_head_parse(struct str bytes, struct http_head *head, struct arena *arena,
                     struct http_refusal *refusal);

/* A body in chunks. Zeroed at its start. */
struct http_chunked {
    uint64_t left;     /* of the current chunk's data */
    uint32_t line_len; /* of the size line or trailers so far */
    uint8_t state;
    uint8_t digits;
    bool trailer_blank; /* nothing yet on the current trailer line */
};
/* Takes bytes from the front of *in and gives a piece of the body (a view into them, may be empty).
 * MORE: call again, with more bytes when *in is empty. COMPLETE: the last chunk and trailers are
 * read; what is left of *in belongs to the next message. REFUSED: broken, nothing after it can be
 * trusted. */
enum http_progress http_chunked_read(struct http_chunked *c, struct str *in, struct str *piece);

/* "200 OK"; for statuses without a name "599 status code 599". */
const char *http_status_line(int status, char spare[32]);
bool http_is_token(struct str s);

#endif
