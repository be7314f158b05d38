/* See acl_replication_diff.h. */
#include "server/acl_replication_diff.h"

#include <stdlib.h>

#include "base/mem.h"

#define BATCH_SIZE ((size_t)256 << 10)

/* ---- what differs ---- */

static int by_id(const void *a, const void *b) {
    return str_compare(((const struct replica *)a)->id, ((const struct replica *)b)->id);
}

static void sort(struct list *all) {
    if (all->len > 1) {
        qsort(all->items, all->len, sizeof(struct replica), by_id);
    }
}

/* Those without an ID come first. */
static uint32_t skip_nameless(const struct list *all) {
    uint32_t i = 0;
    while (i < all->len && LIST_AT(*all, struct replica, i).id.len == 0) {
        i++;
    }
    return i;
}

static void fetch(struct replica_diff *d, const struct replica *r) {
    LIST_AT(d->updates, struct replica, d->updates.len++) = *r;
}

void replica_diff(struct list *local, struct list *remote, uint64_t last_index, struct arena *arena,
                  struct replica_diff *out) {
    sort(local);
    sort(remote);
    *out = (struct replica_diff){.deletions = LIST_NEW(arena, struct str, local->len),
                                 .updates = LIST_NEW(arena, struct replica, remote->len)};
    out->deletions.len = out->updates.len = 0;
    uint32_t l = out->skipped_local = skip_nameless(local);
    uint32_t r = out->skipped_remote = skip_nameless(remote);
    while (l < local->len || r < remote->len) {
        const struct replica *ours = l < local->len ? &LIST_AT(*local, struct replica, l) : NULL;
        const struct replica *theirs =
            r < remote->len ? &LIST_AT(*remote, struct replica, r) : NULL;
        int order = ours == NULL ? 1 : theirs == NULL ? -1 : str_compare(ours->id, theirs->id);
        if (order < 0) {
            LIST_AT(out->deletions, struct str, out->deletions.len++) = ours->id;
        } else if (order > 0 ||
                   (theirs->modify_index > last_index && !str_eq(ours->hash, theirs->hash))) {
            fetch(out, theirs);
        }
        l += order <= 0;
        r += order >= 0;
    }
}

/* ---- sizes ---- */

static size_t links_size(const struct list *links) {
    size_t size = 0;
    for (uint32_t i = 0; i < links->len; i++) {
        const struct acl_link *link = &LIST_AT(*links, struct acl_link, i);
        size += link->id.len + link->name.len;
    }
    return size;
}

static size_t strings_size(const struct list *strings) {
    size_t size = 0;
    for (uint32_t i = 0; i < strings->len; i++) {
        size += LIST_AT(*strings, struct str, i).len;
    }
    return size;
}

static size_t identities_size(const struct list *services, const struct list *nodes) {
    size_t size = 0;
    for (uint32_t i = 0; i < services->len; i++) {
        const struct service_identity *s = LIST_AT(*services, struct service_identity *, i);
        size += s != NULL ? s->service_name.len + strings_size(&s->datacenters) : 0;
    }
    for (uint32_t i = 0; i < nodes->len; i++) {
        const struct node_identity *n = LIST_AT(*nodes, struct node_identity *, i);
        size += n != NULL ? n->node_name.len + n->datacenter.len : 0;
    }
    return size;
}

size_t replica_policy_size(const struct acl_policy *p) {
    return 64 + p->name.len + p->description.len + p->rules.len + strings_size(&p->datacenters);
}

size_t replica_role_size(const struct acl_role *r) {
    return 60 + r->name.len + r->description.len + links_size(&r->policies) +
           identities_size(&r->service_identities, &r->node_identities);
}

size_t replica_token_size(const struct acl_token *t) {
    return 41 + t->accessor_id.len + t->secret_id.len + t->description.len + t->type.len +
           t->rules.len + t->auth_method.len + links_size(&t->policies) + links_size(&t->roles) +
           identities_size(&t->service_identities, &t->node_identities);
}

uint32_t replica_batch(const struct list *objects, uint32_t from,
                       size_t (*size_of)(const void *object), size_t *size) {
    uint32_t count = 0;
    *size = 0;
    while (from + count < objects->len) {
        size_t next = size_of(LIST_AT(*objects, const void *, from + count));
        if (count > 0 && *size + next > BATCH_SIZE) {
            break;
        }
        *size += next;
        count++;
    }
    return count;
}
