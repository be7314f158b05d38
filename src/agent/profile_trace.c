/* What each thread did when. Every 10 ms the kernel's account of each thread is read; a span begins
 * when a thread starts to use a processor, or to wait for one or for a disk, and ends when it
 * stops. Written as trace events ("X": a span; "C": a counter; "M": a name), times in microseconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/profile_parts.h"
#include "base/mem.h"
#include "base/time.h"
#include "codec/json.h"

#define TRACE_BYTES_MAX ((size_t)64 << 20)

enum doing { DOING_NOTHING, DOING_DISK, DOING_WAITING, DOING_RUNNING };

struct traced { /* one thread */
    pid_t id;
    bool seen; /* in this step */
    uint64_t run_time, wait_time;
    enum doing doing;
    int64_t since;
    uint64_t span_run, span_wait; /* within the span */
};

struct profile_run {
    int64_t started, last;
    struct traced threads[THREADS_MAX];
    size_t thread_count;
    long resident; /* pages, as last written */
    struct buf text;
    struct json_writer writer;
    bool full;
};

static void key_text(struct json_writer *w, const char *key, struct str text) {
    json_key(w, str_from(key));
    json_str(w, text);
}

static void key_number(struct json_writer *w, const char *key, int64_t n) {
    json_key(w, str_from(key));
    json_i64(w, n);
}

static void begin_event(struct json_writer *w, const char *phase, const char *name, pid_t thread) {
    json_open_object(w);
    key_text(w, "ph", str_from(phase));
    key_text(w, "name", str_from(name));
    key_number(w, "pid", getpid());
    key_number(w, "tid", thread);
}

/* ---- events ---- */

static void write_name(struct profile_run *run, const struct thread_info *t) {
    struct json_writer *w = &run->writer;
    begin_event(w, "M", "thread_name", t->id);
    json_key(w, STR("args"));
    json_open_object(w);
    key_text(w, "name", str_from(t->name));
    json_close_object(w);
    json_close_object(w);
}

static void end_span(struct profile_run *run, struct traced *t, int64_t now) {
    static const char *const names[] = {[DOING_DISK] = "disk",
                                        [DOING_WAITING] = "waiting for a processor",
                                        [DOING_RUNNING] = "running"};
    struct json_writer *w = &run->writer;
    if (t->doing != DOING_NOTHING && !run->full) {
        begin_event(w, "X", names[t->doing], t->id);
        key_number(w, "ts", (t->since - run->started) / MICROSECOND);
        key_number(w, "dur", (now - t->since) / MICROSECOND);
        json_key(w, STR("args"));
        json_open_object(w);
        key_number(w, "cpu_us", (int64_t)(t->span_run / 1000));
        key_number(w, "waited_us", (int64_t)(t->span_wait / 1000));
        json_close_object(w);
        json_close_object(w);
    }
    t->doing = DOING_NOTHING;
    t->span_run = t->span_wait = 0;
}

static void write_memory(struct profile_run *run, int64_t now) {
    struct json_writer *w = &run->writer;
    long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    bool ok = file != NULL && fscanf(file, "%ld %ld", &size, &resident) == 2;
    if (file != NULL)
        fclose(file);
    if (!ok || resident == run->resident)
        return;
    run->resident = resident;
    begin_event(w, "C", "resident bytes", getpid());
    key_number(w, "ts", (now - run->started) / MICROSECOND);
    json_key(w, STR("args"));
    json_open_object(w);
    key_number(w, "bytes", resident * sysconf(_SC_PAGESIZE));
    json_close_object(w);
    json_close_object(w);
}

/* ---- steps ---- */

static struct traced *find(struct profile_run *run, const struct thread_info *t) {
    for (size_t i = 0; i < run->thread_count; i++)
        if (run->threads[i].id == t->id)
            return &run->threads[i];
    if (run->thread_count == THREADS_MAX)
        return NULL;
    write_name(run, t);
    struct traced *new = &run->threads[run->thread_count++];
    *new = (struct traced){.id = t->id, .run_time = t->run_time, .wait_time = t->wait_time};
    return new;
}

/* Since the step before. */
static enum doing what_it_did(const struct traced *was, const struct thread_info *is) {
    if (is->run_time > was->run_time)
        return DOING_RUNNING;
    if (is->wait_time > was->wait_time)
        return DOING_WAITING;
    return is->state == 'D' ? DOING_DISK : DOING_NOTHING;
}

static void look_at(struct profile_run *run, const struct thread_info *t) {
    struct traced *known = find(run, t);
    if (known == NULL)
        return;
    enum doing doing = what_it_did(known, t);
    if (doing != known->doing) {
        end_span(run, known, run->last);
        known->doing = doing;
        known->since = run->last;
    }
    known->span_run += t->run_time - known->run_time;
    known->span_wait += t->wait_time - known->wait_time;
    known->run_time = t->run_time;
    known->wait_time = t->wait_time;
    known->seen = true;
}

void trace_run_step(struct profile_run *run) {
    struct arena arena = ARENA_INIT;
    size_t count, kept = 0;
    int64_t now = time_now_monotonic();
    run->full = run->text.len > TRACE_BYTES_MAX;
    if (run->full)
        return;
    const struct thread_info *threads = threads_list(&arena, false, &count);
    for (size_t i = 0; i < run->thread_count; i++)
        run->threads[i].seen = false;
    for (size_t i = 0; i < count; i++)
        look_at(run, &threads[i]);
    for (size_t i = 0; i < run->thread_count; i++) {
        if (run->threads[i].seen)
            run->threads[kept++] = run->threads[i];
        else
            end_span(run, &run->threads[i], run->last); /* the thread has ended */
    }
    run->thread_count = kept;
    write_memory(run, now);
    run->last = now;
    arena_free(&arena);
}

struct profile_run *trace_run_start(struct profile *p) {
    struct profile_run *run = MEM_NEW(struct profile_run);
    (void)p;
    run->started = run->last = time_now_monotonic();
    json_begin(&run->writer, &run->text, false);
    json_open_object(&run->writer);
    key_text(&run->writer, "displayTimeUnit", STR("ms"));
    json_key(&run->writer, STR("traceEvents"));
    json_open_array(&run->writer);
    trace_run_step(run);
    return run;
}

void trace_run_end(struct profile_run *run, struct profile *p) {
    trace_run_step(run);
    for (size_t i = 0; i < run->thread_count; i++)
        end_span(run, &run->threads[i], run->last);
    json_close_array(&run->writer);
    json_close_object(&run->writer);
    json_finish(&run->writer);
    p->out = run->text;
    mem_free(run);
}
