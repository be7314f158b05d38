/* What it costs to find out whether a token may do something: authorize_start on a token that the
 * thread knows, which has ten policies of ten rules each, and one rule looked up. On a real
 * server's I/O thread. Prints nanoseconds for one; exit status 1 when that is more than 2,000.
 *
 *   ninja -C build/release bench_acl_lookup && build/release/bench_acl_lookup
 */
#include "unit/server/acl_fixture.h"

#define TOKEN "22222222-0000-4000-8000-000000000001"
#define POLICIES 10
#define RULES 10
#define ROUNDS 15
#define LOOKUPS 200000
#define MOST 2000 /* ns */

static void policy_make(int number, char id[64]) {
    char rules[4096];
    size_t len = 0;
    snprintf(id, 64, "22222222-0000-4000-8000-0000000001%02d", number);
    for (int i = 0; i < RULES; i++)
        len += (size_t)snprintf(rules + len, sizeof rules - len,
                                "key_prefix \"p%d/k%d/\" { policy = \"write\" }\n", number, i);
    struct acl_policy policy = {
        .id = str_from(id), .name = str_from(id), .rules = str_from(rules), .hash = STR("1")};
    struct acl_policy *policies[] = {&policy};
    struct acl_policy_batch_set_request p = {.policies = {policies, 1, true}};
    entry_put(ENTRY_ACL_POLICY_SET, &acl_policy_batch_set_request_shape, &p);
}

static void token_make(void) {
    static char ids[POLICIES][64];
    struct acl_link links[POLICIES];
    memset(links, 0, sizeof links);
    for (int i = 0; i < POLICIES; i++) {
        policy_make(i, ids[i]);
        links[i].id = str_from(ids[i]);
    }
    struct acl_token token = {.accessor_id = STR(TOKEN),
                              .secret_id = STR(TOKEN),
                              .policies = {links, POLICIES, true},
                              .hash = STR("1")};
    struct acl_token *tokens[] = {&token};
    struct acl_token_batch_set_request t = {.tokens = {tokens, 1, true}};
    entry_put(ENTRY_ACL_TOKEN_SET, &acl_token_batch_set_request_shape, &t);
}

/* ---- on the thread ---- */

struct measurement {
    struct message message;
    sem_t done;
    double ns[ROUNDS];
    unsigned long allowed;
};

static bool look_up(struct arena *arena, struct str key) {
    struct authorize a = {.secret = STR(TOKEN), .error = ERROR_IN(arena)};
    bool yes = authorize_start(&a) && !error_is_set(&a.error) &&
               authorizer_may(authorization_may(a.result), ACL_KEY, ACL_READ, key);
    authorization_release(a.result);
    return yes;
}

static void measure(struct message *m) {
    struct measurement *all = CONTAINER_OF(m, struct measurement, message);
    struct arena arena = ARENA_INIT;
    char keys[64][32];
    for (int i = 0; i < 64; i++)
        snprintf(keys[i], sizeof keys[i], "p%d/k%d/some/key", i % POLICIES, i / 7 % RULES);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t started = time_now_monotonic();
        for (int i = 0; i < LOOKUPS; i++)
            all->allowed += look_up(&arena, str_from(keys[i % 64]));
        all->ns[round] = (double)(time_now_monotonic() - started) / LOOKUPS;
    }
    arena_free(&arena);
    sem_post(&all->done);
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(void) {
    static struct measurement all;
    begin(NULL);
    token_make();
    sem_init(&all.done, 0, 0);
    all.message.run = measure;
    loop_post_reply(server_io(server, 0), &all.message);
    sem_wait(&all.done);
    end(NULL);
    if (all.allowed != (unsigned long)ROUNDS * LOOKUPS) {
        fprintf(stderr, "%lu of %lu were allowed\n", all.allowed, (unsigned long)ROUNDS * LOOKUPS);
        return 1;
    }
    qsort(all.ns, ROUNDS, sizeof all.ns[0], by_size);
    printf("acl_lookup: %.0f ns (%.0f to %.0f) for a token with %d policies of %d rules\n",
           all.ns[ROUNDS / 2], all.ns[0], all.ns[ROUNDS - 1], POLICIES, RULES);
    return all.ns[ROUNDS / 2] <= MOST ? 0 : 1;
}
