/* What answers to an mDNS question add up to, for discover_mdns.c. Pure: messages in, addresses and
 * further questions out. Everything is bounded, since anybody on the link may answer.
 */
#ifndef PRAETOR_AGENT_DISCOVER_MDNS_H
#define PRAETOR_AGENT_DISCOVER_MDNS_H

#include "agent/discover_provider.h"
#include "codec/dns.h"

#define MDNS_INSTANCES_MAX 256

struct mdns_instance {
    struct str name; /* of the instance, as dns.h has names */
    struct str host; /* absent until its SRV record came */
    uint16_t port;
    bool asked_service, asked_host; /* a further question was put */
};
struct mdns_host {
    struct str name;
    bool has_v4, has_v6;
    uint8_t v4[4], v6[16];
};
struct mdns_answers {
    struct arena *arena;
    struct str service; /* "_consul._tcp.local" as a name */
    struct mdns_instance instances[MDNS_INSTANCES_MAX];
    struct mdns_host hosts[MDNS_INSTANCES_MAX];
    size_t instance_count, host_count;
};
/* Takes in one message; what is no answer or malformed is left out. The bytes are not kept. */
void mdns_take(struct mdns_answers *a, struct str bytes);
/* The next question that would complete an instance, each only once; false: none. */
bool mdns_next_question(struct mdns_answers *a, struct dns_question *q);
/* "ip:port" of each complete instance, in the order in which they came; v6 before v4. */
bool mdns_addresses(const struct mdns_answers *a, bool v4, bool v6, struct list *out,
                    struct error *e);

#endif
