/* User events: see events.h. */
#include "agent/events.h"

#include "base/log.h"
#include "base/mem.h"
#include "codec/msgpack.h"
#include "codec/uuid.h"
#include "schema/regex.h"
#include "schema/table.h"

#define LOGGER "agent"
#define SUPPORTED_VERSION 1

#define OF struct user_event
static const struct field user_event_fields[] = {
    F_STR("ID", id),
    F_STR("Name", name),
    F_BYTES("Payload", payload),
    F_STR("NodeFilter", node_filter),
    F_STR("ServiceFilter", service_filter),
    F_STR("TagFilter", tag_filter),
    F_INT("Version", version),
    F_UINT("LTime", ltime),
};
#undef OF
SHAPE(user_event, "UserEvent");

/* ---- checks ---- */

static bool check_filter(struct str pattern, const char *what, struct error *e) {
    if (pattern.len == 0)
        return true;
    struct regex *re = regex_compile(pattern, e);
    regex_free(re);
    if (re != NULL)
        return true;
    e->kind = ERROR_INTERNAL;
    return error_prefix(e, "Invalid %s filter: ", what);
}

bool event_check(const struct user_event *event, struct error *e) {
    if (event->tag_filter.len > 0 && event->service_filter.len == 0)
        return error_set(e, ERROR_INTERNAL, "Cannot provide tag filter without service filter");
    return check_filter(event->node_filter, "node", e) &&
           check_filter(event->service_filter, "service", e) &&
           check_filter(event->tag_filter, "tag", e);
}

/* ---- on the wire: the new msgpack, only what is not empty, keys sorted ---- */

static void add_string(struct buf *out, struct str s) {
    if (s.len < 32) {
        buf_add_char(out, (char)(0xa0 | s.len));
    } else if (s.len < 256) {
        buf_add_char(out, (char)0xd9);
        buf_add_char(out, (char)s.len);
    } else {
        ASSERT(s.len <= UINT16_MAX);
        buf_add_char(out, (char)0xda);
        buf_add_be16(out, (uint16_t)s.len);
    }
    buf_add_str(out, s);
}

static void add_bytes(struct buf *out, struct str s) {
    if (s.len < 256) {
        buf_add_char(out, (char)0xc4);
        buf_add_char(out, (char)s.len);
    } else {
        ASSERT(s.len <= UINT16_MAX);
        buf_add_char(out, (char)0xc5);
        buf_add_be16(out, (uint16_t)s.len);
    }
    buf_add_str(out, s);
}

void event_encode(struct buf *out, const struct user_event *event) {
    const struct {
        const char *key;
        struct str value;
        bool bytes;
    } fields[] = {
        {"ID", event->id, false},
        {"n", event->name, false},
        {"nf", event->node_filter, false},
        {"p", event->payload, true},
        {"sf", event->service_filter, false},
        {"tf", event->tag_filter, false},
    };
    uint32_t count = event->version != 0;
    for (size_t i = 0; i < COUNT_OF(fields); i++)
        count += fields[i].value.len > 0;
    msgpack_write_map(out, count);
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        /* What is longer does not fit into an event anyway; it only has to stay too long. */
        struct str value = str_sub(fields[i].value, 0, EVENT_TOO_LONG);
        if (value.len == 0)
            continue;
        msgpack_write_text(out, fields[i].key);
        if (fields[i].bytes)
            add_bytes(out, value);
        else
            add_string(out, value);
    }
    if (event->version != 0) {
        msgpack_write_text(out, "v");
        msgpack_write_i64(out, event->version);
    }
}

static bool take_text(const struct value *map, const char *key, struct str *out) {
    const struct value *v = value_get(map, key);
    if (v == NULL || v->kind == VALUE_NULL)
        return true;
    if (v->kind != VALUE_STRING)
        return false;
    *out = v->string;
    return true;
}

static bool take_version(const struct value *map, int64_t *out) {
    const struct value *v = value_get(map, "v");
    if (v == NULL || v->kind == VALUE_NULL)
        return true;
    if (v->kind == VALUE_INT)
        *out = v->integer;
    else if (v->kind == VALUE_UINT && v->uinteger <= INT64_MAX)
        *out = (int64_t)v->uinteger;
    else
        return false;
    return true;
}

bool event_decode(struct str bytes, struct user_event *out, struct arena *arena, struct error *e) {
    struct msgpack_reader reader = msgpack_read(bytes);
    struct value map;
    *out = (struct user_event){0};
    if (!msgpack_read_value(&reader, &map, arena, e))
        return false;
    if (map.kind != VALUE_MAP || !take_text(&map, "ID", &out->id) ||
        !take_text(&map, "n", &out->name) || !take_text(&map, "p", &out->payload) ||
        !take_text(&map, "nf", &out->node_filter) || !take_text(&map, "sf", &out->service_filter) ||
        !take_text(&map, "tf", &out->tag_filter) || !take_version(&map, &out->version))
        return error_set(e, ERROR_BAD_REQUEST, "not an event");
    if (out->payload.len == 0)
        out->payload = STR_NONE;
    return true;
}

uint64_t event_index(struct str id) {
    struct arena scratch = ARENA_INIT;
    struct error e = ERROR_IN(&scratch);
    uint8_t bytes[16];
    uint64_t index = 0;
    if (uuid_parse(id, bytes, &e))
        index = be64_get(bytes) ^ be64_get(bytes + 8);
    arena_free(&scratch);
    return index;
}

/* ---- the memory ---- */

struct kept_event {
    struct arena arena;
    struct user_event event;
};

struct events {
    struct local *local;
    struct str node_name;
    void (*rexec)(void *owner, struct str payload);
    void *owner;
    struct kept_event kept[EVENTS_KEPT];
    size_t first, count;
    struct events_wait waits; /* head of the list */
};

struct events *events_new(struct local *local, struct str node_name,
                          void (*rexec)(void *owner, struct str payload), void *owner) {
    struct events *events = MEM_NEW(struct events);
    events->local = local;
    events->node_name = node_name;
    events->rexec = rexec;
    events->owner = owner;
    events->waits.next = events->waits.previous = &events->waits;
    return events;
}

void events_free(struct events *events) {
    for (size_t i = 0; events != NULL && i < EVENTS_KEPT; i++)
        arena_free(&events->kept[i].arena);
    mem_free(events);
}

/* ---- filters ---- */

/* NULL: the event is to be dropped. */
static struct regex *compile(struct str pattern, const char *which) {
    struct arena scratch = ARENA_INIT;
    struct error e = ERROR_IN(&scratch);
    struct regex *re = regex_compile(pattern, &e);
    if (re == NULL) {
        struct str text = str_format(&scratch, "Failed to parse %s filter for event", which);
        log_at(LOG_ERROR, LOGGER, text.data, LOG_S("filter", pattern), LOG_S("error", e.text));
    }
    arena_free(&scratch);
    return re;
}

static bool chooses_node(const struct events *events, const struct user_event *event) {
    if (event->node_filter.len == 0)
        return true;
    struct regex *re = compile(event->node_filter, "node");
    bool yes = re != NULL && regex_search(re, events->node_name);
    regex_free(re);
    return yes;
}

static bool has_tag(const struct node_service *s, const struct regex *tag) {
    for (uint32_t i = 0; i < s->tags.len; i++)
        if (regex_search(tag, LIST_AT(s->tags, struct str, i)))
            return true;
    return false;
}

static bool has_service(const struct local *local, const struct regex *id,
                        const struct regex *tag) {
    const struct map *services = local_services(local);
    void *value;
    for (size_t i = 0; map_next(services, &i, NULL, &value);) {
        const struct local_service *s = value;
        if (!s->deleted && regex_search(id, s->service.id) &&
            (tag == NULL || has_tag(&s->service, tag)))
            return true;
    }
    return false;
}

static bool chooses_service(const struct events *events, const struct user_event *event) {
    if (event->service_filter.len == 0)
        return true;
    struct regex *id = compile(event->service_filter, "service"), *tag = NULL;
    bool tagged = id != NULL && event->tag_filter.len > 0;
    if (tagged)
        tag = compile(event->tag_filter, "tag");
    bool yes = id != NULL && !(tagged && tag == NULL) && has_service(events->local, id, tag);
    regex_free(id);
    regex_free(tag);
    return yes;
}

/* ---- in ---- */

static void keep(struct events *events, const struct user_event *event) {
    size_t at = (events->first + events->count) % EVENTS_KEPT;
    struct kept_event *k = &events->kept[at];
    if (events->count == EVENTS_KEPT)
        events->first = (events->first + 1) % EVENTS_KEPT;
    else
        events->count++;
    arena_free(&k->arena);
    k->event = *event;
    k->event.id = str_copy(&k->arena, event->id);
    k->event.name = str_copy(&k->arena, event->name);
    k->event.payload = str_copy(&k->arena, event->payload);
    k->event.node_filter = str_copy(&k->arena, event->node_filter);
    k->event.service_filter = str_copy(&k->arena, event->service_filter);
    k->event.tag_filter = str_copy(&k->arena, event->tag_filter);
}

/* Everybody hears of it once; who wants more comes again, behind those who are being told. */
static void tell(struct events *events) {
    struct events_wait told;
    struct events_wait *head = &events->waits;
    if (head->next == head)
        return;
    told.next = head->next;
    told.previous = head->previous;
    told.next->previous = told.previous->next = &told;
    head->next = head->previous = head;
    while (told.next != &told) {
        struct events_wait *w = told.next;
        events_wait_remove(w);
        w->fn(w);
    }
}

void events_receive(struct events *events, const struct user_event *event) {
    if (event->version > SUPPORTED_VERSION)
        log_at(LOG_WARN, LOGGER, "Event version may have unsupported features",
               LOG_S("event", event->name), LOG_I("version", event->version));
    if (!chooses_node(events, event) || !chooses_service(events, event))
        return;
    if (str_is(event->name, EVENT_REXEC) && events->rexec != NULL) {
        events->rexec(events->owner, event->payload);
        return;
    }
    if (str_is(event->name, EVENT_REXEC)) {
        log_at(LOG_INFO, LOGGER, "ignoring remote exec event, disabled.",
               LOG_S("event_name", event->name), LOG_S("event_id", event->id));
        return;
    }
    log_at(LOG_DEBUG, LOGGER, "new event", LOG_S("event_name", event->name),
           LOG_S("event_id", event->id));
    keep(events, event);
    tell(events);
}

/* ---- out ---- */

const struct user_event *events_at(const struct events *events, size_t i) {
    return i < events->count ? &events->kept[(events->first + i) % EVENTS_KEPT].event : NULL;
}

bool event_shows(const struct user_event *event, struct str name, const struct authorizer *may) {
    return (name.len == 0 || str_eq(name, event->name)) &&
           authorizer_may(may, ACL_EVENT, ACL_READ, event->name);
}

uint64_t events_index(const struct events *events, struct str name, const struct authorizer *may) {
    for (size_t i = events->count; i-- > 0;) {
        const struct user_event *event = events_at(events, i);
        if (event_shows(event, name, may))
            return event_index(event->id);
    }
    return 1;
}

void events_wait_add(struct events *events, struct events_wait *w) {
    ASSERT(!w->listed);
    w->next = &events->waits;
    w->previous = events->waits.previous;
    w->previous->next = w;
    events->waits.previous = w;
    w->listed = true;
}

void events_wait_remove(struct events_wait *w) {
    if (!w->listed)
        return;
    w->previous->next = w->next;
    w->next->previous = w->previous;
    w->listed = false;
}
