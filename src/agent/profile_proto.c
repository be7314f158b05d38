/* The format of pprof, as published (profile.proto): samples of stacks of locations, locations in
 * mappings and functions, all texts in one table. Uncompressed.
 */
#include "agent/profile_parts.h"
#include "base/map.h"
#include "base/mem.h"
#include "codec/protobuf.h"

#define STACKS_MAX                                                                                 \
    16384 /* different ones; the others are counted as one sample without a stack                  \
           */

/* Fields of the messages. */
enum {
    PROFILE_SAMPLE_TYPE = 1,
    PROFILE_SAMPLE,
    PROFILE_MAPPING,
    PROFILE_LOCATION,
    PROFILE_FUNCTION,
    PROFILE_STRING,
    PROFILE_TIME = 9,
    PROFILE_DURATION,
    PROFILE_PERIOD_TYPE,
    PROFILE_PERIOD,
    PROFILE_COMMENT,
    PROFILE_DEFAULT_TYPE
};
enum { TYPE_TYPE = 1, TYPE_UNIT };
enum { SAMPLE_LOCATION = 1, SAMPLE_VALUE, SAMPLE_LABEL };
enum { LABEL_KEY = 1, LABEL_TEXT };
enum {
    MAPPING_ID = 1,
    MAPPING_START,
    MAPPING_LIMIT,
    MAPPING_OFFSET,
    MAPPING_FILE,
    MAPPING_HAS_FUNCTIONS = 7
};
enum { LOCATION_ID = 1, LOCATION_MAPPING, LOCATION_ADDRESS, LOCATION_LINE };
enum { LINE_FUNCTION = 1 };
enum { FUNCTION_ID = 1, FUNCTION_NAME, FUNCTION_SYSTEM_NAME, FUNCTION_FILE };

struct sample {
    uint64_t *locations;
    uint32_t location_count;
    int64_t values[PROTO_VALUES_MAX];
    struct str label;
    struct sample *next;
};

struct proto {
    struct arena *arena;
    struct symbols *symbols;
    const struct proto_kind *kinds;
    size_t kind_count;
    struct map samples;   /* by label and locations */
    struct sample *first; /* in the order in which they came */
    struct sample **last;
    struct map texts, locations, functions, mappings; /* to their number, as a pointer */
    struct buf text_table, location_table, function_table, mapping_table, comments;
    struct sample *rest; /* what found no room */
};

/* ---- the wire ---- */

/* Zero is what an absent field means. */
static void add_number(struct buf *out, unsigned field, uint64_t n) {
    if (n != 0)
        pb_add_number(out, field, n);
}

/* Takes the message's memory back. */
static void add_message(struct buf *out, unsigned field, struct buf *message) {
    pb_add_bytes(out, field, buf_str(message));
    buf_free(message);
}

/* ---- tables ---- */

/* The number under which a key is known, from `from` on; *is_new: it was not. */
static uint64_t number_of(struct map *m, struct str key, uint64_t from, bool *is_new) {
    void *known = map_get(m, key);
    *is_new = known == NULL;
    if (known != NULL)
        return (uint64_t)(uintptr_t)known - 1 + from;
    map_put(m, key, (void *)(uintptr_t)(m->count + 1));
    return m->count - 1 + from;
}

/* The first text is the empty one. */
static uint64_t text_number(struct proto *p, struct str text) {
    bool is_new;
    uint64_t n = number_of(&p->texts, text.data != NULL ? text : STR(""), 0, &is_new);
    if (is_new)
        pb_add_bytes(&p->text_table, PROFILE_STRING, text);
    return n;
}

static uint64_t function_number(struct proto *p, struct str name, struct str file) {
    bool is_new;
    struct str key = str_format(p->arena, STR_FMT "\n" STR_FMT, STR_ARG(name), STR_ARG(file));
    uint64_t n = number_of(&p->functions, key, 1, &is_new);
    if (!is_new)
        return n;
    struct buf m = BUF_INIT;
    add_number(&m, FUNCTION_ID, n);
    add_number(&m, FUNCTION_NAME, text_number(p, name));
    add_number(&m, FUNCTION_SYSTEM_NAME, text_number(p, name));
    add_number(&m, FUNCTION_FILE, text_number(p, file));
    add_message(&p->function_table, PROFILE_FUNCTION, &m);
    return n;
}

static uint64_t mapping_number(struct proto *p, const struct mapping *mapping) {
    bool is_new;
    if (mapping == NULL)
        return 0;
    uint64_t n =
        number_of(&p->mappings, str_of(&mapping->start, sizeof(mapping->start)), 1, &is_new);
    if (!is_new)
        return n;
    struct buf m = BUF_INIT;
    add_number(&m, MAPPING_ID, n);
    add_number(&m, MAPPING_START, mapping->start);
    add_number(&m, MAPPING_LIMIT, mapping->end);
    add_number(&m, MAPPING_OFFSET, mapping->offset);
    add_number(&m, MAPPING_FILE, text_number(p, mapping->file));
    add_number(&m, MAPPING_HAS_FUNCTIONS, mapping->function_count > 0);
    add_message(&p->mapping_table, PROFILE_MAPPING, &m);
    return n;
}

static void write_location(struct proto *p, uint64_t id, uint64_t mapping, uintptr_t address,
                           uint64_t function) {
    struct buf m = BUF_INIT, line = BUF_INIT;
    add_number(&m, LOCATION_ID, id);
    add_number(&m, LOCATION_MAPPING, mapping);
    add_number(&m, LOCATION_ADDRESS, address);
    if (function > 0) {
        add_number(&line, LINE_FUNCTION, function);
        add_message(&m, LOCATION_LINE, &line);
    }
    add_message(&p->location_table, PROFILE_LOCATION, &m);
}

static uint64_t address_number(struct proto *p, uintptr_t address) {
    bool is_new;
    uintptr_t distance;
    uint64_t n = number_of(&p->locations, str_of(&address, sizeof(address)), 1, &is_new);
    if (!is_new)
        return n;
    struct str name = symbols_function(p->symbols, address, &distance);
    const struct mapping *mapping = symbols_mapping(p->symbols, address);
    uint64_t function = name.len > 0 ? function_number(p, name, mapping->file) : 0;
    write_location(p, n, mapping_number(p, mapping), address, function);
    return n;
}

static uint64_t name_number(struct proto *p, struct str name) {
    bool is_new;
    struct str key = str_format(p->arena, "name " STR_FMT, STR_ARG(name));
    uint64_t n = number_of(&p->locations, key, 1, &is_new);
    if (is_new)
        write_location(p, n, 0, 0, function_number(p, name, STR("")));
    return n;
}

/* pprof takes the first mapping for the program's. */
static void add_program(struct proto *p) {
    uintptr_t distance;
    for (uint32_t i = 0; i < p->symbols->mapping_count; i++) {
        const struct mapping *m = &p->symbols->mappings[i];
        if (!m->executable || !str_eq(m->file, p->symbols->mappings[0].file))
            continue;
        symbols_function(p->symbols, m->start, &distance); /* reads its functions */
        mapping_number(p, m);
        return;
    }
}

/* ---- samples ---- */

struct proto *proto_new(struct arena *arena, struct symbols *symbols,
                        const struct proto_kind *kinds, size_t kind_count) {
    struct proto *p = ARENA_NEW(arena, struct proto);
    ASSERT(kind_count > 0 && kind_count <= PROTO_VALUES_MAX);
    p->arena = arena;
    p->symbols = symbols;
    p->kinds = kinds;
    p->kind_count = kind_count;
    p->last = &p->first;
    text_number(p, STR(""));
    add_program(p);
    return p;
}

static struct sample *new_sample(struct proto *p, struct str key, const uint64_t *locations,
                                 uint32_t count, struct str label) {
    struct sample *s = ARENA_NEW(p->arena, struct sample);
    s->locations = arena_copy(p->arena, locations, count * sizeof(*locations));
    s->location_count = count;
    s->label = str_copy(p->arena, label);
    *p->last = s;
    p->last = &s->next;
    if (key.len > 0)
        map_put(&p->samples, key, s);
    return s;
}

static void add_sample(struct proto *p, const uint64_t *locations, uint32_t count,
                       const int64_t *values, struct str label) {
    struct buf key = BUF_INIT;
    buf_add_str(&key, label);
    buf_add_char(&key, '\0');
    buf_add(&key, locations, count * sizeof(*locations));
    struct sample *s = map_get(&p->samples, buf_str(&key));
    if (s == NULL && p->samples.count < STACKS_MAX)
        s = new_sample(p, buf_str(&key), locations, count, label);
    else if (s == NULL && p->rest == NULL)
        s = p->rest = new_sample(p, STR(""), NULL, 0, STR("other"));
    else if (s == NULL)
        s = p->rest;
    for (size_t i = 0; i < p->kind_count; i++)
        s->values[i] += values[i];
    buf_free(&key);
}

void proto_add_stack(struct proto *p, const struct stack *stack, const int64_t *values,
                     struct str label) {
    uint64_t locations[STACK_FRAMES_MAX];
    /* A return address may lie behind the function that called: the call is just before it. */
    for (uint32_t i = 0; i < stack->len; i++)
        locations[i] = address_number(p, (uintptr_t)stack->frames[i] - (i > 0));
    add_sample(p, locations, stack->len, values, label);
}

void proto_add_names(struct proto *p, const struct str *names, size_t count,
                     const int64_t *values) {
    uint64_t locations[STACK_FRAMES_MAX];
    ASSERT(count <= STACK_FRAMES_MAX);
    for (size_t i = 0; i < count; i++)
        locations[i] = name_number(p, names[i]);
    add_sample(p, locations, (uint32_t)count, values, STR_NONE);
}

void proto_comment(struct proto *p, struct str text) {
    add_number(&p->comments, PROFILE_COMMENT, text_number(p, text));
}

/* ---- the end ---- */

static void write_kind(struct proto *p, unsigned field, const struct proto_kind *kind,
                       struct buf *out) {
    struct buf m = BUF_INIT;
    add_number(&m, TYPE_TYPE, text_number(p, str_from(kind->type)));
    add_number(&m, TYPE_UNIT, text_number(p, str_from(kind->unit)));
    add_message(out, field, &m);
}

static void write_sample(struct proto *p, const struct sample *s, struct buf *out) {
    struct buf m = BUF_INIT, packed = BUF_INIT;
    for (uint32_t i = 0; i < s->location_count; i++)
        pb_add_varint(&packed, s->locations[i]);
    add_message(&m, SAMPLE_LOCATION, &packed);
    for (size_t i = 0; i < p->kind_count; i++)
        pb_add_varint(&packed, (uint64_t)s->values[i]);
    add_message(&m, SAMPLE_VALUE, &packed);
    if (s->label.len > 0) {
        add_number(&packed, LABEL_KEY, text_number(p, STR("thread")));
        add_number(&packed, LABEL_TEXT, text_number(p, s->label));
        add_message(&m, SAMPLE_LABEL, &packed);
    }
    add_message(out, PROFILE_SAMPLE, &m);
}

static void take(struct buf *out, struct buf *table) {
    buf_add_str(out, buf_str(table));
    buf_free(table);
}

void proto_finish(struct proto *p, int64_t started_wall, int64_t duration, int64_t period,
                  struct buf *out) {
    for (size_t i = 0; i < p->kind_count; i++)
        write_kind(p, PROFILE_SAMPLE_TYPE, &p->kinds[i], out);
    for (const struct sample *s = p->first; s != NULL; s = s->next)
        write_sample(p, s, out);
    take(out, &p->mapping_table);
    take(out, &p->location_table);
    take(out, &p->function_table);
    add_number(out, PROFILE_TIME, (uint64_t)started_wall);
    add_number(out, PROFILE_DURATION, (uint64_t)duration);
    if (period > 0) {
        write_kind(p, PROFILE_PERIOD_TYPE, &p->kinds[p->kind_count - 1], out);
        add_number(out, PROFILE_PERIOD, (uint64_t)period);
    }
    add_number(out, PROFILE_DEFAULT_TYPE,
               text_number(p, str_from(p->kinds[p->kind_count - 1].type)));
    take(out, &p->comments);
    take(out, &p->text_table); /* last: everything before may have added to it */
    map_free(&p->samples);
    map_free(&p->texts);
    map_free(&p->locations);
    map_free(&p->functions);
    map_free(&p->mappings);
}
