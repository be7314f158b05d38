/* What cloud discovery reads from outside: the first byte says as what the others are taken: an
 * entry, EC2's XML, a kubeconfig, Kubernetes' list of pods, credentials, mDNS answers. */
#include <stdint.h>

#include "agent/discover_aws.h"
#include "agent/discover_k8s.h"
#include "agent/discover_mdns.h"
#include "base/mem.h"
#include "codec/json.h"
#include "net/aws_credentials.h"
#include "net/aws_sign.h"

static void entry(struct str text, struct arena *arena, struct error *e) {
    struct discover_keys keys;
    if (!discover_parse(text, &keys, arena, e))
        ASSERT(e->text.len > 0);
    else
        ASSERT(keys.len <= DISCOVER_KEYS_MAX);
}

static void mdns(struct str text, struct arena *arena, struct error *e) {
    struct mdns_answers *all = ARENA_NEW(arena, struct mdns_answers);
    struct list found = LIST_EMPTY;
    struct dns_question q;
    all->arena = arena;
    all->service = dns_name_from_text(STR("a.b"), arena);
    for (size_t at = 0; at + 2 <= text.len;) { /* messages behind their lengths */
        size_t len = be16_get(text.data + at);
        mdns_take(all, str_sub(text, at + 2, len));
        at += 2 + len;
    }
    unsigned questions = 0;
    while (mdns_next_question(all, &q))
        ASSERT(++questions <= 2 * MDNS_INSTANCES_MAX);
    ASSERT(mdns_addresses(all, true, true, &found, e));
    ASSERT(found.len <= all->instance_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct list found = LIST_EMPTY;
    struct str next, text = size > 0 ? str_of(data + 1, size - 1) : STR("");
    struct k8s_access access;
    struct aws_credentials credentials;
    struct value v;
    switch (size > 0 ? data[0] : 'e') {
    case 'x':
        aws_instances_parse(text, STR("public_v6"), &found, &next, &arena, &e);
        break;
    case 'k':
        k8s_config_parse(text, &access, &arena, &e);
        break;
    case 'p':
        if (json_parse_whole(text, &v, &arena, &e))
            k8s_pods_parse(&v, false, &found, &next, &arena, &e);
        break;
    case 'c':
        aws_credentials_parse(text, STR("default"), &credentials);
        break;
    case 'm':
        mdns(text, &arena, &e);
        break;
    default:
        entry(text, &arena, &e);
    }
    arena_free(&arena);
    return 0;
}
