/* Calls (grpc.h): which method is meant, messages out of bytes and back, how they end. What goes
 * over the connection, and when, is grpc.c's.
 */
#include <nghttp2/nghttp2.h>
#include <stdarg.h>

#include "base/mem.h"
#include "xds/grpc_room.h"

#define PREFIX 5 /* compressed or not, length */

void grpc_call_set_input(struct grpc_call *c, size_t taken) {
    size_t left = c->in.len - taken;
    c->connection->home->input -= taken;
    if (left == 0) {
        buf_free(&c->in);
    } else if (taken > 0) {
        memmove(c->in.data, c->in.data + taken, left);
        c->in.len = left;
    }
}

/* ---- what methods do ---- */

bool grpc_may_send(struct grpc_call *c) {
    struct grpc_connection *h = c->connection;
    if (c->ended || c->closed || c->out.len > 0)
        return false;
    bool full = h->backlog > GRPC_BACKLOG_MAX;
    if (full != c->held) {
        c->held = full;
        h->held += full ? 1 : (size_t)-1;
    }
    return !full;
}

void grpc_send(struct grpc_call *c, struct buf *message) {
    ASSERT(c->out.len == 0 && message->len <= UINT32_MAX);
    char prefix[PREFIX] = {0};
    be32_put(prefix + 1, (uint32_t)message->len);
    buf_reserve(message, PREFIX);
    memmove(message->data + PREFIX, message->data, message->len);
    memcpy(message->data, prefix, PREFIX);
    message->len += PREFIX;
    c->out = *message;
    *message = BUF_INIT;
    c->connection->backlog += c->out.len;
    c->was_sent = true;
    grpc_call_poke(c);
}

/* Percent-encoded, as a header must be. */
static void add_escaped(struct buf *out, struct str text) {
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if (byte >= ' ' && byte <= '~' && byte != '%')
            buf_add_char(out, (char)byte);
        else
            buf_add_format(out, "%%%02X", byte);
    }
}

void grpc_end(struct grpc_call *c, enum grpc_status status, struct str text) {
    if (c->ended)
        return;
    c->ended = true;
    c->status = status;
    add_escaped(&c->status_text, text);
    grpc_call_poke(c);
}

static void end_format(struct grpc_call *c, enum grpc_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void end_format(struct grpc_call *c, enum grpc_status status, const char *format, ...) {
    struct arena arena = ARENA_INIT;
    va_list args;
    va_start(args, format);
    grpc_end(c, status, str_vformat(&arena, format, args));
    va_end(args);
    arena_free(&arena);
}

/* ---- messages ---- */

/* Which method is meant; ends the call when there is none. */
static void begin(struct grpc_call *c) {
    const struct grpc_method *const *all = c->connection->home->grpc->o.methods;
    struct str path = buf_str(&c->path), type = buf_str(&c->content_type);
    bool known = false;
    if (!str_has_prefix(type, STR("application/grpc"))) {
        grpc_call_reset(c, NGHTTP2_INTERNAL_ERROR); /* as the peer */
        return;
    }
    struct str name = str_sub(path, 1, SIZE_MAX), service = str_cut(&name, '/');
    if (path.len == 0 || path.data[0] != '/' || name.data == NULL) {
        end_format(c, GRPC_RESOURCE_EXHAUSTED, "malformed method name: \"" STR_FMT "\"",
                   STR_ARG(path));
        return;
    }
    for (size_t i = 0; all[i] != NULL; i++) {
        if (!str_is(service, all[i]->service))
            continue;
        known = true;
        if (str_is(name, all[i]->name))
            c->method = all[i];
    }
    if (c->method != NULL) {
        c->begun = true;
        c->method->begin(c);
    } else if (known) {
        end_format(c, GRPC_UNIMPLEMENTED, "unknown method " STR_FMT " for service " STR_FMT,
                   STR_ARG(name), STR_ARG(service));
    } else {
        end_format(c, GRPC_UNIMPLEMENTED, "unknown service " STR_FMT, STR_ARG(service));
    }
}

/* True: the message at the front is whole, or the call has ended for what it is. */
static bool front_is_judged(struct grpc_call *c, struct str *message) {
    *message = STR_NONE;
    if (c->in.len < PREFIX)
        return false;
    size_t len = be32_get(c->in.data + 1);
    if (c->in.data[0] != 0 && (c->encoding.len == 0 || str_is(buf_str(&c->encoding), "identity")))
        grpc_end(c, GRPC_INTERNAL,
                 STR("grpc: compressed flag set with identity or empty encoding"));
    else if (c->in.data[0] != 0)
        end_format(c, GRPC_UNIMPLEMENTED,
                   "grpc: Decompressor is not installed for grpc-encoding \"" STR_FMT "\"",
                   STR_ARG(buf_str(&c->encoding)));
    else if (len > GRPC_MESSAGE_MAX)
        end_format(c, GRPC_RESOURCE_EXHAUSTED,
                   "grpc: received message larger than max (%zu vs. %zu)", len, GRPC_MESSAGE_MAX);
    else if (c->in.len - PREFIX < len)
        return false;
    else
        *message = len > 0 ? str_of(c->in.data + PREFIX, len) : STR("");
    return true;
}

static void deliver(struct grpc_call *c) {
    struct str message;
    size_t taken = 0;
    struct buf all = c->in; /* the view moves over it */
    while (!c->ended && front_is_judged(c, &message)) {
        if (message.data == NULL)
            break;
        c->method->message(c, message);
        taken += PREFIX + message.len;
        c->in.data += PREFIX + message.len;
        c->in.len -= PREFIX + message.len;
    }
    c->in = all;
    grpc_call_set_input(c, c->ended ? c->in.len : taken);
    if (c->client_ended && !c->ended && !c->told_half_closed) {
        c->told_half_closed = true;
        c->method->half_closed(c);
    }
}

/* ---- turns ---- */

void grpc_call_serve(struct grpc_call *c) {
    if (c->head_whole && !c->begun && !c->ended)
        begin(c);
    if (c->begun && !c->ended)
        deliver(c);
    if (c->begun && c->out.len == 0 && !c->ended && (c->was_sent || c->held)) {
        c->was_sent = false;
        c->method->writable(c);
    }
}
