/* Signals as readable bytes: handlers write to a pipe that polls look at (client.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/time.h"
#include "cli/client.h"

static int wake_pipe[2] = {-1, -1};
static volatile sig_atomic_t last_signal;

static void on_signal(int number) {
    int saved = errno;
    if (number != SIGCHLD)
        last_signal = number;
    /* A full pipe wakes as well. */
    if (write(wake_pipe[1], "", 1) < 0)
        errno = saved;
    errno = saved;
}

void client_catch_signals(void) {
    if (wake_pipe[0] >= 0 || pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGCHLD, &action, NULL);
}

int client_signal(void) {
    return (int)last_signal;
}

void client_signal_clear(void) {
    last_signal = 0;
}

int client_wake_fd(void) {
    return wake_pipe[0];
}

void client_wake_drain(void) {
    char bytes[64];
    while (wake_pipe[0] >= 0 && read(wake_pipe[0], bytes, sizeof bytes) > 0)
        continue;
}

void client_wait(int64_t timeout) {
    struct pollfd fd = {.fd = wake_pipe[0], .events = POLLIN};
    int ms = timeout < 0 ? -1 : (int)((timeout + MILLISECOND - 1) / MILLISECOND);
    (void)poll(&fd, 1, ms);
    client_wake_drain();
}
