/* Files of the agent itself: its node ID, its PID file, its log file; and what it tells syslog and
 * systemd. Only for agent/agent*.c. */
#ifndef PRAETOR_AGENT_AGENT_FILES_H
#define PRAETOR_AGENT_AGENT_FILES_H

#include <sys/types.h>

#include "agent/config.h"

/* An errno as the peer's texts spell it: "no such file or directory". */
const char *agent_os_error(int code);

/* The ID in use (config.md 4.5), 36 characters and NUL. May create DATA_DIR/node-id. */
bool agent_find_node_id(const struct config *c, char out[37], struct error *e);
/* A small file, complete or not there at all, also after a loss of power. */
bool agent_write_for_good(const char *path, struct str text, mode_t mode, struct error *e);
bool agent_write_pid(const struct config *c, struct error *e);
/* Logs a warning when it cannot. */
void agent_remove_pid(const struct config *c);
/* Opens the log file, if one is configured, and copies the log to it from now on (config.md 4.3).
 * Its life ends with the process. */
bool agent_open_log_file(const struct config *c, enum log_level level, struct error *e);

/* Adds syslog to the log, when the configuration wants it. path: SYSLOG_PATH but in tests. */
#define SYSLOG_PATH "/dev/log"
bool agent_open_syslog(const struct config *c, const char *path, enum log_level level,
                       struct error *e);
/* Of standard output, the log file and syslog. */
void agent_set_log_level(enum log_level level);
void agent_set_syslog_level(enum log_level level);
/* "READY=1" to systemd. False with a reason, "No socket" when nobody asked for it. */
bool agent_notify_systemd(const char *state, struct error *e);

#endif
