/* What all HTTP/2 sessions of this program share (RFC 9113), whatever goes over them: memory, a
 * guard against frames that ask for nothing, and the way of frames into a connection's output. For
 * http2.c and for gRPC (xds/grpc.c).
 */
#ifndef PRAETOR_HTTP_HTTP2_SESSION_H
#define PRAETOR_HTTP_HTTP2_SESSION_H

#include <nghttp2/nghttp2.h>

#include "net/stream.h"

#define HTTP2_SEND_AT_ONCE ((size_t)262144) /* frames that wait for the system */
#define HTTP2_QUEUE_MAX ((size_t)10000) /* frames, of one who makes us answer but reads nothing */

/* A server's session, with windows that are given back by hand. Takes the callbacks over. option:
 * may set more, or NULL. */
nghttp2_session *http2_session_new(nghttp2_session_callbacks *on,
                                   void (*option)(nghttp2_option *option), void *owner);

/* A bucket of idle frames, which fills itself with time. */
struct http2_guard {
    int64_t left, filled; /* filled: when; monotonic */
};
void http2_guard_init(struct http2_guard *g);
/* Each frame that begins: too many that cost us something and ask for nothing end the session. */
void http2_guard_frame(struct http2_guard *g, nghttp2_session *session, const nghttp2_frame_hd *hd);

/* Frames go into the connection's output as far as that empties. */
void http2_send_frames(nghttp2_session *session, struct stream *s);

/* name and value live as long as the field. */
nghttp2_nv http2_field_of(const char *name, struct str value);

#endif
