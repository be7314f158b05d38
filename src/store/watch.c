/* Watch sets, touched lists and registries (store/watch.h). In a registry, names other than KV keys
 * are in a hash map; keys and prefixes are in a radix tree, so that a touched key finds the
 * prefixes above it, and a touched prefix the keys below it, without looking at anybody else.
 */
#include "store/watch.h"

#include <stdatomic.h>

#include "base/mem.h"

/* ---- watch sets ---- */

void watch_set_init(struct watch_set *w, struct arena *arena) {
    *w = (struct watch_set){.arena = arena};
}

static bool key_eq(const struct watch_key *a, enum watch_table table, bool prefix,
                   struct str name) {
    return a->table == table && a->prefix == prefix && str_eq(a->name, name);
}

/* Sets are a few names long, but for nodes and services in long lists: those come sorted, so that a
 * repeat is near. Looking far back would be quadratic; an unnoticed repeat only costs a record. */
#define LOOK_BACK 32

static void set_add(struct watch_set *w, enum watch_table table, bool prefix, struct str name) {
    if (w == NULL)
        return;
    uint32_t from = w->len > LOOK_BACK ? w->len - LOOK_BACK : 0;
    for (uint32_t i = w->len; i > from; i--) {
        if (key_eq(&w->keys[i - 1], table, prefix, name))
            return;
    }
    if (w->len == w->cap) {
        uint32_t cap = w->cap == 0 ? 4 : w->cap * 2;
        struct watch_key *keys = arena_alloc(w->arena, cap * sizeof *keys);
        if (w->len > 0)
            memcpy(keys, w->keys, w->len * sizeof *keys);
        w->keys = keys;
        w->cap = cap;
    }
    w->keys[w->len++] =
        (struct watch_key){.table = table, .prefix = prefix, .name = str_copy(w->arena, name)};
}

void watch_set_add(struct watch_set *w, enum watch_table table, struct str name) {
    set_add(w, table, false, name);
}

void watch_set_add_prefix(struct watch_set *w, struct str prefix) {
    set_add(w, WATCH_KEY, true, prefix);
}

/* "<table>" NUL "<key>" in the arena. */
static struct str record_name(struct arena *arena, const char *table, struct str key) {
    size_t table_len = strlen(table) + 1;
    char *bytes = arena_alloc(arena, table_len + key.len);
    memcpy(bytes, table, table_len);
    if (key.len > 0)
        memcpy(bytes + table_len, key.data, key.len);
    return str_of(bytes, table_len + key.len);
}

void watch_set_add_record(struct watch_set *w, const char *table, struct str key) {
    if (w != NULL)
        set_add(w, WATCH_RECORD, false, record_name(w->arena, table, key));
}

/* ---- touched lists ---- */

struct watch_touched {
    _Atomic unsigned references;
    uint64_t version;
    struct arena arena;
    struct watch_key *keys;
    size_t len, cap;
    uint32_t *slots; /* open hash of 1 + positions in keys, against repeats */
    size_t slot_count;
};

struct watch_touched *watch_touched_new(void) {
    struct watch_touched *t = MEM_NEW(struct watch_touched);
    atomic_store(&t->references, 1);
    return t;
}

struct watch_touched *watch_touched_hold(struct watch_touched *t) {
    atomic_fetch_add(&t->references, 1);
    return t;
}

void watch_touched_release(struct watch_touched *t) {
    if (t == NULL || atomic_fetch_sub(&t->references, 1) != 1)
        return;
    arena_free(&t->arena);
    mem_free(t->keys);
    mem_free(t->slots);
    mem_free(t);
}

uint64_t watch_touched_version(const struct watch_touched *t) {
    return t->version;
}
void watch_touched_set_version(struct watch_touched *t, uint64_t version) {
    t->version = version;
}
size_t watch_touched_count(const struct watch_touched *t) {
    return t->len;
}

bool watch_touched_at(const struct watch_touched *t, size_t i, struct watch_key *key) {
    if (i >= t->len)
        return false;
    *key = t->keys[i];
    return true;
}

static size_t touched_slot(const struct watch_touched *t, enum watch_table table, bool prefix,
                           struct str name) {
    size_t at = (size_t)(str_hash(name) * 31 + (uint64_t)table * 2 + prefix) & (t->slot_count - 1);
    while (t->slots[at] != 0 && !key_eq(&t->keys[t->slots[at] - 1], table, prefix, name)) {
        at = (at + 1) & (t->slot_count - 1);
    }
    return at;
}

static void touched_hash(struct watch_touched *t) {
    memset(t->slots, 0, t->slot_count * sizeof *t->slots);
    for (size_t i = 0; i < t->len; i++) {
        const struct watch_key *k = &t->keys[i];
        t->slots[touched_slot(t, k->table, k->prefix, k->name)] = (uint32_t)(i + 1);
    }
}

static void touched_grow(struct watch_touched *t) {
    t->cap = t->cap == 0 ? 16 : t->cap * 2;
    t->keys = mem_resize(t->keys, t->cap, sizeof *t->keys);
    t->slot_count = t->cap * 2;
    t->slots = mem_resize(t->slots, t->slot_count, sizeof *t->slots);
    touched_hash(t);
}

void watch_touched_truncate(struct watch_touched *t, size_t count) {
    if (count >= t->len)
        return;
    t->len = count;
    touched_hash(t);
}

static void touched_add(struct watch_touched *t, enum watch_table table, bool prefix,
                        struct str name) {
    if (t->len == t->cap)
        touched_grow(t);
    size_t at = touched_slot(t, table, prefix, name);
    if (t->slots[at] != 0)
        return;
    t->keys[t->len] =
        (struct watch_key){.table = table, .prefix = prefix, .name = str_copy(&t->arena, name)};
    t->slots[at] = (uint32_t)++t->len;
}

void watch_touched_add(struct watch_touched *t, enum watch_table table, struct str name) {
    touched_add(t, table, false, name);
}

void watch_touched_add_prefix(struct watch_touched *t, struct str prefix) {
    touched_add(t, WATCH_KEY, true, prefix);
}

/* ---- registries ---- */

struct watch_link {                  /* one watcher waits for one name */
    struct watch_link *next, **back; /* in the name's list */
    struct watcher *watcher;
    struct radix_node *node; /* of a key or prefix, or NULL */
    struct name_slot *slot;  /* of another name, or NULL */
};

struct name_slot { /* a name other than a key */
    struct watch_link *links;
    size_t key_len;
    char key[]; /* table byte, then name */
};

struct radix_node {
    struct radix_node *parent;
    struct radix_node **children; /* by first byte of their edges */
    uint16_t child_count, child_cap;
    uint32_t edge_len;
    char *edge; /* the bytes between parent and here */
    struct watch_link *exact, *prefix;
};

struct watch_registry {
    struct map names;
    struct radix_node root;
    size_t count;
    struct watcher *waiting; /* all that are registered and not due */
    struct watcher *due;
};

static void link_in(struct watch_link **list, struct watch_link *link) {
    link->next = *list;
    link->back = list;
    if (link->next != NULL)
        link->next->back = &link->next;
    *list = link;
}

static void link_out(struct watch_link *link) {
    *link->back = link->next;
    if (link->next != NULL)
        link->next->back = link->back;
}

/* ---- the radix tree ---- */

/* Position of the child whose edge begins with c, or where it would go. */
static uint16_t child_position(const struct radix_node *n, char c, bool *found) {
    uint16_t low = 0, high = n->child_count;
    while (low < high) {
        uint16_t middle = (uint16_t)((low + high) / 2);
        if ((unsigned char)n->children[middle]->edge[0] < (unsigned char)c) {
            low = (uint16_t)(middle + 1);
        } else {
            high = middle;
        }
    }
    *found = low < n->child_count && n->children[low]->edge[0] == c;
    return low;
}

static struct radix_node *child_of(const struct radix_node *n, char c) {
    bool found;
    uint16_t at = child_position(n, c, &found);
    return found ? n->children[at] : NULL;
}

static void child_add(struct radix_node *n, struct radix_node *child) {
    bool found;
    uint16_t at = child_position(n, child->edge[0], &found);
    ASSERT(!found);
    if (n->child_count == n->child_cap) {
        n->child_cap = (uint16_t)(n->child_cap == 0 ? 2 : n->child_cap * 2);
        n->children = mem_resize(n->children, n->child_cap, sizeof(struct radix_node *));
    }
    memmove(&n->children[at + 1], &n->children[at],
            (size_t)(n->child_count - at) * sizeof(struct radix_node *));
    n->children[at] = child;
    n->child_count++;
    child->parent = n;
}

static void child_remove(struct radix_node *n, struct radix_node *child) {
    bool found;
    uint16_t at = child_position(n, child->edge[0], &found);
    ASSERT(found && n->children[at] == child);
    n->child_count--;
    memmove(&n->children[at], &n->children[at + 1],
            (size_t)(n->child_count - at) * sizeof(struct radix_node *));
}

static struct radix_node *node_new(struct str edge) {
    struct radix_node *n = MEM_NEW(struct radix_node);
    n->edge = mem_alloc(edge.len);
    memcpy(n->edge, edge.data, edge.len);
    n->edge_len = (uint32_t)edge.len;
    return n;
}

static void node_free(struct radix_node *n) {
    mem_free(n->children);
    mem_free(n->edge);
    mem_free(n);
}

static uint32_t common_length(const struct radix_node *n, struct str key) {
    uint32_t len = 0;
    while (len < n->edge_len && len < key.len && n->edge[len] == key.data[len])
        len++;
    return len;
}

/* Puts a node in the middle of n's edge, after `at` bytes, and returns it. */
static struct radix_node *node_split(struct radix_node *n, uint32_t at) {
    struct radix_node *middle = node_new(str_of(n->edge, at)), *parent = n->parent;
    child_remove(parent, n);
    child_add(parent, middle);
    memmove(n->edge, n->edge + at, n->edge_len - at);
    n->edge_len -= at;
    child_add(middle, n);
    return middle;
}

static struct radix_node *node_for(struct watch_registry *r, struct str key) {
    struct radix_node *n = &r->root;
    while (key.len > 0) {
        struct radix_node *child = child_of(n, key.data[0]);
        if (child == NULL) {
            child = node_new(key);
            child_add(n, child);
            return child;
        }
        uint32_t common = common_length(child, key);
        if (common < child->edge_len)
            child = node_split(child, common);
        key = str_sub(key, common, key.len);
        n = child;
    }
    return n;
}

/* Joins a node without lists with its only child, so that the tree stays as small as what is in it.
 */
static void node_merge(struct radix_node *n) {
    struct radix_node *child = n->children[0], *parent = n->parent;
    child_remove(parent, n);
    char *edge = mem_alloc((size_t)n->edge_len + child->edge_len);
    memcpy(edge, n->edge, n->edge_len);
    memcpy(edge + n->edge_len, child->edge, child->edge_len);
    mem_free(child->edge);
    child->edge = edge;
    child->edge_len += n->edge_len;
    child_add(parent, child);
    node_free(n);
}

static void node_tidy(struct watch_registry *r, struct radix_node *n) {
    while (n != &r->root && n->exact == NULL && n->prefix == NULL) {
        if (n->child_count > 1)
            return;
        if (n->child_count == 1) {
            node_merge(n);
            return;
        }
        struct radix_node *parent = n->parent;
        child_remove(parent, n);
        node_free(n);
        n = parent;
    }
}

/* ---- registering ---- */

struct watch_registry *watch_registry_new(void) {
    return MEM_NEW(struct watch_registry);
}

static struct name_slot *slot_for(struct watch_registry *r, const struct watch_key *k) {
    struct name_slot *slot = mem_zalloc(1, sizeof *slot + k->name.len + 1);
    slot->key_len = k->name.len + 1;
    slot->key[0] = (char)k->table;
    if (k->name.len > 0)
        memcpy(slot->key + 1, k->name.data, k->name.len);
    struct str key = str_of(slot->key, slot->key_len);
    struct name_slot *there = map_get(&r->names, key);
    if (there != NULL) {
        mem_free(slot);
        return there;
    }
    map_put(&r->names, key, slot);
    return slot;
}

static void list_in(struct watcher **list, struct watcher *w) {
    w->next = *list;
    w->back = list;
    if (w->next != NULL)
        w->next->back = &w->next;
    *list = w;
}

static void list_out(struct watcher *w) {
    *w->back = w->next;
    if (w->next != NULL)
        w->next->back = w->back;
    w->next = NULL;
    w->back = NULL;
}

void watch_register(struct watch_registry *r, struct watcher *w, const struct watch_set *set) {
    ASSERT(w->registry == NULL);
    struct watch_link *links = set->len == 0 ? NULL : mem_zalloc(set->len, sizeof *links);
    for (uint32_t i = 0; i < set->len; i++) {
        const struct watch_key *k = &set->keys[i];
        struct watch_link *link = &links[i];
        link->watcher = w;
        if (k->table == WATCH_KEY) {
            link->node = node_for(r, k->name);
            link_in(k->prefix ? &link->node->prefix : &link->node->exact, link);
        } else {
            link->slot = slot_for(r, k);
            link_in(&link->slot->links, link);
        }
    }
    w->registry = r;
    w->links = links;
    w->link_count = set->len;
    w->due = false;
    list_in(&r->waiting, w);
    r->count++;
}

void watch_unregister(struct watcher *w) {
    struct watch_registry *r = w->registry;
    if (r == NULL)
        return;
    struct watch_link *links = w->links;
    for (uint32_t i = 0; i < w->link_count; i++) {
        struct watch_link *link = &links[i];
        link_out(link);
        if (link->node != NULL) {
            node_tidy(r, link->node);
        } else if (link->slot->links == NULL) {
            map_remove(&r->names, str_of(link->slot->key, link->slot->key_len));
            mem_free(link->slot);
        }
    }
    mem_free(links);
    list_out(w);
    w->links = NULL;
    w->link_count = 0;
    w->registry = NULL;
    w->due = false;
    r->count--;
}

void watch_registry_free(struct watch_registry *r) {
    if (r == NULL)
        return;
    while (r->waiting != NULL)
        watch_unregister(r->waiting);
    while (r->due != NULL)
        watch_unregister(r->due);
    ASSERT(r->names.count == 0 && r->root.child_count == 0);
    map_free(&r->names);
    mem_free(r->root.children);
    mem_free(r);
}

size_t watch_registry_count(const struct watch_registry *r) {
    return r->count;
}

/* ---- publishing ---- */

static void mark_due(struct watch_registry *r, struct watcher *w) {
    if (w->due)
        return;
    w->due = true;
    list_out(w);
    list_in(&r->due, w);
}

static void mark_links(struct watch_registry *r, const struct watch_link *link) {
    for (; link != NULL; link = link->next)
        mark_due(r, link->watcher);
}

/* All keys and prefixes at and below a node, without recursion: keys may be long. */
static void mark_subtree(struct watch_registry *r, const struct radix_node *top) {
    const struct radix_node *n = top;
    for (;;) {
        mark_links(r, n->exact);
        mark_links(r, n->prefix);
        if (n->child_count > 0) {
            n = n->children[0];
            continue;
        }
        for (;;) { /* the next sibling, or that of the nearest ancestor that has one */
            if (n == top)
                return;
            const struct radix_node *parent = n->parent;
            bool found;
            uint16_t at = (uint16_t)(child_position(parent, n->edge[0], &found) + 1);
            n = at < parent->child_count ? parent->children[at] : parent;
            if (n != parent)
                break;
        }
    }
}

static void mark_key(struct watch_registry *r, struct str key, bool prefix) {
    const struct radix_node *n = &r->root;
    while (key.len > 0) {
        mark_links(r, n->prefix); /* a prefix of the touched key */
        const struct radix_node *child = child_of(n, key.data[0]);
        if (child == NULL)
            return;
        uint32_t common = common_length(child, key);
        if (common < child->edge_len) {
            if (prefix && common == key.len)
                mark_subtree(r, child);
            return;
        }
        key = str_sub(key, common, key.len);
        n = child;
    }
    if (prefix) {
        mark_subtree(r, n);
    } else {
        mark_links(r, n->exact);
        mark_links(r, n->prefix);
    }
}

static void mark_name(struct watch_registry *r, const struct watch_key *k) {
    char room[256];
    char *bytes = k->name.len < sizeof room ? room : mem_alloc(k->name.len + 1);
    bytes[0] = (char)k->table;
    if (k->name.len > 0)
        memcpy(bytes + 1, k->name.data, k->name.len);
    const struct name_slot *slot = map_get(&r->names, str_of(bytes, k->name.len + 1));
    if (slot != NULL)
        mark_links(r, slot->links);
    if (bytes != room)
        mem_free(bytes);
}

size_t watch_publish(struct watch_registry *r, const struct watch_touched *t) {
    bool restored = false;
    /* First find all, then wake: waking changes lists and tree. */
    for (size_t i = 0; i < t->len && r->waiting != NULL; i++) {
        const struct watch_key *k = &t->keys[i];
        if (k->table == WATCH_ALL) {
            restored = true;
            while (r->waiting != NULL)
                mark_due(r, r->waiting);
        } else if (k->table == WATCH_KEY) {
            mark_key(r, k->name, k->prefix);
        } else {
            mark_name(r, k);
        }
    }
    size_t woken = 0;
    while (r->due != NULL) {
        struct watcher *w = r->due;
        watch_unregister(w);
        woken++;
        w->wake(w, restored);
    }
    return woken;
}
