/* Telling systemd that the agent is ready (sd_notify's protocol: a datagram to $NOTIFY_SOCKET).
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/agent_files.h"

bool agent_notify_systemd(const char *state, struct error *e) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (path == NULL || *path == '\0')
        return error_set(e, ERROR_IO, "No socket");
    size_t len = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || len >= sizeof(to.sun_path))
        return error_set(e, ERROR_IO, "NOTIFY_SOCKET is no path");
    memcpy(to.sun_path, path, len);
    if (path[0] == '@') /* a name of the abstract kind */
        to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    ssize_t sent =
        fd < 0 ? -1 : sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, size);
    bool ok = sent >= 0 || error_set_errno(e, errno, "write to %s", path);
    if (fd >= 0)
        close(fd);
    return ok;
}
