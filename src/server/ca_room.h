/* What the files of the authority (ca_*.c) share. For these only; all of it on the CA's thread.
 */
#ifndef PRAETOR_SERVER_CA_ROOM_H
#define PRAETOR_SERVER_CA_ROOM_H

#include <stdatomic.h>

#include "schema/entries.h"
#include "schema/requests_connect.h"
#include "server/ca.h"
#include "server/ca_config.h"
#include "store/connect.h"

#define CA_LOGGER "agent.server.connect"
#define CA_RATE_LIMITED "Rate limit reached, try again later"

/* ---- ca.c ---- */

struct ca_outcome {
    uint64_t index;  /* of the entry */
    uint64_t number; /* STORE_RESULT_U64 */
    bool refused;    /* STORE_RESULT_BOOL, false */
};
struct server *ca_server(struct ca *ca);
bool ca_is_primary(const struct ca *ca);
/* Becomes true when what the thread is at is wanted no more: leadership is gone, the agent stops.
 * For calls to the outside. */
const atomic_bool *ca_stopping(const struct ca *ca);
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

/* ---- providers: ca_provider.c ---- */

struct ca_provider_kind;

/* A provider as one configuration means it. */
struct ca_provider {
    const struct ca_provider_kind *kind;
    struct str cluster_id;
    struct ca_settings settings;
    struct str root;         /* PEM of the root that is its own; "": not known, or none yet */
    struct str intermediate; /* PEM of what signs leaves; "": the root does, or there is none yet */
    int64_t lease;           /* ns: that of what it may do, which must be renewed; 0: for ever */

    struct list
        state_shown; /* of the configuration, map: str to str: what the provider keeps there */

    struct ca_consul_provider_state state; /* consul's */
    bool created;                          /* configure made the state's record, or the mount */
    bool prepared; /* vault's: the intermediate's mount and role are there */
};

/* The functions of a provider. Those that give a text give it in the arena, absent with an error.
 */
struct ca_provider_kind {
    const char *name;      /* "consul" */
    const char *root_name; /* of the records of its roots */
    /* With kind, cluster_id and settings: finds what there is, or begins it. */
    bool (*configure)(struct ca *ca, struct ca_provider *p, struct arena *arena, struct error *e);
    /* The same for one that was configured before: nothing is written, nobody is asked. */
    bool (*find)(struct ca *ca, const struct ca_state *state, struct ca_provider *p,
                 struct arena *arena, struct error *e);
    /* Primary: its root, made unless it is there. */
    bool (*generate_root)(struct ca *ca, struct ca_provider *p, struct arena *arena,
                          struct error *e);
    /* Primary: fills in intermediate, made unless it is good; NULL: the root signs. */
    bool (*generate_intermediate)(struct ca *ca, struct ca_provider *p, struct arena *arena,
                                  struct error *e);
    /* A root (PEM) of another, signed by its own; not asked for where the settings say that there
     * is no cross-signing. NULL: they always do. */
    struct str (*cross_sign)(struct ca *ca, struct ca_provider *p, struct str root,
                             struct arena *arena, struct error *e);
    /* Secondary: fills in intermediate, if there is one; NULL: configure has done so. */
    bool (*find_intermediate)(struct ca *ca, struct ca_provider *p, struct arena *arena,
                              struct error *e);
    /* Secondary: a request for an intermediate, with a new key, in PEM; and what came of it. */
    struct str (*request)(struct ca *ca, struct ca_provider *p, struct arena *arena,
                          struct error *e);
    bool (*set_intermediate)(struct ca *ca, struct ca_provider *p, struct str pem, struct str root,
                             struct arena *arena, struct error *e);
    /* PEM: a leaf, perhaps with what is above it. */
    struct str (*sign_leaf)(struct ca *ca, struct ca_provider *p, const struct ca_leaf_wish *wish,
                            struct arena *arena, struct error *e);
    /* Primary: an intermediate for another datacenter. */
    struct str (*sign_intermediate)(struct ca *ca, struct ca_provider *p, const struct ca_csr *csr,
                                    struct arena *arena, struct error *e);
    /* Drops what it keeps; it is not used any more, but next is (NULL: what was before). */
    bool (*forget)(struct ca *ca, struct ca_provider *p, const struct ca_provider *next,
                   struct arena *arena, struct error *e);
    /* Renews its lease, which may become another; NULL: it has none. */
    bool (*renew)(struct ca *ca, struct ca_provider *p, struct arena *arena, struct error *e);
};
extern const struct ca_provider_kind ca_provider_consul, ca_provider_vault, ca_provider_pca;

/* NULL: "unknown CA provider". */
const struct ca_provider_kind *ca_provider_kind(struct str name, struct error *e);
/* For a configuration: "error configuring provider: …". */
bool ca_provider_configure(struct ca *ca, const struct ca_configuration *config,
                           struct ca_provider *out, struct arena *arena, struct error *e);
/* The one that the store's configuration means. */
bool ca_provider_find(struct ca *ca, const struct ca_state *state, struct ca_provider *out,
                      struct arena *arena, struct error *e);
/* The record of its root, active. */
struct ca_root *ca_provider_root(const struct ca_provider *p, struct arena *arena, struct error *e);
/* In a record of a root: this intermediate signs leaves, and follows it in chains; the one that did
 * before is not there any more. "": the root signs. */
bool ca_record_intermediate(struct ca_root *root, struct str intermediate, struct arena *arena,
                            struct error *e);
/* The intermediate of a record that signs leaves; "": none. */
struct str ca_record_signer(const struct ca_root *root, struct arena *arena);
/* Half of a certificate's life is over, or it cannot be read. */
bool ca_is_old(struct str pem, struct arena *arena);
/* Drops what a provider keeps; a failure is told in the log. */
void ca_provider_forget(struct ca *ca, struct ca_provider *p, const struct ca_provider *next,
                        struct arena *arena);
/* Renews the lease of the provider that is used, asking for one like *lease, which becomes the one
 * that it has now. False: the log says why not. */
bool ca_provider_renew(struct ca *ca, int64_t *lease);
/* A number for a certificate. */
bool ca_next_serial(struct ca *ca, uint64_t *serial, struct error *e);

/* ca.c: this provider is used from now on: its lease is renewed at once, and then in time. */
void ca_use(struct ca *ca, const struct ca_provider *p);

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
/* What the provider keeps in its configuration's State is written there, if the stored
 * configuration is of such a provider: then nothing of it is only this attempt's. */
bool ca_state_keep(struct ca *ca, struct ca_provider *p, struct arena *arena, struct error *e);
/* Primary: an intermediate whose life is half over is replaced (connect.md 3.8). */
bool ca_renew_intermediate(struct ca *ca, struct arena *arena, struct error *e);

#endif
