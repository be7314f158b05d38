/* What ca.c, ca_provider.c and ca_rotate.c share. For these only; all of it on the CA's thread.
 */
#ifndef PRAETOR_SERVER_CA_ROOM_H
#define PRAETOR_SERVER_CA_ROOM_H

#include "schema/entries.h"
#include "schema/requests_connect.h"
#include "server/ca.h"
#include "server/ca_config.h"
#include "store/connect.h"

#define CA_LOGGER "agent.server.connect"

/* ---- ca.c ---- */

struct ca_outcome {
    uint64_t index;  /* of the entry */
    uint64_t number; /* STORE_RESULT_U64 */
    bool refused;    /* STORE_RESULT_BOOL, false */
};
struct server *ca_server(struct ca *ca);
bool ca_is_primary(const struct ca *ca);
/* Calls an endpoint, wherever it runs, and waits. The answer is the caller's to release; NULL: it
 * was called off. The request must live in the arena. */
struct answer *ca_call(struct ca *ca, const struct endpoint *endpoint, void *request,
                       struct arena *arena);
/* In a secondary datacenter: the primary's roots as they were last heard of; in the arena. False:
 * nothing was heard yet. */
bool ca_primary_roots(struct ca *ca, struct indexed_ca_roots *out, struct arena *arena);
/* Proposes an entry and waits until it is applied. */
bool ca_propose(struct ca *ca, enum entry_type type, const struct shape *shape, const void *request,
                struct ca_outcome *out, struct error *e);
/* An entry of type 13. */
bool ca_change(struct ca *ca, struct ca_request *request, struct ca_outcome *out, struct error *e);

/* What the store holds, read at once; in the arena. */
struct ca_state {
    struct ca_configuration *config; /* NULL: none */
    struct list roots;               /* of struct ca_root * */
    struct ca_root *active;          /* of roots, or NULL */
    uint64_t roots_index;            /* of the index entry */
};
bool ca_read(struct ca *ca, struct ca_state *out, struct arena *arena, struct error *e);

/* ---- ca_provider.c: the built-in provider (connect.md 3.2, 3.4) ---- */

struct ca_provider {
    struct str cluster_id;
    struct ca_settings settings;
    struct ca_consul_provider_state state;
    bool created; /* configure made the state's record */
};
/* For a configuration: finds its state, or begins one. */
bool ca_provider_configure(struct ca *ca, struct str cluster_id, const struct value *config,
                           struct ca_provider *out, struct arena *arena, struct error *e);
/* The one that the store's configuration means, made already; nothing is written. */
bool ca_provider_find(struct ca *ca, const struct ca_state *state, struct ca_provider *out,
                      struct arena *arena, struct error *e);
/* Key and root, unless they are there. */
bool ca_provider_generate_root(struct ca *ca, struct ca_provider *p, struct arena *arena,
                               struct error *e);
/* The record of its root, active. */
struct ca_root *ca_provider_root(const struct ca_provider *p, struct arena *arena, struct error *e);
struct str ca_provider_cross_sign(struct ca *ca, const struct ca_provider *p, struct str root,
                                  struct arena *arena, struct error *e);
/* A secondary's: a new key and a request for an intermediate, in PEM; and what came of it. */
struct str ca_provider_request(struct ca *ca, struct ca_provider *p, struct arena *arena,
                               struct error *e);
bool ca_provider_set_intermediate(struct ca *ca, struct ca_provider *p, struct str pem,
                                  struct str root, struct error *e);
bool ca_provider_forget(struct ca *ca, struct str state_id, struct error *e);
bool ca_next_serial(struct ca *ca, uint64_t *serial, struct error *e);

/* ---- ca_secondary.c (connect.md 3.8) ---- */

/* Follows the primary's roots, with the configuration as it is stored, or, given, with that one. */
bool ca_follow(struct ca *ca, struct ca_configuration *config, struct arena *arena,
               struct error *e);

/* ---- ca_rotate.c: first configuration, new ones, old roots ---- */

/* What is stored, or else what the agent's files say, which is stored then. */
bool ca_first_config(struct ca *ca, struct ca_state *state, struct arena *arena, struct error *e);
/* The old roots, no longer active and without the one that comes again, and the new one. */
struct list ca_rotated(const struct list *old, struct ca_root *root, struct arena *arena);
bool ca_initialise(struct ca *ca, struct arena *arena, struct error *e);
/* Drops roots that nobody needs any more (connect.md 3.7). */
bool ca_prune(struct ca *ca, struct arena *arena, struct error *e);

#endif
