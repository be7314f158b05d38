/* The table of nodes and their identities. */
#include "gossip/members.h"

#include "base/map.h"
#include "base/mem.h"

enum { CHUNK = 64 };

/* ---- identities ---- */

/* Identities by their content: open addressing, no removal of single slots while others exist
 * behind them (they are moved up). */
struct gossip_shared {
    struct identity **slots;
    size_t cap, len;
};

struct gossip_shared *gossip_shared_new(void) {
    return MEM_NEW(struct gossip_shared);
}

void gossip_shared_free(struct gossip_shared *s) {
    if (s == NULL)
        return;
    ASSERT(s->len == 0);
    mem_free(s->slots);
    mem_free(s);
}

static bool identity_is(const struct identity *a, const struct identity *b) {
    return a->content_hash == b->content_hash && a->name_len == b->name_len &&
           a->meta_len == b->meta_len && a->has_meta == b->has_meta &&
           gossip_address_eq(&a->address, &b->address) &&
           memcmp(a->versions, b->versions, sizeof a->versions) == 0 &&
           memcmp(a->data, b->data, (size_t)a->name_len + a->meta_len) == 0;
}

static size_t shared_find(const struct gossip_shared *s, const struct identity *id) {
    size_t i = id->content_hash & (s->cap - 1);
    while (s->slots[i] != NULL && !identity_is(s->slots[i], id))
        i = (i + 1) & (s->cap - 1);
    return i;
}

static void shared_grow(struct gossip_shared *s) {
    struct gossip_shared bigger = {.cap = s->cap > 0 ? 2 * s->cap : 64, .len = s->len};
    bigger.slots = mem_zalloc(bigger.cap, sizeof(struct identity *));
    for (size_t i = 0; i < s->cap; i++) {
        if (s->slots[i] != NULL)
            bigger.slots[shared_find(&bigger, s->slots[i])] = s->slots[i];
    }
    mem_free(s->slots);
    *s = bigger;
}

/* The equal one that is there, or `id` itself, which is now. */
static struct identity *shared_take(struct gossip_shared *s, struct identity *id) {
    id->content_hash = map_hash(str_of(id->data, (size_t)id->name_len + id->meta_len)) ^
                       id->address.port ^ (uint64_t)id->versions[GOSSIP_DCUR] << 32;
    if (2 * (s->len + 1) > s->cap)
        shared_grow(s);
    size_t i = shared_find(s, id);
    if (s->slots[i] == NULL) {
        s->slots[i] = id;
        s->len++;
        return id;
    }
    mem_free(id);
    s->slots[i]->refs++;
    return s->slots[i];
}

static void shared_drop(struct gossip_shared *s, struct identity *id) {
    size_t mask = s->cap - 1, hole = shared_find(s, id);
    ASSERT(s->slots[hole] == id);
    s->len--;
    for (size_t i = (hole + 1) & mask; s->slots[i] != NULL; i = (i + 1) & mask) {
        size_t home = s->slots[i]->content_hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            s->slots[hole] = s->slots[i];
            hole = i;
        }
    }
    s->slots[hole] = NULL;
}

struct identity *identity_new(struct gossip_shared *shared, struct str name,
                              const struct gossip_address *address, struct str meta,
                              const uint8_t versions[GOSSIP_VERSIONS]) {
    ASSERT(name.len <= GOSSIP_NAME_MAX && meta.len <= GOSSIP_META_MAX);
    struct identity *id = mem_alloc(sizeof *id + name.len + meta.len);
    *id = (struct identity){.refs = 1,
                            .name_hash = (uint32_t)map_hash(name),
                            .address = *address,
                            .name_len = (uint16_t)name.len,
                            .meta_len = (uint16_t)meta.len,
                            .has_meta = meta.data != NULL};
    memcpy(id->versions, versions, sizeof id->versions);
    memcpy(id->data, name.data, name.len);
    if (meta.len > 0)
        memcpy(id->data + name.len, meta.data, meta.len);
    return shared != NULL ? shared_take(shared, id) : id;
}

void identity_release(struct gossip_shared *shared, struct identity *id) {
    ASSERT(id->refs > 0);
    if (--id->refs > 0)
        return;
    if (shared != NULL)
        shared_drop(shared, id);
    mem_free(id);
}

/* ---- records ---- */

#define SLOT_BITS 24
#define SLOT_MASK ((UINT32_C(1) << SLOT_BITS) - 1)
#define TAG_OF(hash) ((hash) & ~SLOT_MASK)

struct member *members_at(const struct members *m, uint32_t slot) {
    struct member *member = &m->chunks[slot / CHUNK][slot % CHUNK];
    return member->id != NULL ? member : NULL;
}

/* Where the index has the name, or where it would come. */
static uint32_t index_find(const struct members *m, struct str name, uint32_t hash) {
    uint32_t i = hash & (m->index_cap - 1);
    for (; m->index[i] != 0; i = (i + 1) & (m->index_cap - 1)) {
        if (TAG_OF(m->index[i]) != TAG_OF(hash))
            continue;
        const struct member *member = members_at(m, (m->index[i] & SLOT_MASK) - 1);
        if (str_eq(member_name(member), name))
            break;
    }
    return i;
}

struct member *members_find(const struct members *m, struct str name) {
    if (m->count == 0)
        return NULL;
    uint32_t i = index_find(m, name, (uint32_t)map_hash(name));
    return m->index[i] != 0 ? members_at(m, (m->index[i] & SLOT_MASK) - 1) : NULL;
}

static void index_put(struct members *m, const struct member *member) {
    uint32_t hash = member->id->name_hash;
    uint32_t i = hash & (m->index_cap - 1);
    while (m->index[i] != 0)
        i = (i + 1) & (m->index_cap - 1);
    m->index[i] = (member->slot + 1) | TAG_OF(hash);
}

static void index_grow(struct members *m) {
    mem_free(m->index);
    m->index_cap = m->index_cap > 0 ? 2 * m->index_cap : 16;
    m->index = mem_zalloc(m->index_cap, sizeof *m->index);
    for (uint32_t slot = 0; slot < m->slots; slot++) {
        if (members_at(m, slot) != NULL)
            index_put(m, members_at(m, slot));
    }
}

/* Takes it out; those behind that would no longer be found move up. */
static void index_remove(struct members *m, const struct member *member) {
    uint32_t mask = m->index_cap - 1;
    uint32_t hole = index_find(m, member_name(member), member->id->name_hash);
    ASSERT(m->index[hole] != 0);
    for (uint32_t i = (hole + 1) & mask; m->index[i] != 0; i = (i + 1) & mask) {
        uint32_t home = members_at(m, (m->index[i] & SLOT_MASK) - 1)->id->name_hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->index[hole] = m->index[i];
            hole = i;
        }
    }
    m->index[hole] = 0;
}

static uint32_t new_slot(struct members *m) {
    if (m->free != 0) {
        uint32_t slot = m->free - 1;
        m->free = m->chunks[slot / CHUNK][slot % CHUNK].suspicion;
        return slot;
    }
    ASSERT(m->slots < SLOT_MASK - 1);
    if (m->slots % CHUNK == 0) {
        uint32_t chunk = m->slots / CHUNK;
        if ((chunk & (chunk - 1)) == 0) /* the array doubles at powers of two */
            m->chunks = mem_resize(m->chunks, chunk > 0 ? 2 * chunk : 1, sizeof(struct member *));
        m->chunks[chunk] = mem_zalloc(CHUNK, sizeof(struct member));
    }
    return m->slots++;
}

struct member *members_add(struct members *m, struct identity *id) {
    uint32_t slot = new_slot(m);
    struct member *member = &m->chunks[slot / CHUNK][slot % CHUNK];
    *member = (struct member){.slot = slot};
    if (4 * (m->count + 1) > 3 * m->index_cap)
        index_grow(m);
    member->id = id;
    index_put(m, member);
    m->count++;
    return member;
}

void member_set_identity(struct members *m, struct member *member, struct identity *id) {
    ASSERT(str_eq(identity_name(id), member_name(member)));
    identity_release(m->shared, member->id);
    member->id = id;
}

void member_forget_coordinate(struct member *member) {
    mem_free(member->coordinate);
    member->coordinate = NULL;
}

static void free_if_unused(struct members *m, struct member *member) {
    if (member->listed || member->status != GOSSIP_STATUS_NONE)
        return;
    ASSERT(member->suspicion == 0);
    index_remove(m, member);
    member_forget_coordinate(member);
    identity_release(m->shared, member->id);
    member->id = NULL;
    member->suspicion = m->free;
    m->free = member->slot + 1;
    m->count--;
}

void members_list(struct members *m, struct member *member, struct prng *rng) {
    ASSERT(!member->listed);
    if (m->listed == m->order_cap) {
        m->order_cap = m->order_cap > 0 ? m->order_cap + m->order_cap / 2 : 8;
        m->order = mem_resize(m->order, m->order_cap, sizeof *m->order);
    }
    uint32_t at = (uint32_t)prng_below(rng, m->listed + UINT64_C(1));
    m->order[m->listed] = m->order[at];
    m->order[at] = member->slot;
    m->listed++;
    member->listed = true;
    member->state = GOSSIP_DEAD;
    member->incarnation = 0;
}

void members_unlist(struct members *m, uint32_t at) {
    ASSERT(at < m->listed);
    struct member *member = members_in_order(m, at);
    m->order[at] = m->order[--m->listed];
    member->listed = false;
    free_if_unused(m, member);
}

void members_shuffle(struct members *m, struct prng *rng) {
    for (uint32_t i = m->listed; i > 1; i--) {
        uint32_t k = (uint32_t)prng_below(rng, i);
        uint32_t swap = m->order[i - 1];
        m->order[i - 1] = m->order[k];
        m->order[k] = swap;
    }
}

void member_set_status(struct members *m, struct member *member, enum gossip_status status) {
    m->by_status[member->status]--;
    m->by_status[status]++;
    m->with_status += (status != GOSSIP_STATUS_NONE);
    m->with_status -= (member->status != GOSSIP_STATUS_NONE);
    member->status = (uint8_t)status;
    free_if_unused(m, member);
}

void members_free(struct members *m) {
    for (uint32_t slot = 0; slot < m->slots; slot++) {
        struct member *member = members_at(m, slot);
        if (member == NULL)
            continue;
        member_forget_coordinate(member);
        identity_release(m->shared, member->id);
    }
    for (uint32_t chunk = 0; chunk * CHUNK < m->slots; chunk++)
        mem_free(m->chunks[chunk]);
    mem_free(m->chunks);
    mem_free(m->index);
    mem_free(m->order);
    *m = (struct members){.shared = m->shared};
}
