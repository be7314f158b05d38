/* The driver as other servers see it, over real sockets: a recording of the peer's traffic is
 * played to it and answered to the byte; whoever sends nonsense is closed and costs nothing; and as
 * a leader it gets on with followers that answer nonsense, nothing or no.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/log.h"
#include "codec/json.h"
#include "raft/wire.h"
#include "unit/server/driver_fixture.h"
#include "unit/vectors.h"

#define SELF "11111111-1111-4111-8111-111111111111"
#define OTHER "99999999-9999-4999-8999-999999999999"
#define WAIT_MS 20000

/* ---- a follower that waits for a leader ---- */

static void follower_options(struct fixture *f, bool dev) {
    fixture_options(f, dev);
    f->options.bootstrap = false;
    f->options.dev_timing = false;
    f->options.multiplier = 10; /* no elections of its own while a test runs */
}

static int linked(struct fixture *f) {
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    fcntl(pair[1], F_SETFL, O_NONBLOCK);
    struct stream_detached detached = {pair[1], BUF_INIT};
    raft_driver_accept(f->driver, &detached, "127.0.0.1:1", NULL, NULL);
    return pair[0];
}

static void write_all(int fd, struct str bytes) {
    while (bytes.len > 0) {
        ssize_t n = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        assert_true(n > 0);
        bytes = str_sub(bytes, (size_t)n, SIZE_MAX);
    }
}

/* Until `len` bytes have come; fewer: the connection was closed. */
static size_t read_up_to(int fd, char *out, size_t len) {
    size_t got = 0;
    while (got < len) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, WAIT_MS), 1);
        ssize_t n = recv(fd, out + got, len - got, 0);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    return got;
}

static bool is_closed(int fd) {
    char byte;
    return read_up_to(fd, &byte, 1) == 0;
}

static void send_request(int fd, const struct raft_message *m) {
    struct buf out = BUF_INIT;
    raft_wire_write_request(m, 3, &out);
    write_all(fd, buf_str(&out));
    buf_free(&out);
}

/* The next answer; false: closed. */
static bool read_answer(int fd, enum raft_message_kind request, struct raft_message *m,
                        struct str *refusal, struct arena *arena) {
    char bytes[4096];
    struct error e = ERROR_IN(arena);
    for (size_t len = 0; len < sizeof bytes;) {
        if (read_up_to(fd, bytes + len, 1) != 1)
            return false;
        size_t used;
        len++;
        if (raft_wire_read_response(request, str_of(bytes, len), &used, m, refusal, arena, &e) ==
            RAFT_WIRE_DONE)
            return true;
    }
    return false;
}

static struct raft_message append_of(uint64_t term, uint64_t previous, uint64_t previous_term,
                                     struct raft_entry **entries, size_t count, uint64_t commit) {
    return (struct raft_message){.kind = RAFT_APPEND,
                                 .append = {.term = term,
                                            .leader = STR("127.12.1.9:21899"),
                                            .previous_index = previous,
                                            .previous_term = previous_term,
                                            .commit = commit,
                                            .first = previous + 1,
                                            .count = count,
                                            .entries = entries}};
}

static struct raft_message heartbeat_of(uint64_t term) {
    struct raft_message m = append_of(term, 0, 0, NULL, 0, 0);
    m.append.heartbeat = true;
    return m;
}

static bool appended(int fd, const struct raft_message *m) {
    struct arena arena = ARENA_INIT;
    struct raft_message answer;
    struct str refusal;
    send_request(fd, m);
    assert_true(read_answer(fd, RAFT_APPEND, &answer, &refusal, &arena));
    bool success = refusal.len == 0 && answer.append_result.success;
    arena_free(&arena);
    return success;
}

/* Entries 1..12 of term 9: the configuration and no-ops. */
static void give_log(int fd) {
    struct raft_server servers[] = {{STR(SELF), STR("127.44.0.1:8300"), RAFT_VOTER},
                                    {STR(OTHER), STR("127.12.1.9:21899"), RAFT_VOTER}};
    struct raft_configuration *c = raft_configuration_new(servers, 2);
    struct raft_entry *entries[12] = {raft_configuration_entry(c, true)};
    for (size_t i = 1; i < 12; i++)
        entries[i] = raft_entry_new(RAFT_NOOP, STR_NONE, STR_NONE);
    for (size_t i = 0; i < 12; i++) {
        entries[i]->index = i + 1;
        entries[i]->term = 9;
    }
    struct raft_message m = append_of(9, 0, 0, entries, 12, 12);
    assert_true(appended(fd, &m));
    for (size_t i = 0; i < 12; i++)
        raft_entry_release(entries[i]);
    raft_configuration_release(c);
}

/* What other threads may ask is as new as the core's last round. */
static void wait_last_index(struct fixture *f, uint64_t index) {
    for (int i = 0; i < 2000 && raft_driver_last_index(f->driver) != index; i++)
        usleep(5000);
    assert_int_equal(raft_driver_last_index(f->driver), index);
}

/* ---- the recording ---- */

static struct str recorded_state(struct arena *arena) {
    return vectors_unpacked(arena, "raft/snapshot-dir/2-15-1795425206503/state.bin.gz");
}

/* The recorded snapshots of half a megabyte are not kept: a smaller one takes their place. */
static void play_install(int fd, struct str request, struct arena *arena) {
    struct error e = ERROR_IN(arena);
    struct raft_message m;
    struct str state = recorded_state(arena);
    int64_t protocol;
    size_t used;
    assert_int_equal(raft_wire_read_request(request, &used, &m, &protocol, arena, &e),
                     RAFT_WIRE_DONE);
    m.install.size = (int64_t)state.len;
    send_request(fd, &m);
    raft_wire_release(&m);
    write_all(fd, state);
}

static void play(int fd, const struct value *x, struct arena *arena) {
    struct str request = value_hex(x, "request_hex", arena);
    struct str wanted = value_hex(x, "response_hex", arena);
    if (request.data[0] == 2)
        play_install(fd, request, arena);
    else
        write_all(fd, request);
    char got[1024];
    assert_true(wanted.len <= sizeof got);
    size_t len = read_up_to(fd, got, wanted.len);
    if (len != wanted.len || memcmp(got, wanted.data, len) != 0)
        print_error("%.*s\n", STR_ARG(value_get(x, "name")->string));
    assert_int_equal(len, wanted.len);
    assert_memory_equal(got, wanted.data, len);
}

static const struct value *recording(struct arena *arena) {
    return value_get(vectors_json(arena, "raft/rpc.json"), "exchanges");
}

/* Those from `first` to `last`, each answered by a real follower, one after the other. A new
 * connection after each snapshot. */
static size_t play_from_to(struct fixture *f, const char *first, const char *last) {
    struct arena arena = ARENA_INIT;
    const struct value *list = recording(&arena);
    int fd = linked(f);
    bool on = false;
    size_t played = 0;
    for (size_t i = 0; i < list->list.len; i++) {
        const struct value *x = &list->list.items[i];
        struct str name = value_get(x, "name")->string;
        on |= str_is(name, first);
        if (!on)
            continue;
        play(fd, x, &arena);
        played++;
        if (str_is(value_get(x, "rpc")->string, "InstallSnapshot")) {
            close(fd);
            fd = linked(f);
        }
        if (str_is(name, last))
            break;
    }
    close(fd);
    arena_free(&arena);
    return played;
}

/* Everything that a leader written for it once did to a real server: votes, appends, conflicts,
 * chunks, configurations, TimeoutNow, snapshots, wrong versions. */
static void test_recording(void **state) {
    struct fixture f;
    follower_options(&f, false);
    fixture_begin(&f);
    int fd = linked(&f);
    give_log(fd);
    close(fd);
    assert_int_equal(
        play_from_to(&f, "to peer: vote: shorter log", "to peer: append: unknown fatal"), 28);
    /* The last one is fatal to the peer when it is applied, and to us. */
    for (int i = 0; i < 1000 && f.fatal == 0; i++)
        usleep(10000);
    assert_int_equal(f.fatal, 1);
    fixture_free(&f);
}

/* A real leader and an empty follower. */
static void test_recorded_catch_up(void **state) {
    struct fixture f;
    follower_options(&f, false);
    fixture_begin(&f);
    assert_int_equal(play_from_to(&f, "append: rejected by an empty follower",
                                  "append: catch-up batch from index 1"),
                     2);
    wait_last_index(&f, 13);
    fixture_free(&f);
}

/* ---- answers in order, however many ---- */

static void test_pipeline(void **state) {
    enum { COUNT = 3000 };
    struct fixture f;
    follower_options(&f, false);
    fixture_begin(&f);
    int fd = linked(&f);
    give_log(fd);
    struct buf out = BUF_INIT;
    for (uint64_t i = 0; i < COUNT;
         i++) { /* each waits for the disk; heartbeats in between do not */
        struct raft_entry *entry = raft_entry_new(RAFT_NOOP, STR_NONE, STR_NONE);
        entry->index = 13 + i;
        entry->term = 9;
        struct raft_message m = append_of(9, 12 + i, 9, &entry, 1, 12 + i);
        raft_wire_write_request(&m, 3, &out);
        struct raft_message beat = heartbeat_of(9);
        raft_wire_write_request(&beat, 3, &out);
        raft_entry_release(entry);
    }
    write_all(fd, buf_str(&out));
    buf_free(&out);
    struct arena arena = ARENA_INIT;
    for (uint64_t i = 0; i < 2 * COUNT; i++) {
        struct raft_message m;
        struct str refusal;
        assert_true(read_answer(fd, RAFT_APPEND, &m, &refusal, &arena));
        assert_true(m.append_result.success);
        if (i % 2 == 0)
            assert_int_equal(m.append_result.last_log, 12 + i / 2); /* before it was stored */
        arena_reset(&arena, 4096);
    }
    arena_free(&arena);
    close(fd);
    wait_last_index(&f, 12 + COUNT);
    fixture_free(&f);
}

/* Whoever never reads is not read either, and others are served meanwhile. */
static void test_never_reads(void **state) {
    struct fixture f;
    follower_options(&f, true);
    fixture_begin(&f);
    int deaf = linked(&f), fd = linked(&f);
    fcntl(deaf, F_SETFL, O_NONBLOCK);
    struct buf out = BUF_INIT;
    struct raft_message beat = heartbeat_of(9);
    raft_wire_write_request(&beat, 3, &out);
    size_t sent = 0, full = 0;
    while (full < 50 && sent < ((size_t)64 << 20)) {
        ssize_t n = send(deaf, out.data, out.len, MSG_NOSIGNAL);
        if (n != (ssize_t)out.len) { /* its end of the socket is full */
            full++;
            usleep(2000);
            if (n > 0)
                break; /* half a frame: whatever follows would be garbage */
        } else {
            sent += out.len;
        }
    }
    assert_true(sent < ((size_t)64 << 20));
    buf_free(&out);
    assert_true(appended(fd, &beat));
    close(deaf);
    assert_true(appended(fd, &beat));
    close(fd);
    fixture_free(&f);
}

/* ---- nonsense ---- */

static void expect_closed(struct fixture *f, struct str bytes) {
    int fd = linked(f);
    write_all(fd, bytes);
    assert_true(is_closed(fd));
    close(fd);
}

static void test_nonsense(void **state) {
    struct fixture f;
    follower_options(&f, true);
    fixture_begin(&f);
    expect_closed(&f, STR("\x07\x80"));
    expect_closed(&f, STR("GET / HTTP/1.1\r\n\r\n"));
    expect_closed(&f, STR("\x00\xc1"));
    expect_closed(&f, STR("\x00\x93\x01\x02\x03")); /* an array for a map */
    expect_closed(&f, STR("\x00\x81\xa7"
                          "Entries\xdd\xff\xff\xff\xff\xdd\xff\xff\xff\xff\xdd\xff\xff\xff\xff"
                          "\xdd\xff\xff\xff\xff\xdd\xff\xff\xff\xff\xdd\xff\xff\xff\xff"
                          "\xdd\xff\xff\xff\xff\xdd\xff\xff\xff\xff\xdd\xff\xff\xff\xff"
                          "\xdd\xff\xff\xff\xff\xdd\xff\xff\xff\xff\xdd\xff\xff\xff\xff"
                          "\xdd\xff\xff\xff\xff\xdd\xff\xff\xff\xff\xdd\xff\xff\xff\xff"));
    expect_closed(&f, STR("\x00\x81\xa6Leader\xdb\xff\xff\xff\xff")); /* 4 GiB that never come */
    expect_closed(&f, STR("\x02\x82\xafProtocolVersion\x03\xa4Size\xff")); /* -1 */
    expect_closed(
        &f, STR("\x01\x82\xafProtocolVersion\x03\xa4Term\xcf\xff\xff\xff\xff\xff\xff\xff\xff"));
    int fd = linked(&f); /* and it still answers */
    struct raft_message beat = heartbeat_of(1);
    assert_true(appended(fd, &beat));
    close(fd);
    fixture_free(&f);
}

/* What no leader sends: gaps, terms that go back, entries of the future. */
static void test_bad_entries(void **state) {
    struct fixture f;
    follower_options(&f, false);
    fixture_begin(&f);
    int fd = linked(&f);
    give_log(fd);
    struct raft_entry *entry = raft_entry_new(RAFT_NOOP, STR_NONE, STR_NONE);
    static const uint64_t bad[][3] = {
        {14, 9, 12}, {12, 9, 12}, {13, 8, 12}, {13, 10, 12}, {1, 9, 0}};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        entry->index = bad[i][0];
        entry->term = bad[i][1];
        struct raft_message m = append_of(9, bad[i][2], bad[i][2] > 0 ? 9 : 0, &entry, 1, 1000);
        bool ok = appended(fd, &m);
        assert_true(!ok || i == 4); /* the last is only known already */
    }
    raft_entry_release(entry);
    struct raft_entry *c = raft_entry_new(RAFT_CONFIGURATION, STR("\x81\xa7nothing\xc0"), STR_NONE);
    c->index = 13;
    c->term = 9;
    struct raft_message m = append_of(9, 12, 9, &c, 1, 12);
    (void)appended(fd, &m); /* an empty configuration may be taken or not: it must only not crash */
    raft_entry_release(c);
    struct raft_message beat = heartbeat_of(9);
    assert_true(appended(fd, &beat));
    close(fd);
    fixture_free(&f);
}

/* ---- snapshots ---- */

static struct raft_message install_of(uint64_t term, uint64_t index, size_t size) {
    struct raft_server servers[] = {{STR(SELF), STR("127.44.0.1:8300"), RAFT_VOTER},
                                    {STR(OTHER), STR("127.12.1.9:21899"), RAFT_VOTER}};
    return (struct raft_message){.kind = RAFT_INSTALL,
                                 .install = {.term = term,
                                             .leader = STR("127.12.1.9:21899"),
                                             .last_index = index,
                                             .last_term = term > 2 ? 2 : term,
                                             .configuration = raft_configuration_new(servers, 2),
                                             .configuration_index = 1,
                                             .size = (int64_t)size,
                                             .version = 1}};
}

/* 1: success, 0: not, -1: closed. */
static int installed(struct fixture *f, struct raft_message *m, struct str state) {
    struct arena arena = ARENA_INIT;
    struct raft_message answer;
    struct str refusal;
    int fd = linked(f);
    send_request(fd, m);
    for (size_t at = 0; at < state.len; at += 1000)
        write_all(fd, str_sub(state, at, 1000));
    int result = -1;
    if (read_answer(fd, RAFT_INSTALL, &answer, &refusal, &arena))
        result = refusal.len == 0 && answer.install_result.success;
    close(fd);
    arena_free(&arena);
    return result;
}

static void check_install(bool dev) {
    struct fixture f;
    struct arena arena = ARENA_INIT;
    struct str state = recorded_state(&arena);
    follower_options(&f, dev);
    fixture_begin(&f);
    struct raft_message m = install_of(3, 40, state.len);
    char *bad = arena_copy(&arena, state.data, state.len);
    memset(bad + state.len / 2, 0xc1, 1000);
    assert_int_equal(installed(&f, &m, str_of(bad, state.len)), 0); /* no state */
    m.install.configuration_index = 41;
    assert_int_equal(installed(&f, &m, state), 0);
    m.install.configuration_index = 1;
    int half = linked(&f); /* breaks off in the middle */
    send_request(half, &m);
    write_all(half, str_sub(state, 0, state.len / 2));
    close(half);
    wait_last_index(&f, 0);
    int code = 0;
    for (int i = 0; i < 100 && code != 1; i++) /* the one before may still be on its way out */
        code = installed(&f, &m, state);
    assert_int_equal(code, 1);
    wait_last_index(&f, 40);
    assert_int_equal(raft_driver_applied_index(f.driver), 40);
    struct raft_message old = install_of(2, 50, state.len);
    assert_int_equal(installed(&f, &old, state), 0); /* an older leader's */
    raft_configuration_release(old.install.configuration);
    m.install.last_index = 60; /* and a newer one on top */
    assert_int_equal(installed(&f, &m, state), 1);
    if (!dev) {
        fixture_stop(&f);
        fixture_begin(&f);
    }
    wait_last_index(&f, 60);
    raft_configuration_release(m.install.configuration);
    fixture_free(&f);
    arena_free(&arena);
}

static void test_install(void **state) {
    check_install(false);
}
static void test_install_dev(void **state) {
    check_install(true);
}

/* One after the other: while one comes in, others are read and refused; heartbeats are answered. */
static void test_two_installs(void **state) {
    struct fixture f;
    struct arena arena = ARENA_INIT;
    struct str bytes = recorded_state(&arena);
    follower_options(&f, false);
    fixture_begin(&f);
    struct raft_message m = install_of(3, 40, bytes.len);
    int slow = linked(&f), fd = linked(&f);
    send_request(slow, &m);
    write_all(slow, str_sub(bytes, 0, 100));
    struct raft_message beat = heartbeat_of(3);
    assert_true(appended(fd, &beat)); /* the slow one has begun by now */
    assert_int_equal(installed(&f, &m, bytes), 0);
    assert_true(appended(fd, &beat));
    write_all(slow, str_sub(bytes, 100, SIZE_MAX));
    struct raft_message answer;
    struct str refusal;
    assert_true(read_answer(slow, RAFT_INSTALL, &answer, &refusal, &arena));
    assert_true(answer.install_result.success);
    raft_configuration_release(m.install.configuration);
    close(slow);
    close(fd);
    fixture_free(&f);
    arena_free(&arena);
}

/* ---- as a leader ---- */

enum mood { HONEST, GARBAGE, MUTE, HANGS_UP, REFUSES, TALKS_TOO_MUCH, SAYS_NO };

struct fake {
    int listener;
    _Atomic int mood;
    _Atomic bool stop;
    _Atomic unsigned connections, snapshots;
    pthread_t thread;
    char address[32];
};
struct fake_link {
    struct fake *fake;
    int fd;
    uint64_t last; /* of its log, as far as it pretends */
};

static void fake_answer(struct fake_link *l, struct raft_message *m, struct buf *out) {
    struct raft_message r = {.kind = (enum raft_message_kind)(m->kind + 1)};
    if (m->kind == RAFT_APPEND) {
        r.append_result = (struct raft_append_result){
            .term = m->append.term, .success = atomic_load(&l->fake->mood) != SAYS_NO};
        r.append_result.no_retry_backoff = true;
    } else if (m->kind == RAFT_VOTE) {
        r.vote_result = (struct raft_vote_result){.term = m->vote.term, .granted = true};
    } else if (m->kind == RAFT_INSTALL) {
        r.install_result = (struct raft_install_result){.term = m->install.term, .success = true};
        l->fake->snapshots++;
    }
    switch (atomic_load(&l->fake->mood)) {
    case GARBAGE:
        buf_add_text(out, "\xc1\xc1\xc1 what?");
        break;
    case REFUSES:
        raft_wire_write_refusal(STR("not today"), out);
        break;
    case TALKS_TOO_MUCH:
        raft_wire_write_response(&r, STR(""), 3, out);
        raft_wire_write_response(&r, STR(""), 3, out);
        break;
    case MUTE:
        break;
    default:
        raft_wire_write_response(&r, STR(""), 3, out);
        break;
    }
}

static void fake_serve(struct fake_link *l, struct buf *in) {
    struct arena arena = ARENA_INIT;
    struct buf out = BUF_INIT;
    size_t at = 0;
    for (;;) {
        struct error e = ERROR_IN(&arena);
        struct raft_message m;
        int64_t protocol;
        size_t used;
        if (raft_wire_read_request(str_sub(buf_str(in), at, SIZE_MAX), &used, &m, &protocol, &arena,
                                   &e) != RAFT_WIRE_DONE)
            break;
        if (m.kind == RAFT_INSTALL && in->len - at - used < (size_t)m.install.size) {
            raft_wire_release(&m);
            break;
        }
        at += used + (m.kind == RAFT_INSTALL ? (size_t)m.install.size : 0);
        fake_answer(l, &m, &out);
        raft_wire_release(&m);
    }
    memmove(in->data, in->data + at, in->len - at);
    in->len -= at;
    if (out.len > 0)
        (void)!send(l->fd, out.data, out.len, MSG_NOSIGNAL);
    buf_free(&out);
    arena_free(&arena);
}

static void *fake_link_main(void *arg) {
    struct fake_link *l = arg;
    struct buf in = BUF_INIT;
    char piece[65536];
    bool typed = false, muted = false;
    while (!atomic_load(&l->fake->stop) && atomic_load(&l->fake->mood) != HANGS_UP) {
        if (muted && atomic_load(&l->fake->mood) != MUTE)
            break; /* what was not answered never will be */
        muted |= atomic_load(&l->fake->mood) == MUTE;
        struct pollfd p = {.fd = l->fd, .events = POLLIN};
        if (poll(&p, 1, 20) != 1)
            continue;
        ssize_t n = recv(l->fd, piece, sizeof piece, 0);
        if (n <= 0)
            break;
        buf_add(&in, piece + (typed ? 0 : 1), (size_t)n - (typed ? 0 : 1)); /* 0x01 comes first */
        typed = true;
        fake_serve(l, &in);
    }
    close(l->fd);
    buf_free(&in);
    free(l);
    return NULL;
}

static void *fake_main(void *arg) {
    struct fake *k = arg;
    pthread_t threads[512];
    size_t count = 0;
    while (!atomic_load(&k->stop) && count < COUNT_OF(threads)) {
        struct pollfd p = {.fd = k->listener, .events = POLLIN};
        if (poll(&p, 1, 20) != 1)
            continue;
        struct fake_link *l = calloc(1, sizeof *l);
        l->fake = k;
        l->fd = accept(k->listener, NULL, NULL);
        k->connections++;
        pthread_create(&threads[count++], NULL, fake_link_main, l);
    }
    for (size_t i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    return NULL;
}

static void fake_start(struct fake *k) {
    memset(k, 0, sizeof *k);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f410001)};
    socklen_t len = sizeof a;
    k->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(k->listener, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(k->listener, 64), 0);
    getsockname(k->listener, (struct sockaddr *)&a, &len);
    snprintf(k->address, sizeof k->address, "127.65.0.1:%u", ntohs(a.sin_port));
    pthread_create(&k->thread, NULL, fake_main, k);
}

static void fake_stop(struct fake *k) {
    atomic_store(&k->stop, true);
    pthread_join(k->thread, NULL);
    close(k->listener);
}

struct bootstrap_task {
    struct fixture *f;
    const char *address;
    bool ok;
};
static void bootstrap_run(void *arg) {
    struct bootstrap_task *t = arg;
    struct error e = ERROR_IN(&t->f->arena);
    struct raft_driver_server servers[] = {
        {STR(SELF), t->f->options.address, RAFT_DRIVER_VOTER, false},
        {STR(OTHER), str_from(t->address), RAFT_DRIVER_VOTER, false}};
    t->ok = raft_driver_bootstrap(t->f->driver, servers, 2, &e);
}

static void lead(struct fixture *f, struct fake *k, bool dev) {
    fixture_options(f, dev);
    f->options.bootstrap = false;
    f->options.dev_timing = false;
    f->options.multiplier = 1;
    fixture_begin(f);
    struct bootstrap_task t = {f, k->address, false};
    fixture_on_core(f, bootstrap_run, &t);
    assert_true(t.ok);
    fixture_on_core(f, bootstrap_run, &t);
    assert_false(t.ok); /* only on new clusters */
    uv_sem_wait(&f->leader);
}

/* Whatever the follower does, the leader survives it, loses its lease in time, and leads again when
 * the follower is itself again. */
static void test_moods(void **state) {
    static const enum mood moods[] = {GARBAGE, HANGS_UP, REFUSES, TALKS_TOO_MUCH, SAYS_NO, MUTE};
    struct fixture f;
    struct fake k;
    fake_start(&k);
    lead(&f, &k, false);
    assert_true(put_key(&f, "a", STR("1")) > 0);
    for (size_t i = 0; i < COUNT_OF(moods); i++) {
        unsigned revoked = f.revoked;
        atomic_store(&k.mood, (int)moods[i]);
        if (moods[i] ==
            TALKS_TOO_MUCH) { /* breaks connections, but half of it is what was wanted */
            usleep(300000);
        } else if (moods[i] != SAYS_NO) { /* that one answers heartbeats with no: nobody verifies */
            for (int n = 0; n < 1000 && f.revoked == revoked; n++)
                usleep(10000);
            assert_true(f.revoked > revoked);
        }
        atomic_store(&k.mood, HONEST);
        uint64_t index = 0;
        for (int n = 0; n < 2000 && index == 0; n++) {
            index = put_key(&f, "b", STR("2"));
            usleep(5000);
        }
        if (index == 0)
            print_error("after mood %d\n", (int)moods[i]);
        assert_true(index > 0);
    }
    assert_true(has_key(&f, "b", STR("2")));
    assert_int_equal(f.fatal, 0);
    fixture_free(&f);
    fake_stop(&k);
}

/* A change, a verification and a transfer among two. */
static void test_two_servers(void **state) {
    struct fixture f;
    struct fake k;
    fake_start(&k);
    lead(&f, &k, true);
    assert_true(put_key(&f, "a", STR("1")) > 0);
    struct asked verify = {.what = WHAT_VERIFY};
    ask(&f, &verify);
    assert_int_equal(verify.kind, ERROR_NONE);
    struct asked self = {.what = WHAT_TRANSFER, .id = STR(SELF)};
    ask(&f, &self);
    assert_string_equal(self.text, "cannot transfer leadership to itself");
    struct asked nobody = {.what = WHAT_TRANSFER, .id = STR("nobody")};
    ask(&f, &nobody);
    assert_string_equal(nobody.text, "cannot find peer");
    struct asked away = {.what = WHAT_TRANSFER}; /* it takes TimeoutNow but does not campaign */
    ask(&f, &away);
    assert_string_equal(away.text, "leadership transfer timeout");
    assert_true(put_key(&f, "b", STR("2")) > 0);
    struct asked demote = {.what = WHAT_CHANGE, .change = RAFT_DRIVER_DEMOTE, .id = STR(OTHER)};
    ask(&f, &demote);
    assert_int_equal(demote.kind, ERROR_NONE);
    struct asked remove = {.what = WHAT_CHANGE, .change = RAFT_DRIVER_REMOVE, .id = STR(OTHER)};
    ask(&f, &remove);
    assert_int_equal(remove.kind, ERROR_NONE);
    assert_true(put_key(&f, "c", STR("3")) > 0);
    assert_int_equal(f.revoked, 0);
    fixture_free(&f);
    fake_stop(&k);
}

int main(void) {
    log_set_level(LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recording),    cmocka_unit_test(test_recorded_catch_up),
        cmocka_unit_test(test_pipeline),     cmocka_unit_test(test_never_reads),
        cmocka_unit_test(test_nonsense),     cmocka_unit_test(test_bad_entries),
        cmocka_unit_test(test_install),      cmocka_unit_test(test_install_dev),
        cmocka_unit_test(test_two_installs), cmocka_unit_test(test_moods),
        cmocka_unit_test(test_two_servers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
