/* Gossip at scale, on virtual time: what a member sends at rest, how long an event takes to reach
 * everybody, how long a death takes to be known, and whom packet loss makes look dead. The table it
 * prints is that of docs/performance.md:
 *
 *     PRAETOR_GOSSIP_MEMBERS="10 100 1000 10000" build/release/sim_gossip_test_scale
 *
 * Without the variable a small pool is run, and the results are held against what the protocol
 * promises.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <time.h>

#include "gossip/state.h"
#include "sim/gossip/pool.h"

/* When each of a pool's nodes got to know of something. */
struct spread {
    uint32_t subject; /* the member that fails */
    bool failure;     /* else: an event */
    int64_t start;
    int64_t *times;
    size_t len;
};

static void spread_hook(struct pool *p, struct pool_node *n, const struct gossip_action *a) {
    struct spread *s = p->context;
    bool known = s->failure
                     ? a->kind == GOSSIP_ACTION_MEMBER && a->member.event == GOSSIP_MEMBER_FAILED &&
                           str_is(a->member.member.name, p->nodes[s->subject].name)
                     : a->kind == GOSSIP_ACTION_USER_EVENT;
    if (known && s->len < p->count)
        s->times[s->len++] = p->now - s->start;
}

static bool spread_done(struct pool *p, void *context) {
    return p->heap_len == 0 || ((struct spread *)context)->len >= p->count - 1;
}

static double at(const struct spread *s, double part) {
    size_t i = (size_t)ceil(part * (double)s->len);
    return s->len == 0 ? NAN : (double)s->times[i > 0 ? i - 1 : 0] / 1e9;
}

static void make(struct pool *p, uint32_t n, uint64_t seed) {
    pool_init(p, n, seed);
    p->shared = gossip_shared_new();
    p->log = LOG_OFF;
    struct gossip **cores = mem_zalloc(n, sizeof *cores);
    for (uint32_t i = 0; i < n; i++) {
        pool_start(p, i);
        cores[i] = p->nodes[i].g;
    }
    for (uint32_t i = 0; i < n; i++)
        gossip_preload(cores[i], cores, n);
    mem_free(cores);
    pool_run(p, 3 * SECOND, NULL, NULL);
}

struct traffic {
    uint64_t packets, bytes, stream_bytes;
};
static struct traffic traffic_of(const struct pool *p) {
    struct traffic t = {0};
    for (uint32_t i = 0; i < p->count; i++) {
        t.packets += p->nodes[i].packets_out;
        t.bytes += p->nodes[i].bytes_out;
        t.stream_bytes += p->nodes[i].stream_bytes;
    }
    return t;
}

struct result {
    double packets, bytes, stream_bytes; /* of a member a second, at rest */
    double event[3], event_packets;      /* half, 99 %, all; packets a member more than at rest */
    double event_reached;                /* part of the members */
    double death_first, death[3];        /* first declaration, half, 99 %, all */
    double death_reached;
    size_t wrong; /* members that somebody held for failed though they were not */
};

static struct result measure(uint32_t n, uint64_t seed) {
    struct result r = {0};
    struct pool p;
    struct spread s = {.times = mem_zalloc(n, sizeof(int64_t))};
    make(&p, n, seed);
    /* At rest: packets; and one push/pull, of which each member begins one an interval. */
    struct traffic before = traffic_of(&p);
    pool_join(&p, 1, 0);
    pool_await(&p, 1);
    struct traffic join = traffic_of(&p);
    r.stream_bytes = (double)(join.stream_bytes - before.stream_bytes) * 1e9 /
                     (double)gossip_push_pull_interval(p.timing.push_pull_interval, n);
    pool_run(&p, 10 * SECOND, NULL, NULL);
    before = traffic_of(&p);
    int64_t rest = 20 * SECOND;
    pool_run(&p, rest, NULL, NULL);
    struct traffic after = traffic_of(&p);
    double member_seconds = (double)n * (double)rest / 1e9;
    r.packets = (double)(after.packets - before.packets) / member_seconds;
    r.bytes = (double)(after.bytes - before.bytes) / member_seconds;
    /* An event. */
    struct gossip_event fire = {.kind = GOSSIP_EVENT_FIRE,
                                .fire = {STR("consul:event:deploy"), STR("payload"), false}};
    p.hook = spread_hook;
    p.context = &s;
    s.start = p.now;
    before = after;
    pool_command(&p, 1, &fire);
    pool_run(&p, 10 * SECOND, NULL, NULL);
    after = traffic_of(&p);
    r.event_packets = (double)(after.packets - before.packets) / (double)n - r.packets * 10;
    r.event[0] = at(&s, 0.5), r.event[1] = at(&s, 0.99), r.event[2] = at(&s, 1);
    r.event_reached = (double)s.len / n;
    /* A death. */
    s = (struct spread){.subject = n / 2, .failure = true, .start = p.now, .times = s.times};
    pool_kill(&p, n / 2);
    pool_run(&p, 5 * MINUTE, spread_done, &s);
    r.death_first = at(&s, 0), r.death[0] = at(&s, 0.5), r.death[1] = at(&s, 0.99),
    r.death[2] = at(&s, 1);
    r.death_reached = (double)s.len / (n - 1);
    for (uint32_t i = 0; i < n; i++)
        r.wrong += p.nodes[i].failures > 1;
    mem_free(s.times);
    p.hook = NULL;
    pool_free(&p);
    return r;
}

/* The mean of several lives. */
static struct result measure_often(uint32_t n, unsigned times) {
    struct result sum = {0};
    for (unsigned i = 0; i < times; i++) {
        struct result r = measure(n, 1 + i);
        const double *from = (const double *)&r;
        double *to = (double *)&sum;
        for (size_t k = 0; k < offsetof(struct result, wrong) / sizeof(double); k++)
            to[k] += from[k] / times;
        sum.wrong += r.wrong;
    }
    return sum;
}

/* What the protocol's authors and theory give (SWIM; Pittel 1987 for the push of rumours). */
static double rounds_to_all(uint32_t n, double fanout) {
    return log(n) / log(1 + fanout) + log(n) / fanout;
}

static void print(uint32_t n, const struct result *r) {
    struct gossip_timing t = gossip_timing_lan();
    double theory = rounds_to_all(n, t.gossip_nodes) * (double)t.gossip_interval / 1e9;
    double suspicion = t.suspicion_mult * fmax(1, log10(n));
    printf("%6u | %5.2f %5.0f %6.0f | %5.2f %5.2f %5.2f (%4.2f) %6.2f%% %4.1f | %5.1f %5.1f %5.1f "
           "%5.1f (%4.1f) %6.2f%% | %zu\n",
           n, r->packets, r->bytes, r->stream_bytes, r->event[0], r->event[1], r->event[2], theory,
           100 * r->event_reached, r->event_packets, r->death_first, r->death[0], r->death[1],
           r->death[2], suspicion + 2.6, 100 * r->death_reached, r->wrong);
    fflush(stdout);
}

static void header(void) {
    printf("        at rest, a member a second   an event: s to half, 99 %%, all (theory)   a "
           "death: s "
           "to first word, half, 99 %%, all (theory)\n");
    printf("     n | pkts  bytes  stream |  half   99%%   all (thry) reached  pkts | first  half   "
           "99%%   all (thry) reached | wrong\n");
}

static void test_scale(void **state) {
    const char *sizes = getenv("PRAETOR_GOSSIP_MEMBERS");
    header();
    if (sizes != NULL) {
        for (char *next = NULL; *sizes != '\0'; sizes = next) {
            uint32_t n = (uint32_t)strtoul(sizes, &next, 10);
            if (next == sizes)
                break;
            struct timespec a, b;
            clock_gettime(CLOCK_MONOTONIC, &a);
            struct result r = measure_often(n, n <= 1000 ? 10 : 1);
            print(n, &r);
            clock_gettime(CLOCK_MONOTONIC, &b);
            fprintf(stderr, "%u members: %.1f s\n", n,
                    (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9);
        }
        return;
    }
    for (uint32_t n = 10; n <= 100; n *= 10) {
        struct result r = measure(n, 1);
        print(n, &r);
        /* A ping and an ack for each member each second, and nothing else but push/pull. */
        assert_true(r.packets > 1.9 && r.packets < 2.2);
        assert_true(r.event_reached == 1.0 && r.event[2] < 2.5);
        assert_true(r.event[1] < 2 * rounds_to_all(n, 3) * 0.2);
        assert_true(r.death_reached == 1.0 && r.wrong == 0);
        /* A probe's failure, and then the suspicion at its shortest. */
        double shortest = 4 * fmax(1, log10(n));
        assert_true(r.death_first > shortest && r.death_first < shortest + 8);
        assert_true(r.death[2] - r.death_first < 3);
    }
}

/* How often somebody held somebody for failed, though all are alive. */
static size_t false_positives(uint32_t n, double loss, int64_t time, uint64_t seed,
                              double *suspected) {
    struct pool p;
    make(&p, n, seed);
    p.loss = loss;
    pool_run(&p, time, NULL, NULL);
    size_t failures = 0;
    double refuted = 0;
    for (uint32_t i = 0; i < n; i++) {
        failures += p.nodes[i].failures;
        refuted += gossip_get_stats(p.nodes[i].g).incarnation - 1;
    }
    *suspected = refuted / ((double)n * (double)time / (60.0 * 1e9));
    pool_free(&p);
    return failures;
}

static void test_false_positives(void **state) {
    bool all = getenv("PRAETOR_GOSSIP_MEMBERS") != NULL;
    static const double losses[] = {0.01, 0.05, 0.10, 0.20, 0.30, 0.40, 0.50};
    uint32_t n = all ? 100 : 20;
    int64_t time = all ? 30 * MINUTE : 5 * MINUTE;
    printf("%u members, %.0f min: loss, wrong failures, refutations a member a minute\n", n,
           (double)time / 60e9);
    for (size_t i = 0; i < COUNT_OF(losses); i++) {
        double suspected;
        size_t wrong = false_positives(n, losses[i], time, 7, &suspected);
        printf("  %3.0f %%  %zu  %.3f\n", 100 * losses[i], wrong, suspected);
        fflush(stdout);
        if (losses[i] <= 0.05)
            assert_int_equal(wrong, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scale),
        cmocka_unit_test(test_false_positives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
