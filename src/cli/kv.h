/* What the kv commands share.
 */
#ifndef PRAETOR_CLI_KV_H
#define PRAETOR_CLI_KV_H

#include "cli/client.h"
#include "cli/commands.h"

/* A key of KV as the API gives it, the value decoded. */
struct kv_pair {
    struct str key, value, session, name_space;
    uint64_t flags, create_index, modify_index, lock_index;
};

/* Whether a key may be written: no client writes one that begins with a '/'. */
bool kv_key_check(struct str key, struct error *e);
/* "/v1/kv/" and the key, a first '/' left out. */
struct str kv_path(struct arena *arena, struct str key);
/* Reads one key or, with recurse, all below a prefix. *count 0: there is none (404). Texts of
 * failures carry no body (cli.md 1.4). The array is in the arena. */
bool kv_read(struct client *c, struct str key, bool recurse, bool stale, struct kv_pair **pairs,
             size_t *count, struct arena *arena, struct error *e);
/* The same with a call that the caller made; and what a call that is done brought. */
bool kv_read_call(struct client *c, struct call *call, struct kv_pair **pairs, size_t *count,
                  struct arena *arena, struct error *e);
bool kv_read_answer(const struct call *call, struct kv_pair **pairs, size_t *count,
                    struct arena *arena, struct error *e);
/* PUT or DELETE as in `call`; *done is whether the answer is true. */
bool kv_change(struct client *c, struct call *call, bool *done, struct arena *arena,
               struct error *e);
/* Without a first '/'. */
struct str kv_key(const char *argument);

#endif
