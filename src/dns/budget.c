/* Buckets that fill with time, found by a keyed hash of the network. Networks that fall into one
 * share it: at worst they ask over TCP, and who forges addresses from everywhere gets a bounded
 * whole.
 */
#include "dns/budget.h"

#include <netinet/in.h>

#include "base/mem.h"
#include "base/time.h"

#define BUCKETS 1024u /* a power of two */

struct bucket {
    int64_t at;    /* when `left` was worked out; 0: never used, and full */
    uint64_t left; /* bytes */
};

struct dns_budget {
    uint64_t seed;
    struct bucket buckets[BUCKETS];
};

struct dns_budget *dns_budget_new(uint64_t seed) {
    struct dns_budget *b = MEM_NEW(struct dns_budget);
    b->seed = seed;
    return b;
}

void dns_budget_free(struct dns_budget *b) {
    mem_free(b);
}

static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* The network as a number; false: the machine itself. */
static bool network_of(const struct sockaddr_storage *client, uint64_t *out) {
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)client)->sin6_addr;
    uint32_t v4 = 0;
    if (client->ss_family != AF_INET6) {
        v4 = ntohl(((const struct sockaddr_in *)client)->sin_addr.s_addr);
    } else if (IN6_IS_ADDR_LOOPBACK(v6)) {
        return false;
    } else if (IN6_IS_ADDR_V4MAPPED(v6)) {
        memcpy(&v4, v6->s6_addr + 12, sizeof(v4));
        v4 = ntohl(v4);
    } else {
        *out = 1;
        for (size_t i = 0; i < 7; i++) {
            *out = *out << 8 | v6->s6_addr[i];
        }
        return true;
    }
    *out = v4 >> 8;
    return v4 >> 24 != 127;
}

bool dns_budget_take(struct dns_budget *b, const struct sockaddr_storage *client, size_t bytes,
                     int64_t now) {
    uint64_t network;
    if (!network_of(client, &network)) {
        return true;
    }
    struct bucket *k = &b->buckets[mix(network ^ b->seed) & (BUCKETS - 1)];
    int64_t passed = k->at == 0 ? INT64_MAX : now - k->at;
    if (passed >= (int64_t)(DNS_BUDGET_BURST / DNS_BUDGET_RATE) * SECOND) {
        k->left = DNS_BUDGET_BURST;
        k->at = now;
    } else if (passed >= MILLISECOND) { /* less would be rounded away */
        k->left += (uint64_t)passed * DNS_BUDGET_RATE / SECOND;
        k->left = k->left < DNS_BUDGET_BURST ? k->left : DNS_BUDGET_BURST;
        k->at = now;
    }
    if (k->left < bytes) {
        return false;
    }
    k->left -= bytes;
    return true;
}
