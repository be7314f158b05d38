/* The log to syslog (config.md 4.3): one datagram a line to the local daemon, tagged "consul", all
 * with the priority NOTICE, as the peer sends them. Whoever logs does not wait for a daemon that is
 * slow: what it does not take at once is lost.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "agent/agent_files.h"
#include "base/buf.h"
#include "base/mem.h"

#define SYSLOG_NOTICE 5
#define LINE_MAX_BYTES 8192

static const struct {
    const char *name;
    int number;
} facilities[] = {
    {"KERN", 0},      {"USER", 1},    {"MAIL", 2},    {"DAEMON", 3},  {"AUTH", 4},
    {"SYSLOG", 5},    {"LPR", 6},     {"NEWS", 7},    {"UUCP", 8},    {"CRON", 9},
    {"AUTHPRIV", 10}, {"FTP", 11},    {"LOCAL0", 16}, {"LOCAL1", 17}, {"LOCAL2", 18},
    {"LOCAL3", 19},   {"LOCAL4", 20}, {"LOCAL5", 21}, {"LOCAL6", 22}, {"LOCAL7", 23},
};

/* Guarded by the log's own lock once the sink is there. */
static struct {
    struct sockaddr_un address;
    int fd, priority;
    struct log_sink *sink;
} syslog_state = {.fd = -1};

static bool connect_syslog(void) {
    syslog_state.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (syslog_state.fd >= 0 && connect(syslog_state.fd, (struct sockaddr *)&syslog_state.address,
                                        sizeof(syslog_state.address)) == 0)
        return true;
    if (syslog_state.fd >= 0)
        close(syslog_state.fd);
    syslog_state.fd = -1;
    return false;
}

static bool send_line(const struct buf *line) {
    return syslog_state.fd >= 0 &&
           (send(syslog_state.fd, line->data, line->len, MSG_NOSIGNAL) >= 0 || errno == EAGAIN);
}

/* Called under the log's own lock. */
static void write_syslog(void *owner, enum log_level level, struct str text) {
    (void)owner;
    (void)level;
    char stamp[32];
    struct tm parts;
    time_t now = time(NULL);
    localtime_r(&now, &parts);
    strftime(stamp, sizeof(stamp), "%b %e %H:%M:%S", &parts);
    struct buf line = BUF_INIT;
    buf_add_format(&line, "<%d>%s consul[%ld]: ", syslog_state.priority, stamp, (long)getpid());
    buf_add_str(&line, str_sub(text, 0, LINE_MAX_BYTES));
    buf_add_char(&line, '\n');
    if (!send_line(&line)) { /* the daemon may have been started anew */
        if (syslog_state.fd >= 0)
            close(syslog_state.fd);
        if (connect_syslog())
            send_line(&line);
    }
    buf_free(&line);
}

bool agent_open_syslog(const struct config *c, const char *path, enum log_level level,
                       struct error *e) {
    if (!c->logging.enable_syslog)
        return true;
    int facility = -1;
    for (size_t i = 0; i < COUNT_OF(facilities); i++)
        if (str_eq_fold(c->logging.syslog_facility, str_from(facilities[i].name)))
            facility = facilities[i].number;
    if (facility < 0)
        return error_set(
            e, ERROR_INTERNAL,
            "Failed to setup logging: Syslog setup error: invalid syslog facility: " STR_FMT,
            STR_ARG(c->logging.syslog_facility));
    syslog_state.priority = facility * 8 + SYSLOG_NOTICE;
    syslog_state.address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(syslog_state.address.sun_path, sizeof(syslog_state.address.sun_path), "%s", path);
    if (!connect_syslog())
        return error_set(e, ERROR_INTERNAL,
                         "Failed to setup logging: Syslog setup error: Unix syslog delivery error");
    syslog_state.sink = log_add_sink(level, c->logging.json, write_syslog, NULL);
    return true;
}

void agent_set_syslog_level(enum log_level level) {
    log_sink_set_level(syslog_state.sink, level);
}
