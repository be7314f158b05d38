/* praetor_sim: simulated lives of clusters, one for each seed, each in a process of its own.
 *
 *   praetor_sim [--seeds FIRST:COUNT] [--fresh COUNT] [--jobs N] [--until-failure] [--quiet]
 *   praetor_sim --seed N [--trace]   one life, in this process; --trace: what happens
 *   praetor_sim --twice N            the same life twice: both must be the same
 *   ... [--with PART]... [--without PART]...   changes what the seeds decide (plan_set)
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "sim/cluster/sim.h"

#define SETTLE (180 * SECOND) /* everything must be well that long after the last fault */
#define SHOWN 20              /* failed seeds */

/* ---- what is asked for ---- */

#define SET_MAX 32
static struct {
    const char *name;
    bool on;
} set[SET_MAX];
static size_t set_count;

static void make_plan(struct plan *p, uint64_t seed) {
    plan_make(p, seed);
    for (size_t i = 0; i < set_count; i++) {
        if (!plan_set(p, set[i].name, set[i].on)) {
            fprintf(stderr, "praetor_sim: what is %s?\n", set[i].name);
            exit(2);
        }
    }
}

/* ---- one life ---- */

static void first_configuration(struct sim *s) {
    struct raft_server servers[SIM_SLOTS];
    for (unsigned i = 0; i < s->plan.voters; i++)
        servers[i] = (struct raft_server){str_from(s->nodes[i]->id), str_from(s->nodes[i]->address),
                                          RAFT_VOTER};
    struct raft_configuration *c = raft_configuration_new(servers, s->plan.voters);
    struct buf bytes = BUF_INIT;
    raft_configuration_encode(c, &bytes);
    struct raft_entry *e = raft_entry_new(RAFT_CONFIGURATION, buf_str(&bytes), STR_NONE);
    e->index = e->term = 1;
    struct arena arena = ARENA_INIT;
    struct error error = ERROR_IN(&arena);
    for (unsigned i = 0; i < s->plan.voters; i++) { /* raft.md 5.1 */
        struct node *n = s->nodes[i];
        struct wal_options options = {
            .directory = "/n/raft/wal", .segment_bytes = s->plan.segment_bytes, .seed = i};
        sim_mkdir(n->disk, "/n");
        sim_mkdir(n->disk, "/n/raft");
        sim_mkdir(n->disk, "/n/raft/wal");
        sim_sync_dir(n->disk, "/n");
        struct wal *w = wal_open(&n->io, &options, &error);
        ASSERT(w != NULL);
        wal_put_term(w, 1, 0, STR_NONE);
        wal_put_entry(w, e);
        ASSERT(wal_commit(w, &error));
        wal_close(w);
    }
    arena_free(&arena);
    raft_entry_release(e);
    buf_free(&bytes);
    raft_configuration_release(c);
}

static struct sim *sim_new(uint64_t seed, bool trace) {
    struct sim *s = MEM_NEW(struct sim);
    s->seed = seed;
    s->trace = trace;
    prng_seed(&s->prng, seed);
    make_plan(&s->plan, seed);
    s->now = s->began = 1000 * SECOND;
    s->check = check_new();
    network_init(s);
    for (int i = 0; i < SIM_SLOTS; i++)
        node_init(s, i);
    unsigned servers = s->plan.voters + s->plan.spares;
    for (unsigned i = 0; i < servers; i++)
        node_identify(s->nodes[i]);
    first_configuration(s);
    for (unsigned i = 0; i < servers; i++)
        ASSERT(node_start(s->nodes[i]));
    clients_start(s);
    operator_start(s);
    faults_start(s);
    return s;
}

static void sim_free(struct sim *s) {
    for (int i = 0; i < SIM_SLOTS; i++)
        node_crash(s->nodes[i], false, false);
    network_free(s);
    sim_run(s, s->now + 3600 * SECOND); /* what is left lets go of what it holds */
    for (int i = 0; i < SIM_SLOTS; i++)
        node_free(s->nodes[i]);
    clients_free(s);
    operator_free(s);
    check_free(s->check);
    mem_free(s->heap);
    mem_free(s);
}

static struct node *leader_of(struct sim *s) {
    struct node *best = NULL;
    for (int i = 0; i < SIM_SLOTS; i++) {
        struct node *n = s->nodes[i];
        if (node_leads(n) && (best == NULL || n->told_term > best->told_term))
            best = n;
    }
    return best;
}

/* A leader that is ready, nobody waits for anything, and all members are where it is. */
static bool is_well(struct sim *s) {
    struct node *leader = leader_of(s);
    if (leader == NULL || !leader->ready || clients_busy(s) || operator_busy(s))
        return false;
    uint64_t index, last = raft_log_last_index(raft_get_log(leader->raft));
    raft_committed_configuration(leader->raft, &index);
    uint64_t latest;
    const struct raft_configuration *c = raft_latest_configuration(leader->raft, &latest);
    if (leader->applied != last || latest != index)
        return false;
    for (size_t i = 0; i < c->len; i++) {
        struct node *n = node_find(s, c->servers[i].id, c->servers[i].address);
        if (n == NULL || !n->up || n->applied != last || n->io_queue != NULL)
            return false;
    }
    return true;
}

static void say_how_it_is(struct sim *s) {
    for (int i = 0; i < SIM_SLOTS; i++) {
        struct node *n = s->nodes[i];
        if (!n->used)
            continue;
        fprintf(stderr, "  %s %s", n->id, n->up ? "up" : "down");
        if (n->up) {
            const struct raft_log *l = raft_get_log(n->raft);
            struct arena arena = ARENA_INIT;
            const struct raft_configuration *c = raft_latest_configuration(n->raft, NULL);
            struct str text = c != NULL ? raft_configuration_text(c, &arena) : STR("-");
            fprintf(stderr,
                    " %s term %llu log %llu..%llu snapshot %llu commit %llu applied %llu " STR_FMT,
                    raft_state_name(raft_get_state(n->raft)),
                    (unsigned long long)raft_term(n->raft), (unsigned long long)l->first,
                    (unsigned long long)l->last, (unsigned long long)l->snapshot_index,
                    (unsigned long long)raft_commit_index(n->raft), (unsigned long long)n->applied,
                    STR_ARG(text));
            arena_free(&arena);
        }
        fputc('\n', stderr);
    }
}

static void live(struct sim *s) {
    sim_run(s, s->began + s->plan.duration);
    SIM_TRACE(s, "no more faults");
    faults_end(s);
    operator_settle(s);
    int64_t limit = s->now + SETTLE;
    sim_run(s, s->now + 20 * SECOND); /* clients go on: what works, works for them */
    clients_settle(s);
    while (!is_well(s)) {
        if (s->now >= limit) {
            say_how_it_is(s);
            sim_fail(s, "%lld s after the last fault all is not well",
                     (long long)(SETTLE / SECOND));
        }
        sim_run(s, s->now + 500 * MILLISECOND);
    }
    history_check(s);
    check_end(s);
    s->totals.simulated = s->now - s->began;
    s->totals.seeds = 1;
    s->totals.real_stores = s->plan.real_store;
}

/* ---- totals ---- */

static void totals_add(struct totals *to, const struct totals *from) {
    uint64_t *a = (uint64_t *)to;
    const uint64_t *b = (const uint64_t *)from;
    _Static_assert(sizeof(struct totals) % sizeof(uint64_t) == 0, "a row of numbers");
    for (size_t i = 0; i < sizeof *to / sizeof *a; i++)
        a[i] += b[i];
}

static void totals_print(const struct totals *t) {
#define N(x) (unsigned long long)(t->x)
    printf("simulated: %llu seeds (%llu with the real store), %.1f hours; %llu failed\n", N(seeds),
           N(real_stores), (double)t->simulated / (double)HOUR, N(failed));
    printf("events %llu, messages %llu, entries %llu, elections %llu, starts %llu\n", N(events),
           N(messages), N(entries), N(elections), N(starts));
    printf(
        "writes %llu, reads %llu (and %llu where a lease may be doubted), answers that never came "
        "%llu, wake-ups %llu\n",
        N(writes), N(reads), N(doubtful), N(unknown), N(wakes));
    printf(
        "histories %llu (undecided %llu), membership changes %llu, transfers %llu, snapshots %llu, "
        "installed %llu, restored %llu (and lost, with a new start, %llu)\n",
        N(keys), N(undecided), N(changes), N(transfers), N(snapshots), N(installs), N(restores),
        N(forgotten));
    uint64_t sum = 0;
    for (int f = 0; f < FAULT_COUNT; f++)
        sum += t->faults[f];
    printf("faults %llu:", (unsigned long long)sum);
    for (int f = 0; f < FAULT_COUNT; f++)
        printf("%s %s %llu", f > 0 ? "," : "", fault_names[f], N(faults[f]));
    printf("\n");
#undef N
    fflush(stdout);
}

/* ---- many lives ---- */

struct worker {
    pid_t pid;
    int fd;
    uint64_t seed;
};

static uint64_t run_one(uint64_t seed, bool trace, struct totals *t) {
    struct sim *s = sim_new(seed, trace);
    live(s);
    *t = s->totals;
    uint64_t hash = s->hash;
    sim_free(s);
    return hash;
}

static void worker_start(struct worker *w, uint64_t seed) {
    int fds[2];
    if (pipe(fds) != 0)
        abort();
    fflush(NULL);
    w->seed = seed;
    w->pid = fork();
    if (w->pid == 0) {
        struct totals t = {0};
        close(fds[0]);
        run_one(seed, false, &t);
        if (write(fds[1], &t, sizeof t) != (ssize_t)sizeof t)
            _exit(4);
        exit(0); /* with the look for leaks */
    }
    close(fds[1]);
    w->fd = fds[0];
}

/* False: it failed. */
static bool worker_end(struct worker *w, int status, struct totals *sum) {
    struct totals t = {0};
    bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
              read(w->fd, &t, sizeof t) == (ssize_t)sizeof t;
    close(w->fd);
    w->pid = 0;
    if (ok) {
        totals_add(sum, &t);
        return true;
    }
    sum->seeds++;
    sum->failed++;
    char how[40];
    if (WIFSIGNALED(status))
        snprintf(how, sizeof how, "signal %d", WTERMSIG(status));
    else
        snprintf(how, sizeof how, "status %d", WEXITSTATUS(status));
    fprintf(stderr, "FAILED: seed %llu, %s (replay with --seed %llu --trace)\n",
            (unsigned long long)w->seed, how, (unsigned long long)w->seed);
    return false;
}

struct options {
    uint64_t first, count, fresh;
    unsigned jobs;
    bool until_failure, quiet;
};

#define JOBS_MAX 64

static bool run_range(uint64_t first, uint64_t count, const struct options *o, struct totals *sum) {
    struct worker workers[JOBS_MAX] = {0};
    uint64_t next = first, running = 0;
    bool stop = false;
    for (;;) {
        for (unsigned i = 0; i < o->jobs && !stop && next < first + count; i++) {
            if (workers[i].pid == 0) {
                worker_start(&workers[i], next++);
                running++;
            }
        }
        if (running == 0)
            return sum->failed == 0;
        int status;
        pid_t pid = waitpid(-1, &status, 0);
        for (unsigned i = 0; i < o->jobs; i++) {
            if (workers[i].pid != pid)
                continue;
            running--;
            if (!worker_end(&workers[i], status, sum) && o->until_failure)
                stop = true;
            if (!o->quiet && sum->seeds % 1000 == 0) {
                printf("%llu seeds\n", (unsigned long long)sum->seeds);
                fflush(stdout);
            }
        }
        if (sum->failed >= SHOWN)
            stop = true;
    }
}

static int twice(uint64_t seed) {
    struct totals t;
    uint64_t a = run_one(seed, false, &t), b = run_one(seed, false, &t);
    printf("seed %llu: %016llx %016llx\n", (unsigned long long)seed, (unsigned long long)a,
           (unsigned long long)b);
    return a == b ? 0 : 1;
}

static int one(uint64_t seed, bool trace) {
    struct totals t;
    struct plan p;
    make_plan(&p, seed);
    plan_print(&p);
    uint64_t hash = run_one(seed, trace, &t);
    totals_print(&t);
    printf("seed %llu: %016llx\n", (unsigned long long)seed, (unsigned long long)hash);
    return 0;
}

static uint64_t number(const char *text) {
    return strtoull(text, NULL, 10);
}

int main(int argc, char **argv) {
    struct options o = {.first = 1, .count = 0, .jobs = 1};
    bool trace = false, single = false;
    uint64_t seed = 0;
    log_set_stdout(false);
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--trace") == 0) {
            trace = true;
        } else if (strcmp(argv[i], "--until-failure") == 0) {
            o.until_failure = true;
        } else if (strcmp(argv[i], "--quiet") == 0) {
            o.quiet = true;
        } else if (strcmp(argv[i], "--seed") == 0) {
            single = true;
            seed = number(value);
            i++;
        } else if ((strcmp(argv[i], "--with") == 0 || strcmp(argv[i], "--without") == 0) &&
                   set_count < SET_MAX) {
            set[set_count].on = strcmp(argv[i], "--with") == 0;
            set[set_count++].name = value;
            i++;
        } else if (strcmp(argv[i], "--twice") == 0) {
            return twice(number(value));
        } else if (strcmp(argv[i], "--seeds") == 0) {
            const char *colon = strchr(value, ':');
            o.first = number(value);
            o.count = colon != NULL ? number(colon + 1) : 1;
            i++;
        } else if (strcmp(argv[i], "--fresh") == 0) {
            o.fresh = number(value);
            i++;
        } else if (strcmp(argv[i], "--jobs") == 0) {
            o.jobs = (unsigned)number(value);
            i++;
        } else {
            fprintf(stderr, "praetor_sim: what is %s? (see tests/sim/README.md)\n", argv[i]);
            return 2;
        }
    }
    if (single)
        return one(seed, trace);
    if (o.jobs < 1 || o.jobs > JOBS_MAX)
        o.jobs = 1;
    struct totals sum = {0};
    if (o.count > 0) {
        printf("seeds %llu to %llu\n", (unsigned long long)o.first,
               (unsigned long long)(o.first + o.count - 1));
        run_range(o.first, o.count, &o, &sum);
    }
    if (o.fresh > 0) {
        uint64_t base;
        random_bytes(&base, sizeof base);
        base = base % 1000000000000 + 1000000;
        printf("fresh seeds %llu to %llu\n", (unsigned long long)base,
               (unsigned long long)(base + o.fresh - 1));
        fflush(stdout);
        run_range(base, o.fresh, &o, &sum);
    }
    totals_print(&sum);
    return sum.failed == 0 ? 0 : 1;
}
