/* A connection of gRPC, with frames of anybody behind a good preface, in pieces of any size, to
 * methods that answer each message, at once and later, that end at once, and that never do. The
 * first byte chooses the pieces; the second whether the client hangs up, and whether it reads.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "xds/grpc_room.h"

/* ---- methods ---- */

static unsigned calls; /* that have begun and not closed */

struct kept { /* what a method keeps of a call */
    struct buf waiting;
    struct grpc_call *call;
};

static void begin(struct grpc_call *c) {
    struct kept *k = MEM_NEW(struct kept);
    k->call = c;
    c->state = k;
    calls++;
}

static void closed(struct grpc_call *c) {
    struct kept *k = c->state;
    buf_free(&k->waiting);
    mem_free(k);
    calls--;
}

static void send_waiting(struct grpc_call *c) {
    struct kept *k = c->state;
    if (k->waiting.len > 0 && grpc_may_send(c))
        grpc_send(c, &k->waiting);
}

static void echo(struct grpc_call *c, struct str bytes) {
    struct kept *k = c->state;
    if (k->waiting.len < 100000)
        buf_add_str(&k->waiting, bytes);
    if (str_has_prefix(bytes, STR("end")))
        grpc_end(c, GRPC_UNKNOWN, bytes);
    else
        send_waiting(c);
}

static void nothing(struct grpc_call *c) {
    (void)c;
}

static void no_message(struct grpc_call *c, struct str bytes) {
    (void)c, (void)bytes;
}

static void finish(struct grpc_call *c) {
    grpc_end(c, GRPC_OK, STR(""));
}

static void refuse(struct grpc_call *c) {
    begin(c);
    grpc_end(c, GRPC_PERMISSION_DENIED, STR("no: 100% \xff"));
}

static void large(struct grpc_call *c, struct str bytes) {
    struct kept *k = c->state;
    (void)bytes;
    memset(buf_reserve(&k->waiting, 200000), 'x', 200000);
    k->waiting.len = k->waiting.len > 1000000 ? k->waiting.len : k->waiting.len + 200000;
    send_waiting(c);
}

static const struct grpc_method methods[] = {
    {"s", "Echo", begin, echo, finish, send_waiting, closed},
    {"s", "Silent", begin, no_message, nothing, nothing, closed},
    {"s", "Refuse", refuse, no_message, nothing, nothing, closed},
    {"t", "Large", begin, large, finish, send_waiting, closed},
};
static const struct grpc_method *const all[] = {&methods[0], &methods[1], &methods[2], &methods[3],
                                                NULL};

/* ---- the connection ---- */

static struct loop loop;
static struct grpc *grpc;

static void start(void) {
    static struct config config = {.references = 1u << 30};
    static const struct list none = {NULL, 0, true};
    static struct loop *loops[] = {&loop};
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct grpc_options o = {
        .addresses = &none, .config = &config, .loops = loops, .loop_count = 1, .methods = all};
    log_set_level(LOG_OFF);
    if (!loop_init(&loop, "fuzz", 1000, &e) || (grpc = grpc_start(&o, &e)) == NULL)
        abort();
}

/* One round of the loop; what it says is read. */
static void turn(int fd) {
    char waste[65536];
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    while (fd >= 0 && recv(fd, waste, sizeof waste, MSG_DONTWAIT) > 0)
        continue;
}

static bool put(int fd, const void *bytes, size_t len, bool reads) {
    bool fine = send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
    turn(reads ? fd : -1);
    return fine;
}

static void expect_nothing_left(void) {
    const struct grpc_loop *home = &grpc->loops[0];
    for (int i = 0; i < 100 && home->connections > 0; i++)
        turn(-1);
    if (home->connections > 0 || home->input > 0 || calls > 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct peer_address peer = {.ip_len = 0};
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
    int fds[2];
    if (grpc == NULL)
        start();
    if (size < 2 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0)
        return 0;
    grpc_connection_open(&grpc->loops[0], fds[0], &peer, false);
    size_t step = data[0] + 1u;
    bool hard = (data[1] & 1) != 0, reads = (data[1] & 2) == 0;
    put(fds[1], preface, sizeof preface, reads);
    for (size_t at = 2; at < size; at += step)
        if (!put(fds[1], data + at, step < size - at ? step : size - at, reads))
            break;
    for (int i = 0; i < 4 && !hard; i++)
        turn(fds[1]);
    close(fds[1]);
    expect_nothing_left();
    return 0;
}
