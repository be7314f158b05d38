/* Streams that somebody carries (stream.c): input that waits for a busy owner, output that is taken
 * in pieces, `drained` only when all was, deadlines, and every way to an end. All on one loop that
 * the test turns itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/time.h"
#include "net/stream_room.h"

static struct loop loop;

/* The owner takes input up to the last newline; the carrier counts. */
struct end {
    struct stream stream;
    struct buf got;
    int outputs, takens, drops, drained, expired, closed;
    bool take_at_once;
    struct buf sent;
    void (*on_data)(struct end *e);
};

static size_t on_data(struct stream *s, const char *bytes, size_t len) {
    struct end *e = (struct end *)s;
    size_t take = len;
    while (take > 0 && bytes[take - 1] != '\n')
        take--;
    buf_add(&e->got, bytes, take);
    if (take > 0 && e->on_data != NULL)
        e->on_data(e);
    return take;
}

static void on_ended(struct stream *s) {
    fail_msg("nobody says so");
}

static void on_drained(struct stream *s) {
    ((struct end *)s)->drained++;
}

static void on_expired(struct stream *s) {
    ((struct end *)s)->expired++;
}

static void on_closed(struct stream *s) {
    ((struct end *)s)->closed++;
}

static const struct stream_handlers handlers = {
    .data = on_data,
    .ended = on_ended,
    .drained = on_drained,
    .expired = on_expired,
    .closed = on_closed,
};

static void take(struct end *e, size_t most) {
    struct str out = stream_output(&e->stream);
    size_t len = out.len < most ? out.len : most;
    buf_add(&e->sent, out.data, len);
    stream_output_taken(&e->stream, len);
}

static void on_output(struct stream *s) {
    struct end *e = s->carrier_owner;
    e->outputs++;
    while (e->take_at_once && stream_output(s).len > 0)
        take(e, 1000);
}

static void on_taken(struct stream *s) {
    ((struct end *)s->carrier_owner)->takens++;
}

static void on_dropped(struct stream *s) {
    ((struct end *)s->carrier_owner)->drops++;
}

static const struct stream_carrier carrier = {on_output, on_taken, on_dropped};

static struct end *open_end(void) {
    struct end *e = MEM_NEW(struct end);
    stream_open_carried(&e->stream, &loop, &handlers, &carrier, e);
    assert_int_equal(stream_count(&loop), 0); /* not a connection */
    return e;
}

static void turn(void) {
    for (int i = 0; i < 3; i++)
        uv_run(&loop.uv, UV_RUN_NOWAIT);
}

static void close_end(struct end *e) {
    stream_close(&e->stream);
    stream_close(&e->stream);
    assert_int_equal(e->drops, 1);
    assert_int_equal(e->closed, 0); /* never inside */
    turn();
    assert_int_equal(e->closed, 1);
    buf_free(&e->got);
    buf_free(&e->sent);
    mem_free(e);
}

static void expect(const struct buf *b, const char *text) {
    assert_true(str_is(buf_str(b), text));
}

static int setup(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    return loop_init(&loop, "test", 100, &e) ? 0 : -1;
}

/* ---- input ---- */

static void test_input(void **state) {
    struct end *e = open_end();
    stream_input(&e->stream, STR("one\ntw"));
    expect(&e->got, "one\n");
    assert_int_equal(stream_input_waiting(&e->stream), 2);
    assert_int_equal(e->takens, 1);
    stream_set_busy(&e->stream, true);
    stream_input(&e->stream, STR("o\nthree\n"));
    expect(&e->got, "one\n");
    assert_int_equal(stream_input_waiting(&e->stream), 10);
    assert_int_equal(e->takens, 1);
    stream_set_busy(&e->stream, false);
    expect(&e->got, "one\ntwo\nthree\n");
    assert_int_equal(stream_input_waiting(&e->stream), 0);
    assert_int_equal(e->takens, 2);
    close_end(e);
}

static void answer(struct end *e) {
    buf_add_text(stream_out(&e->stream), "answer");
}

static void answer_and_close(struct end *e) {
    answer(e);
    stream_close(&e->stream);
}

static void answer_and_finish(struct end *e) {
    answer(e);
    stream_finish(&e->stream);
}

/* Output of `data` is offered once, at its end. */
static void test_answers(void **state) {
    struct end *e = open_end();
    e->on_data = answer;
    e->take_at_once = true;
    stream_input(&e->stream, STR("a\nb\n"));
    assert_int_equal(e->outputs, 1);
    expect(&e->sent, "answer");
    assert_false(e->stream.blocked);
    stream_input(&e->stream, STR("c\n"));
    expect(&e->sent, "answeranswer");
    close_end(e);

    e = open_end();
    e->on_data = answer_and_close;
    stream_input(&e->stream, STR("a\n"));
    assert_int_equal(e->outputs, 0);
    stream_input(&e->stream, STR("b\n")); /* nobody is there */
    expect(&e->got, "a\n");
    close_end(e);
}

/* ---- output ---- */

static int releases;

static void on_release(void *owner) {
    releases++;
}

static void test_output_in_pieces(void **state) {
    struct end *e = open_end();
    buf_add_text(stream_out(&e->stream), "own");
    stream_out_shared(&e->stream, STR("shared"), on_release, NULL);
    stream_out_shared(&e->stream, STR(""), on_release, NULL);
    buf_add_text(stream_out(&e->stream), "more");
    stream_flush(&e->stream);
    assert_int_equal(e->outputs, 1);
    assert_int_equal(stream_backlog(&e->stream), 13);
    assert_true(e->stream.blocked);
    take(e, 2);
    take(e, 100);
    expect(&e->sent, "own");
    take(e, 3);
    assert_int_equal(releases, 0);
    assert_int_equal(stream_backlog(&e->stream), 7);
    stream_output_settle(&e->stream); /* too early */
    assert_int_equal(e->drained, 0);
    take(e, 100);
    assert_int_equal(releases, 1);
    take(e, 100);
    assert_int_equal(releases, 2);
    expect(&e->sent, "ownsharedmore");
    assert_int_equal(stream_output(&e->stream).len, 0);
    assert_int_equal(e->drained, 0); /* not inside the carrier's calls */
    assert_true(e->stream.deadline != 0);
    stream_output_settle(&e->stream);
    assert_int_equal(e->drained, 1);
    assert_true(e->stream.deadline == 0);
    stream_output_settle(&e->stream);
    assert_int_equal(e->drained, 1);
    assert_false(stream_output_ended(&e->stream));
    close_end(e);
}

static void test_finish(void **state) {
    struct end *e = open_end();
    e->on_data = answer_and_finish;
    stream_input(&e->stream, STR("a\n"));
    assert_false(stream_output_ended(&e->stream));
    stream_input(&e->stream, STR("b\n")); /* thrown away */
    expect(&e->got, "a\n");
    take(e, 100);
    assert_true(stream_output_ended(&e->stream));
    stream_output_settle(&e->stream);
    assert_int_equal(e->drained, 0); /* it wants no more */
    assert_int_equal(e->drops, 0);
    close_end(e);

    e = open_end();
    stream_finish(&e->stream);
    assert_int_equal(e->outputs, 1); /* the end is something to say */
    assert_true(stream_output_ended(&e->stream));
    close_end(e);
}

static void test_dropped_output_is_released(void **state) {
    struct end *e = open_end();
    releases = 0;
    stream_out_shared(&e->stream, STR("shared"), on_release, NULL);
    stream_flush(&e->stream);
    close_end(e);
    assert_int_equal(releases, 1);
}

/* ---- time, and the loop ---- */

static void test_deadline(void **state) {
    struct end *e = open_end();
    stream_set_deadline(&e->stream, 100 * MILLISECOND);
    int64_t end = time_now_monotonic() + 10 * SECOND;
    while (e->expired == 0 && time_now_monotonic() < end)
        uv_run(&loop.uv, UV_RUN_ONCE);
    assert_int_equal(e->expired, 1);
    close_end(e);
}

static int seen;

static void see(struct stream *s) {
    seen++;
}

/* Who takes a byte now and then does not get more time; who takes much does. */
static void test_trickle(void **state) {
    struct end *e = open_end();
    struct stream *s = &e->stream;
    char *bytes = mem_zalloc(1, 3 * STREAM_WRITE_LEAST);
    buf_add(stream_out(s), bytes, 3 * STREAM_WRITE_LEAST);
    mem_free(bytes);
    stream_flush(s);
    assert_true(s->blocked);
    int64_t first = s->deadline;
    assert_in_range(first - time_now_monotonic(), STREAM_WRITE_TIME - SECOND, STREAM_WRITE_TIME);
    size_t taken = 0;
    for (; taken + 100 < STREAM_WRITE_LEAST; taken += 100) {
        take(e, 100);
        assert_int_equal(s->deadline, first);
    }
    take(e, 100);
    assert_true(s->deadline > first);
    first = s->deadline;
    take(e, STREAM_WRITE_LEAST - 1);
    assert_int_equal(s->deadline, first);
    take(e, SIZE_MAX);
    stream_output_settle(s);
    assert_int_equal(s->deadline, 0);
    assert_int_equal(e->drained, 1);
    close_end(e);
}

static void test_for_each(void **state) {
    struct end *a = open_end(), *b = open_end();
    stream_for_each(&loop, &handlers, see);
    assert_int_equal(seen, 2);
    close_end(a);
    stream_for_each(&loop, &handlers, see);
    assert_int_equal(seen, 3);
    close_end(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_input),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_output_in_pieces),
        cmocka_unit_test(test_finish),
        cmocka_unit_test(test_dropped_output_is_released),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_trickle),
        cmocka_unit_test(test_for_each),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
