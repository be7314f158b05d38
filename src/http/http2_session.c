/* See http2_session.h. */
#include "http/http2_session.h"

#include <string.h>

#include "base/mem.h"
#include "base/time.h"

#define IDLE_BURST 1000 /* frames that ask for nothing, at once */
#define IDLE_RATE 100   /* and for each second */

/* ---- sessions ---- */

static void *lib_alloc(size_t size, void *owner) {
    (void)owner;
    return mem_alloc(size);
}

static void *lib_zalloc(size_t count, size_t size, void *owner) {
    (void)owner;
    return mem_zalloc(count, size);
}

static void *lib_resize(void *old, size_t size, void *owner) {
    (void)owner;
    return mem_resize(old, 1, size);
}

static void lib_free(void *p, void *owner) {
    (void)owner;
    mem_free(p);
}

nghttp2_session *http2_session_new(nghttp2_session_callbacks *on,
                                   void (*option)(nghttp2_option *option), void *owner) {
    nghttp2_mem memory = {NULL, lib_alloc, lib_free, lib_zalloc, lib_resize};
    nghttp2_option *options;
    nghttp2_session *session;
    int code = nghttp2_option_new(&options);
    ASSERT(code == 0);
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_option_set_no_closed_streams(options, 1);
    nghttp2_option_set_max_outbound_ack(options, 2 * IDLE_BURST); /* ours comes first */
    if (option != NULL)
        option(options);
    code = nghttp2_session_server_new3(&session, on, owner, options, &memory);
    ASSERT(code == 0);
    nghttp2_option_del(options);
    nghttp2_session_callbacks_del(on);
    return session;
}

/* ---- the guard ---- */

static bool is_idle(const nghttp2_frame_hd *hd) {
    switch (hd->type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_RST_STREAM: /* nghttp2 counts them (CVE-2023-44487) */
    case NGHTTP2_WINDOW_UPDATE:
    case NGHTTP2_GOAWAY:
        return false;
    case NGHTTP2_DATA:
        return hd->length == 0 && (hd->flags & NGHTTP2_FLAG_END_STREAM) == 0;
    default:
        return true;
    }
}

void http2_guard_init(struct http2_guard *g) {
    g->left = IDLE_BURST;
    g->filled = time_now_monotonic();
}

void http2_guard_frame(struct http2_guard *g, nghttp2_session *session,
                       const nghttp2_frame_hd *hd) {
    if (!is_idle(hd))
        return;
    if (g->left == 0) {
        int64_t now = time_now_monotonic();
        int64_t more = (now - g->filled) / (SECOND / IDLE_RATE);
        g->left = more < IDLE_BURST ? more : IDLE_BURST;
        g->filled = now;
    }
    if (g->left == 0)
        nghttp2_session_terminate_session(session, NGHTTP2_ENHANCE_YOUR_CALM);
    else
        g->left--;
}

/* ---- frames ---- */

void http2_send_frames(nghttp2_session *session, struct stream *s) {
    for (;;) {
        if (stream_backlog(s) >= HTTP2_SEND_AT_ONCE)
            stream_push(s);
        if (s->closing || stream_backlog(s) >= HTTP2_SEND_AT_ONCE)
            return;
        const uint8_t *bytes;
        ssize_t len = nghttp2_session_mem_send(session, &bytes);
        if (len == 0)
            return;
        if (len < 0) {
            stream_close(s);
            return;
        }
        buf_add(stream_out(s), bytes, (size_t)len);
    }
}

nghttp2_nv http2_field_of(const char *name, struct str value) {
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value.data, strlen(name),
                        value.len, NGHTTP2_NV_FLAG_NONE};
}
