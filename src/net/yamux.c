/* The yamux session: frames taken apart as they come, whatever the pieces; streams, windows, pings.
 * The rules that are quoted are rpc.md 2's.
 */
#include "net/yamux.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/time.h"

#define HEADER 12
#define KEEPALIVE (30 * SECOND)
#define KEEPALIVE_TIMEOUT (10 * SECOND)
#define LAST_ID 0xfffffff0u

enum frame_type { FRAME_DATA, FRAME_WINDOW, FRAME_PING, FRAME_GO_AWAY };
enum frame_flag { FLAG_SYN = 1, FLAG_ACK = 2, FLAG_FIN = 4, FLAG_RST = 8 };

struct yamux_stream {
    struct yamux *session;
    const struct yamux_stream_handlers *on; /* NULL: not accepted, or closed by its user */
    void *owner;
    struct yamux_stream *next, *previous; /* all of the session */
    /* In the list of those that wait to be accepted, or of those that wait for room. */
    struct yamux_stream *queue_next, *queue_previous;
    struct yamux_queue *queue;
    struct buf in; /* came, and was not taken */
    uint32_t id;
    uint32_t receive_window; /* what the other side may still send */
    uint32_t send_window;
    bool unacked;    /* opened here, and the other side has not consented yet */
    bool accepted;   /* or opened here */
    bool busy;       /* no `data` for now */
    bool ended;      /* the other side's FIN came */
    bool end_told;   /* and the user knows */
    bool closed;     /* FIN sent: lives on only until the other side's comes */
    bool delivering; /* inside `data` */
    bool dead;       /* to be freed when that returns */
};

struct yamux_queue {
    struct yamux_stream *first, *last;
    unsigned count;
};

struct yamux {
    const struct yamux_handlers *on;
    void *owner;
    enum yamux_role role;
    struct map streams; /* by id, 4 bytes */
    struct yamux_stream *first;
    struct yamux_queue backlog;
    struct yamux_queue thirsty; /* wait for room in window or output */
    size_t kept;                /* bytes of all stream->in */
    uint32_t next_id;
    unsigned unacked;
    bool open_wanted;
    bool refused; /* go away 0 came */
    bool over, told;
    unsigned depth; /* of handlers */
    const char *error;

    /* The frame that is coming in. */
    uint8_t header[HEADER];
    uint32_t header_len;
    uint32_t payload_left;
    uint16_t flags;
    struct yamux_stream *target; /* whose payload it is; NULL: nobody's */

    int64_t ping_at;   /* when the next ping is due */
    int64_t ping_sent; /* 0: none is under way */
    uint32_t ping_id;
};

/* ---- lists ---- */

static void queue_add(struct yamux_queue *q, struct yamux_stream *s) {
    ASSERT(s->queue == NULL);
    s->queue = q;
    s->queue_next = NULL;
    s->queue_previous = q->last;
    if (q->last != NULL)
        q->last->queue_next = s;
    else
        q->first = s;
    q->last = s;
    q->count++;
}

static void queue_remove(struct yamux_stream *s) {
    struct yamux_queue *q = s->queue;
    if (q == NULL)
        return;
    if (s->queue_previous != NULL)
        s->queue_previous->queue_next = s->queue_next;
    else
        q->first = s->queue_next;
    if (s->queue_next != NULL)
        s->queue_next->queue_previous = s->queue_previous;
    else
        q->last = s->queue_previous;
    q->count--;
    s->queue = NULL;
}

static struct yamux_stream *find(const struct yamux *y, uint32_t id) {
    return map_get(&y->streams, str_of(&id, sizeof id));
}

static struct yamux_stream *stream_add(struct yamux *y, uint32_t id) {
    struct yamux_stream *s = MEM_NEW(struct yamux_stream);
    s->session = y;
    s->id = id;
    s->receive_window = YAMUX_WINDOW;
    s->send_window = YAMUX_WINDOW;
    s->next = y->first;
    if (s->next != NULL)
        s->next->previous = s;
    y->first = s;
    map_put(&y->streams, str_of(&id, sizeof id), s);
    return s;
}

static void drop_kept(struct yamux_stream *s) {
    s->session->kept -= s->in.len;
    buf_free(&s->in);
}

static void stream_acked(struct yamux_stream *s) {
    if (!s->unacked)
        return;
    s->unacked = false;
    s->session->unacked--;
}

/* Out of all lists; the memory goes too, unless a handler of it runs. */
static void stream_remove(struct yamux_stream *s) {
    struct yamux *y = s->session;
    stream_acked(s);
    queue_remove(s);
    drop_kept(s);
    map_remove(&y->streams, str_of(&s->id, sizeof s->id));
    if (s->previous != NULL)
        s->previous->next = s->next;
    else
        y->first = s->next;
    if (s->next != NULL)
        s->next->previous = s->previous;
    if (y->target == s)
        y->target = NULL;
    s->on = NULL;
    s->dead = true;
    if (!s->delivering)
        mem_free(s);
}

/* ---- life ---- */

struct yamux *yamux_new(enum yamux_role role, int64_t now, const struct yamux_handlers *on,
                        void *owner) {
    struct yamux *y = MEM_NEW(struct yamux);
    y->on = on;
    y->owner = owner;
    y->role = role;
    y->next_id = role == YAMUX_CLIENT ? 1 : 2;
    y->ping_at = now + KEEPALIVE;
    return y;
}

void *yamux_owner(const struct yamux *y) {
    return y->owner;
}

/* Tells all streams that it is over: last thing of whatever ended it. */
static void tell_over(struct yamux *y) {
    if (!y->over || y->told || y->depth > 0)
        return;
    y->told = true;
    y->depth++;
    while (y->first != NULL) {
        struct yamux_stream *s = y->first;
        const struct yamux_stream_handlers *on = s->on;
        s->on = NULL;
        s->closed = true; /* its user must not touch it any more */
        if (on != NULL)
            on->gone(s, YAMUX_SESSION);
        stream_remove(s);
    }
    y->depth--;
}

bool yamux_is_told(const struct yamux *y) {
    return y->told && y->first == NULL;
}

static void leave(struct yamux *y) {
    y->depth--;
    tell_over(y);
}

void yamux_end(struct yamux *y, const char *why) {
    if (!y->over) {
        y->over = true;
        y->error = why;
    }
    tell_over(y);
}

void yamux_free(struct yamux *y) {
    ASSERT(y->depth == 0);
    yamux_end(y, "session shutdown");
    map_free(&y->streams);
    mem_free(y);
}

bool yamux_is_over(const struct yamux *y) {
    return y->over;
}

const char *yamux_error(const struct yamux *y) {
    return y->error;
}

bool yamux_refuses(const struct yamux *y) {
    return y->refused;
}

unsigned yamux_count(const struct yamux *y) {
    return (unsigned)y->streams.count;
}

/* ---- frames out ---- */

static struct buf *frame(struct yamux *y, enum frame_type type, unsigned flags, uint32_t id,
                         uint32_t length) {
    uint8_t bytes[HEADER] = {0, (uint8_t)type};
    be16_put(bytes + 2, (uint16_t)flags);
    be32_put(bytes + 4, id);
    be32_put(bytes + 8, length);
    struct buf *out = y->on->out(y);
    buf_add(out, bytes, sizeof bytes);
    return out;
}

/* Nothing more is understood of the other side. */
static void protocol_error(struct yamux *y, const char *what) {
    if (y->over)
        return;
    frame(y, FRAME_GO_AWAY, 0, 0, 1);
    y->over = true;
    y->error = what;
}

/* "delta = 262144 − bytes still buffered − current receive window; send it only if delta ≥ 131072".
 * What is on its way of the frame that is coming in has left the window already. */
static void grant(struct yamux_stream *s) {
    struct yamux *y = s->session;
    if (y->over || s->ended || s->closed)
        return;
    size_t held = s->in.len + s->receive_window + (y->target == s ? y->payload_left : 0);
    if (held > YAMUX_WINDOW / 2)
        return;
    uint32_t delta = YAMUX_WINDOW - (uint32_t)held;
    s->receive_window += delta;
    frame(y, FRAME_WINDOW, 0, s->id, delta);
}

static size_t out_room(const struct yamux *y) {
    size_t backlog = y->on->backlog((struct yamux *)(uintptr_t)y);
    return backlog < YAMUX_OUT_LIMIT ? YAMUX_OUT_LIMIT - backlog : 0;
}

size_t yamux_room(const struct yamux_stream *s) {
    if (s->session->over || s->closed || s->dead)
        return 0;
    size_t room = out_room(s->session);
    return room < s->send_window ? room : s->send_window;
}

size_t yamux_write(struct yamux_stream *s, const char *bytes, size_t len) {
    struct yamux *y = s->session;
    size_t room = yamux_room(s);
    size_t n = len < room ? len : room;
    if (n < len && s->queue == NULL && !y->over && !s->closed)
        queue_add(&y->thirsty, s);
    if (n == 0)
        return 0;
    s->send_window -= (uint32_t)n;
    struct buf *out = frame(y, FRAME_DATA, 0, s->id, (uint32_t)n);
    buf_add(out, bytes, n);
    return n;
}

static void tell_room(struct yamux_stream *s) {
    struct yamux *y = s->session;
    if (s->queue != &y->thirsty)
        return;
    queue_remove(s);
    if (s->on != NULL && s->on->writable != NULL) {
        y->depth++;
        s->on->writable(s);
        leave(y);
    }
}

void yamux_drained(struct yamux *y) {
    y->depth++;
    /* Each at most once: those that are thirsty again stand behind. */
    for (unsigned n = y->thirsty.count; n > 0 && !y->over && out_room(y) > 0; n--) {
        struct yamux_stream *s = y->thirsty.first;
        if (s == NULL)
            break;
        if (s->send_window > 0) {
            tell_room(s);
        } else {
            queue_remove(s);
            queue_add(&y->thirsty, s);
        }
    }
    leave(y);
}

/* ---- the user's side of streams ---- */

struct yamux_stream *yamux_open(struct yamux *y, const struct yamux_stream_handlers *on,
                                void *owner, bool *wait) {
    *wait = false;
    if (y->over || y->refused || y->streams.count >= YAMUX_STREAMS_MAX || y->next_id > LAST_ID)
        return NULL;
    if (y->unacked >= YAMUX_BACKLOG) {
        *wait = y->open_wanted = true;
        return NULL;
    }
    while (find(y, y->next_id) != NULL) /* the other side used an id that is not its to use */
        y->next_id += 2;
    struct yamux_stream *s = stream_add(y, y->next_id);
    y->next_id += 2;
    y->unacked++;
    s->unacked = s->accepted = true;
    s->on = on;
    s->owner = owner;
    frame(y, FRAME_WINDOW, FLAG_SYN, s->id, 0);
    return s;
}

struct yamux_stream *yamux_accept(struct yamux *y, const struct yamux_stream_handlers *on,
                                  void *owner) {
    struct yamux_stream *s = y->backlog.first;
    if (s == NULL || y->over)
        return NULL;
    queue_remove(s);
    s->accepted = s->busy = true;
    s->on = on;
    s->owner = owner;
    frame(y, FRAME_WINDOW, FLAG_ACK, s->id, 0);
    return s;
}

struct yamux *yamux_session(const struct yamux_stream *s) {
    return s->session;
}

void *yamux_stream_owner(const struct yamux_stream *s) {
    return s->owner;
}

void yamux_stream_set_owner(struct yamux_stream *s, const struct yamux_stream_handlers *on,
                            void *owner) {
    s->on = on;
    s->owner = owner;
}

uint32_t yamux_stream_id(const struct yamux_stream *s) {
    return s->id;
}

struct str yamux_kept(const struct yamux_stream *s) {
    return buf_str(&s->in);
}

void yamux_close(struct yamux_stream *s) {
    struct yamux *y = s->session;
    ASSERT(!s->closed && !s->dead);
    if (!y->over)
        frame(y, FRAME_WINDOW, FLAG_FIN, s->id, 0);
    if (s->ended || y->over) {
        stream_remove(s);
        return;
    }
    queue_remove(s);
    drop_kept(s);
    s->closed = true;
    s->on = NULL;
}

void yamux_reset(struct yamux_stream *s) {
    struct yamux *y = s->session;
    ASSERT(!s->closed && !s->dead);
    if (!y->over)
        frame(y, FRAME_WINDOW, FLAG_RST, s->id, 0);
    stream_remove(s);
}

/* ---- delivering ---- */

/* Gives bytes to the user; returns how much was taken. False in *alive: the stream is no more. */
static size_t give(struct yamux_stream *s, const char *bytes, size_t len, bool *alive) {
    struct yamux *y = s->session;
    y->depth++;
    s->delivering = true;
    size_t taken = s->on->data(s, bytes, len);
    s->delivering = false;
    y->depth--; /* the caller leaves */
    ASSERT(taken <= len);
    *alive = !s->dead && !s->closed;
    if (s->dead)
        mem_free(s);
    return taken;
}

/* What is kept is offered again. False: the stream is no more. */
static bool give_kept(struct yamux_stream *s) {
    struct yamux *y = s->session;
    bool alive;
    /* The user may close the stream, which frees what it is reading: so it has the bytes lent. */
    struct buf in = s->in;
    size_t before = in.len;
    s->in = BUF_INIT;
    y->kept -= before;
    size_t taken = give(s, in.data, in.len, &alive);
    if (!alive || taken == before) {
        buf_free(&in);
        return alive;
    }
    memmove(in.data, in.data + taken, before - taken);
    in.len = before - taken;
    s->in = in;
    y->kept += in.len;
    return true;
}

static void tell_end(struct yamux_stream *s) {
    struct yamux *y = s->session;
    if (s->end_told || s->on == NULL)
        return;
    s->end_told = true;
    y->depth++;
    s->on->ended(s);
    leave(y);
}

static void keep(struct yamux_stream *s, const char *bytes, size_t len) {
    struct yamux *y = s->session;
    if (y->kept + len > YAMUX_KEPT_MAX) {
        protocol_error(y, "too much that nobody reads");
        return;
    }
    buf_add(&s->in, bytes, len);
    y->kept += len;
}

static void payload(struct yamux_stream *s, const char *bytes, size_t len) {
    if (s->closed || s->ended)
        return; /* nobody wants it; what was granted is used up */
    if (s->on == NULL || s->busy) {
        keep(s, bytes, len);
        return;
    }
    if (s->in.len > 0) {
        keep(s, bytes, len);
        if (!s->session->over && give_kept(s))
            grant(s);
        return;
    }
    bool alive;
    size_t taken = give(s, bytes, len, &alive);
    if (!alive)
        return;
    if (taken < len)
        keep(s, bytes + taken, len - taken);
    grant(s);
}

void yamux_set_busy(struct yamux_stream *s, bool busy) {
    struct yamux *y = s->session;
    bool before = s->busy;
    s->busy = busy;
    if (busy || !before || s->delivering || y->over)
        return;
    y->depth++;
    bool alive = true;
    if (s->in.len > 0)
        alive = give_kept(s);
    if (alive)
        grant(s);
    if (alive && s->ended)
        tell_end(s);
    leave(y);
}

/* ---- frames in ---- */

static void on_syn(struct yamux *y, uint32_t id) {
    if (find(y, id) != NULL) {
        protocol_error(y, "stream opened twice");
        return;
    }
    if (y->on->incoming == NULL || y->backlog.count >= YAMUX_BACKLOG ||
        y->streams.count >= YAMUX_STREAMS_MAX) {
        frame(y, FRAME_WINDOW, FLAG_RST, id, 0);
        return;
    }
    queue_add(&y->backlog, stream_add(y, id));
}

static void on_reset(struct yamux_stream *s) {
    struct yamux *y = s->session;
    const struct yamux_stream_handlers *on = s->on;
    s->closed = true; /* its user must not touch it any more */
    if (on != NULL) {
        s->on = NULL;
        y->depth++;
        on->gone(s, YAMUX_RESET);
        y->depth--;
    }
    stream_remove(s);
}

static void on_fin(struct yamux_stream *s) {
    if (s->closed) {
        stream_remove(s);
        return;
    }
    s->ended = true;
    tell_end(s);
}

static void on_window(struct yamux_stream *s, uint32_t more) {
    uint32_t window = s->send_window + more;
    s->send_window = window < more ? UINT32_MAX : window;
    if (more > 0 && s->send_window > 0 && out_room(s->session) > 0)
        tell_room(s);
}

/* The whole payload, if there is one, is in. */
static void frame_done(struct yamux *y) {
    struct yamux_stream *s = y->target;
    y->target = NULL;
    if (s != NULL && (y->flags & FLAG_FIN) != 0)
        on_fin(s);
}

static void stream_frame(struct yamux *y, enum frame_type type, uint32_t id, uint32_t length) {
    bool syn = (y->flags & FLAG_SYN) != 0;
    if (syn)
        on_syn(y, id);
    struct yamux_stream *s = y->over ? NULL : find(y, id);
    y->payload_left = type == FRAME_DATA ? length : 0;
    if (s == NULL)
        return;
    if ((y->flags & FLAG_ACK) != 0)
        stream_acked(s);
    if ((y->flags & FLAG_RST) != 0) {
        on_reset(s);
        return;
    }
    if ((y->flags & FLAG_FIN) != 0 && s->ended) {
        protocol_error(y, "unexpected flag");
        return;
    }
    if (type == FRAME_DATA && length > s->receive_window) {
        protocol_error(y, "receive window exceeded");
        return;
    }
    y->target = s;
    if (type == FRAME_DATA)
        s->receive_window -= length;
    else
        on_window(s, length);
}

static void on_ping(struct yamux *y, uint32_t id, int64_t now) {
    if ((y->flags & FLAG_SYN) != 0) {
        frame(y, FRAME_PING, FLAG_ACK, 0, id);
        return;
    }
    if (y->ping_sent == 0 || id != y->ping_id)
        return; /* nobody asked */
    y->ping_sent = 0;
    y->ping_id++;
    y->ping_at = now + KEEPALIVE;
}

static void on_go_away(struct yamux *y, uint32_t code) {
    if (code == 0) {
        y->refused = true;
        return;
    }
    y->over = true;
    y->error = code == 1   ? "yamux protocol error"
               : code == 2 ? "yamux internal error of the other side"
                           : "the other side said go away";
}

static void header_done(struct yamux *y, int64_t now) {
    unsigned type = y->header[1];
    uint32_t id = be32_get(y->header + 4), length = be32_get(y->header + 8);
    y->flags = be16_get(y->header + 2);
    if (y->header[0] != 0) {
        protocol_error(y, "invalid protocol version");
        return;
    }
    if (type == FRAME_PING) {
        on_ping(y, length, now);
    } else if (type == FRAME_GO_AWAY) {
        on_go_away(y, length);
    } else if (type == FRAME_DATA || type == FRAME_WINDOW) {
        stream_frame(y, type, id, length);
        if (!y->over && y->payload_left == 0)
            frame_done(y);
    } else {
        protocol_error(y, "invalid msg type");
    }
}

/* Streams came, or consent for those that were opened. */
static void tell_news(struct yamux *y) {
    if (y->backlog.count > 0 && !y->over)
        y->on->incoming(y);
    if (y->open_wanted && y->unacked < YAMUX_BACKLOG && !y->over) {
        y->open_wanted = false;
        if (y->on->openable != NULL)
            y->on->openable(y);
    }
}

bool yamux_input(struct yamux *y, const char *bytes, size_t len, int64_t now) {
    y->depth++;
    while (len > 0 && !y->over) {
        size_t n;
        if (y->payload_left > 0) {
            n = len < y->payload_left ? len : y->payload_left;
            y->payload_left -= (uint32_t)n;
            if (y->target != NULL)
                payload(y->target, bytes, n);
            if (y->payload_left == 0 && !y->over)
                frame_done(y);
        } else {
            n = HEADER - y->header_len < len ? HEADER - y->header_len : len;
            memcpy(y->header + y->header_len, bytes, n);
            y->header_len += (uint32_t)n;
            if (y->header_len == HEADER) {
                y->header_len = 0;
                header_done(y, now);
            }
        }
        bytes += n;
        len -= n;
        tell_news(y);
    }
    leave(y);
    return !y->over;
}

/* ---- keepalive ---- */

/* "a ping 30 s after session start, then 30 s after each answer; no answer in 10 s → closed" */
bool yamux_tick(struct yamux *y, int64_t now) {
    if (y->over)
        return false;
    if (y->ping_sent != 0 && now >= y->ping_sent + KEEPALIVE_TIMEOUT) {
        yamux_end(y, "keepalive failed");
        return false;
    }
    if (y->ping_sent == 0 && now >= y->ping_at) {
        y->ping_sent = now;
        frame(y, FRAME_PING, FLAG_SYN, 0, y->ping_id);
    }
    return true;
}

int64_t yamux_next(const struct yamux *y) {
    return y->ping_sent != 0 ? y->ping_sent + KEEPALIVE_TIMEOUT : y->ping_at;
}
