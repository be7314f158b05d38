/* A client agent whose certificate, and whom to believe, come from the servers: auto_encrypt.tls
 * (tls.md 13) and auto_config (14). Before all else it asks for them; while it runs it keeps them
 * current.
 */
#ifndef PRAETOR_AGENT_AUTO_AGENT_H
#define PRAETOR_AGENT_AUTO_AGENT_H

#include "agent/config.h"
#include "schema/requests_connect.h"
#include "server/leaf.h"
#include "server/secure.h"

/* What servers have given. */
struct auto_material {
    struct indexed_ca_roots roots;
    struct list manual; /* of str: PEM */
    struct issued_cert cert;
    bool verify_server_hostname;
};

struct auto_agent;

/* How it is asked for, and what becomes of it: auto_encrypt.c, auto_config.c. */
struct auto_mode {
    const char *method, *none, *failed;
    bool ports; /* the addresses may name one */
    void (*hosts)(const struct config *c, struct list out[2]);
    /* A request for a certificate, with the CSR; the token is the agent's own. */
    bool (*body)(struct auto_agent *a, struct str csr, struct str token, struct buf *out,
                 struct error *e);
    /* An answer: the material in the arena, without the private key. */
    bool (*take)(struct auto_agent *a, struct str reply, struct auto_material *out,
                 struct arena *arena, struct error *e);
    /* It is in force now, or was renewed: on the core, or before there is one. May be NULL. */
    void (*keep)(struct auto_agent *a, const struct auto_material *m);
    /* The names that the certificate is for, beside the agent's. */
    void (*names)(const struct config *c, struct list *dns, struct list *ips);
};
extern const struct auto_mode auto_encrypt_mode;

/* NULL: the agent has neither. The config is held. */
struct auto_agent *auto_agent_new(const struct config *c);
void auto_agent_free(struct auto_agent *a); /* NULL is allowed */
const struct config *auto_agent_config(const struct auto_agent *a);
/* What of the configuration servers have given: the mode's own bytes. */
struct buf *auto_agent_given(struct auto_agent *a);
/* The same in the language of configuration files; empty: nothing. */
bool auto_agent_source(struct auto_agent *a, struct buf *out, struct error *e);

/* Main thread, before there is a server: waits until servers have answered. settings: of the files.
 * False: a signal came, or what makes it useless to wait. */
bool auto_agent_begin(struct auto_agent *a, const struct secure_settings *settings,
                      struct error *e);
/* Into force, before the server starts. */
bool auto_agent_apply(struct auto_agent *a, struct secure *secure, struct error *e);

/* Core. */
void auto_agent_start(struct auto_agent *a, struct server *server);
void auto_agent_token_changed(struct auto_agent *a);
void auto_agent_stop(struct auto_agent *a);

#endif
