/* What the agent tells the system that it runs on: lines to syslog, readiness to systemd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/agent_files.h"
#include "base/log.h"

static char folder[] = "/tmp/test_system.XXXXXX";
static struct sockaddr_un address = {.sun_family = AF_UNIX};

static int listen_here(void) {
    struct timeval limit = {.tv_sec = 10};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    unlink(address.sun_path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return fd;
}

static void receive(int fd, char *text, size_t size) {
    ssize_t n = recv(fd, text, size - 1, 0);
    assert_true(n > 0);
    text[n] = '\0';
}

static void test_systemd(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    char text[256];
    unsetenv("NOTIFY_SOCKET");
    assert_false(agent_notify_systemd("READY=1", &e));
    assert_true(str_is(e.text, "No socket"));
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    assert_false(agent_notify_systemd("READY=1", &e));
    int fd = listen_here();
    assert_true(agent_notify_systemd("READY=1", &e));
    receive(fd, text, sizeof(text));
    assert_string_equal(text, "READY=1");
    close(fd);
    unlink(address.sun_path);
    arena_free(&arena);
}

static void test_syslog(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct config c = {.logging = {.enable_syslog = true, .syslog_facility = STR("nope")}};
    char text[4096], expected[128];
    assert_false(agent_open_syslog(&c, address.sun_path, LOG_INFO, &e));
    c.logging.syslog_facility = STR("local1");
    assert_false(agent_open_syslog(&c, address.sun_path, LOG_INFO, &e));
    assert_true(str_find(e.text, STR("Unix syslog delivery error"), 0) > 0);
    int fd = listen_here();
    assert_true(agent_open_syslog(&c, address.sun_path, LOG_INFO, &e));
    log_at(LOG_INFO, "agent", "hello", LOG_C("a", "b"));
    receive(fd, text, sizeof(text));
    assert_memory_equal(text, "<141>", 5);
    snprintf(expected, sizeof(expected), " consul[%ld]: ", (long)getpid());
    assert_non_null(strstr(text, expected));
    assert_non_null(strstr(text, " [INFO]  agent: hello: a=b\n"));
    close(fd);
    log_at(LOG_INFO, "agent", "to nobody");
    fd = listen_here(); /* the daemon comes again */
    log_at(LOG_INFO, "agent", "again");
    receive(fd, text, sizeof(text));
    assert_non_null(strstr(text, "agent: again\n"));
    close(fd);
    unlink(address.sun_path);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_systemd),
        cmocka_unit_test(test_syslog),
    };
    if (mkdtemp(folder) == NULL)
        return 1;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", folder);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
