/* Hashes of ACL objects and intentions: what goes into them, in which order. The order of map keys
 * is that of schema.h: sorted.
 */
#include "schema/hash.h"

#include "codec/blake2b.h"

static void add_links(struct blake2b *h, const struct list *links) {
    for (uint32_t i = 0; i < links->len; i++)
        blake2b_add(h, LIST_AT(*links, struct acl_link, i).id);
}

static void add_identities(struct blake2b *h, const struct list *services,
                           const struct list *nodes) {
    for (uint32_t i = 0; i < services->len; i++) {
        const struct service_identity *identity = LIST_AT(*services, struct service_identity *, i);
        if (identity == NULL)
            continue;
        blake2b_add(h, identity->service_name);
        for (uint32_t k = 0; k < identity->datacenters.len; k++)
            blake2b_add(h, LIST_AT(identity->datacenters, struct str, k));
    }
    for (uint32_t i = 0; i < nodes->len; i++) {
        const struct node_identity *identity = LIST_AT(*nodes, struct node_identity *, i);
        if (identity == NULL)
            continue;
        blake2b_add(h, identity->node_name);
        blake2b_add(h, identity->datacenter);
    }
}

static struct str end(struct blake2b *h, struct arena *arena) {
    uint8_t out[BLAKE2B_BYTES];
    blake2b_end(h, out);
    return str_copy(arena, str_of(out, sizeof out));
}

struct str acl_token_hash(const struct acl_token *token, struct arena *arena) {
    struct blake2b h;
    blake2b_start(&h);
    blake2b_add(&h, token->description);
    blake2b_add(&h, token->type);
    blake2b_add(&h, token->rules);
    blake2b_add(&h, token->local ? STR("local") : STR("global"));
    add_links(&h, &token->policies);
    add_links(&h, &token->roles);
    add_identities(&h, &token->service_identities, &token->node_identities);
    return end(&h, arena);
}

struct str acl_policy_hash(const struct acl_policy *policy, struct arena *arena) {
    struct blake2b h;
    blake2b_start(&h);
    blake2b_add(&h, policy->name);
    blake2b_add(&h, policy->description);
    blake2b_add(&h, policy->rules);
    for (uint32_t i = 0; i < policy->datacenters.len; i++)
        blake2b_add(&h, LIST_AT(policy->datacenters, struct str, i));
    return end(&h, arena);
}

struct str acl_role_hash(const struct acl_role *role, struct arena *arena) {
    struct blake2b h;
    blake2b_start(&h);
    blake2b_add(&h, role->name);
    blake2b_add(&h, role->description);
    add_links(&h, &role->policies);
    add_identities(&h, &role->service_identities, &role->node_identities);
    return end(&h, arena);
}

struct str intention_hash(const struct intention *intention, struct arena *arena) {
    struct blake2b h;
    blake2b_start(&h);
    const struct str texts[] = {
        intention->id,          intention->description,    intention->source_ns,
        intention->source_name, intention->destination_ns, intention->destination_name,
        intention->source_type, intention->action,         intention->default_addr};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        blake2b_add(&h, texts[i]);
    for (uint32_t i = 0; i < intention->meta.len; i++) {
        const struct str_pair *pair = &LIST_AT(intention->meta, struct str_pair, i);
        blake2b_add(&h, pair->key);
        blake2b_add(&h, pair->value);
    }
    return end(&h, arena);
}
