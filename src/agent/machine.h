/* The addresses of this machine's interfaces, and what addresses are: literals, networks, sets of
 * networks. For the templates and the derivation of addresses in the configuration (config.md 1.8).
 */
#ifndef PRAETOR_AGENT_MACHINE_H
#define PRAETOR_AGENT_MACHINE_H

#include <net/if.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

/* An address of an interface. bytes: 4 or 16, the others are zero. */
struct machine_address {
    char name[IF_NAMESIZE];
    unsigned index;
    unsigned mtu;
    uint8_t hardware[6];
    bool has_hardware;
    unsigned flags; /* IFF_* */
    bool v6;
    uint8_t bytes[16];
    unsigned prefix; /* length of the network's part, in the address's own family */
    bool is_default; /* the default route goes through its interface */
};

struct machine {
    struct machine_address *addresses; /* by index of the interface, IPv4 first */
    size_t len;
    bool has_default; /* a default route was found */
};

void machine_read(struct machine *m, struct arena *arena);

struct network {
    bool v6;
    uint8_t bytes[16];
    unsigned prefix;
};
/* "10.0.0.0/8" */
bool network_parse(struct str text, struct network *out);
bool network_has(const struct network *n, const struct machine_address *a);
/* Whether it is in one of the networks; the list ends with NULL. */
bool machine_address_in(const struct machine_address *a, const char *const *networks);
/* Neither on this host alone nor on its link, nor for documentation. */
bool machine_address_forwardable(const struct machine_address *a);
/* The networks of an RFC, ended by NULL; NULL when it is none of those known. */
const char *const *machine_rfc(uint64_t number);
/* The address without its network. */
struct str machine_address_text(const struct machine_address *a, struct arena *arena);

#endif
