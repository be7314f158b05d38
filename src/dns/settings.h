/* What the DNS interface is told: the site, fixed from start to stop, and the settings, of which a
 * reload makes new ones. A thread has a copy of the settings of its own; the queries that run hold
 * the copy with which they began.
 */
#ifndef PRAETOR_DNS_SETTINGS_H
#define PRAETOR_DNS_SETTINGS_H

#include <sys/socket.h>

#include "agent/config.h"
#include "base/error.h"
#include "base/str.h"

/* Shared by all threads, never changed. Names are in wire form and lower case (codec/dns.h). */
struct dns_site {
    struct arena arena;
    struct str domain;     /* "\6consul\0" */
    struct str alt_domain; /* or absent */
    struct str ns_name;    /* "\2ns\6consul\0" */
    struct str hostmaster; /* "\12hostmaster\6consul\0" */
    struct str node_name;
    struct str datacenter;
    bool translate_wan_addrs;
};
struct dns_options;
/* False when a domain is no name. */
bool dns_site_init(struct dns_site *site, const struct dns_options *options, struct error *e);

struct dns_recursor {
    struct str text; /* "1.2.3.4:53" */
    struct sockaddr_storage address;
};

struct dns_ttl_rule {
    struct str name; /* of a service; of a prefix without its "*" */
    uint32_t seconds;
};

struct dns_settings {
    unsigned references; /* of one thread */
    struct arena arena;
    bool allow_stale;
    bool only_passing;
    bool compress;
    bool enable_truncate;
    bool node_meta_txt;
    bool use_cache;
    uint32_t a_record_limit; /* 0: none */
    uint32_t udp_answer_limit;
    uint32_t node_ttl; /* seconds, as are all that go into records */
    int64_t max_stale; /* ns, as are those that do not */
    int64_t cache_max_age;
    int64_t recursor_timeout;
    uint32_t soa_refresh, soa_retry, soa_expire, soa_min_ttl;
    struct dns_ttl_rule *exact_ttls; /* sorted by name */
    size_t exact_ttl_count;
    struct dns_ttl_rule *prefix_ttls; /* longest prefix first */
    size_t prefix_ttl_count;
    struct dns_recursor *recursors;
    size_t recursor_count;
};

/* "1.2.3.4:53", "[::1]:53", "host:domain"; may wait for the resolver (recursor_address.c). */
bool dns_recursor_parse(struct str text, struct sockaddr_storage *out, struct error *e);

/* A copy with one reference; NULL when a recursor has no address. */
struct dns_settings *dns_settings_new(const struct config_dns *config, struct error *e);
struct dns_settings *dns_settings_hold(struct dns_settings *s);
void dns_settings_release(struct dns_settings *s);

/* service: lower case, as in the question (dns.md 10). */
uint32_t dns_settings_service_ttl(const struct dns_settings *s, struct str service);

#endif
