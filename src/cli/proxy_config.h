/* What the built-in proxy is to do (connect.md 7.1): from the flags of `connect proxy`, or from a
 * registration as the agent tells it. And who is believed to be a service: the names in its
 * certificate. Pure.
 */
#ifndef PRAETOR_CLI_PROXY_CONFIG_H
#define PRAETOR_CLI_PROXY_CONFIG_H

#include "base/error.h"
#include "codec/value.h"

#define PROXY_UPSTREAMS_MAX 4096
/* ns, unless the registration says otherwise */
#define PROXY_LOCAL_CONNECT_TIMEOUT ((int64_t)1000000000)
#define PROXY_HANDSHAKE_TIMEOUT ((int64_t)10 * 1000000000)

struct proxy_upstream {
    bool is_query; /* the name is a prepared query's */
    struct str name, name_space, datacenter;
    struct str bind_address; /* never empty */
    bool bind_given;         /* on the command line */
    int64_t bind_port;
    int64_t connect_timeout; /* ns, for the dial and the handshake */
};

struct proxy_config {
    struct str service; /* that it stands for: whose certificate it shows */
    bool listens;       /* there is a public listener */
    struct str bind_address;
    int64_t bind_port;
    struct str local_host; /* of the application */
    int64_t local_port;
    int64_t local_connect_timeout, handshake_timeout;
    struct proxy_upstream *upstreams;
    size_t upstream_count;
};

/* "name[.type]:[host:]port". The error is the flag's: `Upstream value should be name:addr in "db"`.
 */
bool proxy_upstream_parse(struct str text, struct proxy_upstream *out, struct arena *arena,
                          struct error *e);
/* `strconv.ParseInt: parsing "x": invalid syntax` */
bool proxy_port_parse(struct str text, int64_t *port, struct arena *arena, struct error *e);
/* Of an answer to /v1/agent/service/<id>. "service is not a valid connect proxy" */
bool proxy_config_read(const struct value *registration, struct proxy_config *out,
                       struct arena *arena, struct error *e);
/* "127.0.0.1:9191->service:default/db", how logs call it. */
struct str proxy_upstream_label(const struct proxy_upstream *u, struct arena *arena);
/* "127.0.0.1:9191", "[::1]:9191" */
struct str proxy_address(struct str host, int64_t port, struct arena *arena);
/* Whether two are the same listener with the same destination. */
bool proxy_upstream_same(const struct proxy_upstream *a, const struct proxy_upstream *b);
struct proxy_config *proxy_config_copy(const struct proxy_config *c, struct arena *arena);

/* ---- whom an upstream's certificate must name ---- */

struct proxy_instance {
    struct str address; /* name or IP */
    int64_t port;
    struct str name_space, datacenter, service; /* whom it must name */
};
/* The instances of an answer of /v1/health/connect or of a query's execution that can be dialled;
 * in the arena. */
struct proxy_instance *proxy_instances_read(const struct value *entries, size_t *count,
                                            struct arena *arena);
/* "spiffe://<trust domain>/ns/default/dc/dc1/svc/db" names that service. Case does not matter. */
bool proxy_identity_matches(struct str uri, const struct proxy_instance *instance,
                            struct arena *arena);
struct str proxy_identity_text(const struct proxy_instance *instance, struct arena *arena);

#endif
