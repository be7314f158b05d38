/* A whole server with its port, and connections of anybody: the first byte, sessions, requests that
 * are really run, snapshots. The first bytes choose the pieces; what comes back is read for a
 * moment.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "server/rpc_port.h"
#include "server/server.h"

#define ADDRESS "127.63.9.1"

static struct server *server;
static struct rpc_port *port;

static void start(void) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    log_set_stdout(false);
    signal(SIGPIPE, SIG_IGN);
    struct server_options options = {.node_name = STR("n1"),
                                     .node_id = STR("adf4238a-882b-9ddc-4a9d-5b6758e4159e"),
                                     .datacenter = STR("dc1"),
                                     .dev_mode = true,
                                     .bootstrap = true,
                                     .advertise_address = STR(ADDRESS),
                                     .server_port = 8300,
                                     .io_threads = 1};
    server = server_new(&options, &e);
    ASSERT(server != NULL && server_start(server, &e));
    struct rpc_port_options where = {.bind_address = STR(ADDRESS)};
    port = rpc_port_open(server, &where, &e);
    ASSERT(port != NULL);
    rpc_port_start(port);
    for (int i = 0; i < 1000 && !server_is_leader(server); i++)
        usleep(10000);
}

/* Reads what comes within so many milliseconds; false: it was closed. */
static bool drain(int fd, int ms) {
    static char bytes[65536];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (poll(&p, 1, ms) > 0) {
        if (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) <= 0)
            return false;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (server == NULL)
        start();
    if (size < 4)
        return 0;
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)rpc_port_number(port))};
    inet_pton(AF_INET, ADDRESS, &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ASSERT(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    size_t piece = data[0] == 0 ? size : 1 + (size_t)data[0] * data[0];
    bool open = true;
    for (size_t at = 2; at < size && open;) {
        size_t n = piece < size - at ? piece : size - at;
        open = send(fd, data + at, n, MSG_NOSIGNAL) == (ssize_t)n;
        at += n;
        open = open && (at == size || drain(fd, 0));
    }
    if (data[1] % 2 == 0)
        shutdown(fd, SHUT_WR);
    if (open)
        drain(fd, data[1] % 4);
    close(fd);
    return 0;
}
