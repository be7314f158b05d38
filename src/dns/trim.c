/* Answers that are too many or too large for the client (dns.md 9). The steps are the peer's, since
 * how many records a client gets is visible: limits on the number, then cutting by halves or one by
 * one until the reply, without its OPT record, fits.
 */
#include "base/log.h"
#include "base/map.h"
#include "dns/query.h"

#define UDP_SIZE ((size_t)512)
#define UDP_ANSWERS 8u
#define TCP_SIZE ((size_t)65523) /* 65535 less the 12 bytes that the peer keeps back */
#define TCP_ANSWERS 4096u
#define TCP_SRV_ANSWERS 1024u

size_t dns_reply_size(struct dns_lookup *l, const struct dns_records sections[DNS_SECTIONS],
                      bool compress) {
    struct dns_worker *w = l->query->worker;
    struct dns_writer writer;
    buf_clear(&w->scratch);
    dns_writer_init(&writer, &w->scratch, compress ? w->compressor : NULL, 0, 0);
    dns_write_question(&writer, &l->question);
    for (int s = 0; s < DNS_SECTIONS; s++) {
        for (uint32_t i = 0; i < sections[s].len && !writer.failed; i++) {
            dns_write_record(&writer, (enum dns_section)s, &sections[s].items[i]);
        }
    }
    return writer.failed ? SIZE_MAX : dns_writer_size(&writer);
}

/* A size that is not worked out in advance. */
#define UNKNOWN SIZE_MAX

struct trimmer {
    struct dns_lookup *l;
    struct arena *arena;
    struct dns_records all; /* answers as they were; only fewer of the first are kept */
    bool synced;            /* there were additional records: they follow the answers */
    bool was_cut;           /* they have been made to follow */
    bool indexed;
    struct map index; /* lower-cased owner to the first additional record with it */
    bool compress;
    size_t *sizes; /* with the first n answers, once they are asked for */
    bool sizes_compressed;
};

static void make_index(struct trimmer *t) {
    const struct dns_records *additional = &t->l->sections[DNS_ADDITIONAL];
    t->indexed = true;
    for (uint32_t i = 0; i < additional->len; i++) {
        struct str owner = dns_name_lower(additional->items[i].name, t->arena);
        if (map_get(&t->index, owner) == NULL) {
            map_put(&t->index, owner, &additional->items[i]);
        }
    }
}

/* Calls add() for the additional records that an answer brings along: its target's, and those along
 * the target's chain of names, each name once. */
static void walk_targets(struct trimmer *t, const struct dns_record *answer, struct map *done,
                         void (*add)(void *owner, struct dns_record *r), void *owner) {
    struct str name = str_sub(answer->data, 6, SIZE_MAX);
    while (answer->type == DNS_TYPE_SRV) {
        name = dns_name_lower(name, t->arena);
        struct dns_record *r = map_get(&t->index, name);
        if (r == NULL || map_get(done, name) != NULL) {
            return;
        }
        map_put(done, name, r);
        add(owner, r);
        if (r->type != DNS_TYPE_CNAME) {
            return;
        }
        name = r->data;
    }
}

struct collector {
    struct trimmer *t;
    struct dns_records out;
};

static void collect(void *owner, struct dns_record *r) {
    struct collector *c = owner;
    *dns_records_add(&c->out, c->t->arena) = *r;
}

/* The additional records of the first n answers. */
static struct dns_records sync_additional(struct trimmer *t, uint32_t n) {
    struct collector c = {.t = t};
    struct map done = MAP_INIT;
    for (uint32_t i = 0; i < n; i++) {
        walk_targets(t, &t->all.items[i], &done, collect, &c);
    }
    map_free(&done);
    return c.out;
}

/* What the additional records of one answer add to the size. With compression that is known if they
 * are addresses or text of a name that was just written in full where pointers reach. */
struct measure {
    struct trimmer *t;
    const struct dns_record *answer;
    size_t target_at; /* in the message */
    size_t sum;
    bool known;
};

static void measure_one(void *owner, struct dns_record *r) {
    struct measure *m = owner;
    struct str target = str_sub(m->answer->data, 6, SIZE_MAX);
    if (!m->t->compress) {
        m->sum += r->name.len + 10 + r->data.len;
    } else if (m->target_at < 0x4000 && dns_name_equal(r->name, target) &&
               (r->type == DNS_TYPE_A || r->type == DNS_TYPE_AAAA || r->type == DNS_TYPE_TXT)) {
        m->sum += 12 + r->data.len;
    } else {
        m->known = false;
    }
}

/* The sizes for every number of answers in one pass: how an answer is written depends only on those
 * before it. */
static void fill_sizes(struct trimmer *t) {
    struct dns_worker *w = t->l->query->worker;
    struct dns_writer writer;
    struct map done = MAP_INIT;
    struct measure m = {.t = t, .known = true};
    if (t->sizes == NULL) {
        t->sizes = arena_alloc(t->arena, (t->all.len + 1) * sizeof(*t->sizes));
    }
    buf_clear(&w->scratch);
    dns_writer_init(&writer, &w->scratch, t->compress ? w->compressor : NULL, 0, 0);
    dns_write_question(&writer, &t->l->question);
    t->sizes[0] = dns_writer_size(&writer);
    for (uint32_t i = 0; i < t->all.len; i++) {
        dns_write_record(&writer, DNS_ANSWER, &t->all.items[i]);
        size_t size = dns_writer_size(&writer);
        if (t->synced) {
            m.answer = &t->all.items[i];
            m.target_at = size + 6 - m.answer->data.len;
            walk_targets(t, m.answer, &done, measure_one, &m);
        }
        t->sizes[i + 1] = m.known && !writer.failed ? size + m.sum : UNKNOWN;
    }
    t->sizes_compressed = t->compress;
    map_free(&done);
}

static size_t size_with(struct trimmer *t, uint32_t n) {
    if (t->synced && !t->indexed) {
        make_index(t);
    }
    if (t->sizes == NULL || t->sizes_compressed != t->compress) {
        fill_sizes(t);
    }
    if (t->sizes[n] != UNKNOWN) {
        return t->sizes[n];
    }
    struct dns_records sections[DNS_SECTIONS] = {{t->all.items, n, n}, {0}, {0}};
    if (t->synced) {
        sections[DNS_ADDITIONAL] = sync_additional(t, n);
    }
    return dns_reply_size(t->l, sections, t->compress);
}

/* The size as it is: before anything was cut, all additional records are there. */
static size_t size_now(struct trimmer *t) {
    const struct dns_lookup *l = t->l;
    if (t->synced && !t->was_cut) {
        return dns_reply_size(t->l, l->sections, t->compress);
    }
    return size_with(t, l->sections[DNS_ANSWER].len);
}

/* The size is not more than this. */
static size_t size_at_most(const struct dns_lookup *l) {
    size_t size = DNS_HEADER_SIZE + l->question.name.len + 4;
    for (int s = 0; s < DNS_SECTIONS; s++) {
        for (uint32_t i = 0; i < l->sections[s].len; i++) {
            size += l->sections[s].items[i].name.len + 10 + l->sections[s].items[i].data.len;
        }
    }
    return size;
}

/* Nor less than this: a name takes a byte, or two as a pointer. */
static size_t size_at_least(const struct dns_lookup *l) {
    const struct dns_records *answer = &l->sections[DNS_ANSWER];
    size_t size = DNS_HEADER_SIZE + l->question.name.len + 4;
    for (uint32_t i = 0; i < answer->len; i++) {
        size += 11 + (answer->items[i].type == DNS_TYPE_CNAME ? 1 : answer->items[i].data.len);
    }
    return size;
}

static void cut(struct trimmer *t, uint32_t n) {
    if (t->synced && !t->indexed) {
        make_index(t);
    }
    t->l->sections[DNS_ANSWER].len = n;
    t->was_cut = true;
    if (t->synced) {
        t->l->sections[DNS_ADDITIONAL] = sync_additional(t, n);
    }
}

/* How many answers fit, nearly. */
static uint32_t bisect(struct trimmer *t, uint32_t answers, size_t max) {
    uint32_t low = 0, high = answers + 1;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        size_t size = size_with(t, middle < t->all.len ? middle : t->all.len);
        if (size > max) {
            high = middle;
        } else if (max - size < 10) {
            return middle;
        } else {
            low = middle;
        }
    }
    return low;
}

/* Cuts until the size is at most `limit`; `max` is what halving aims at. */
static void cut_to_size(struct trimmer *t, size_t limit, size_t max) {
    for (;;) {
        uint32_t n = t->l->sections[DNS_ANSWER].len;
        if (n <= 1 || size_at_most(t->l) <= limit) {
            return;
        }
        size_t size = !t->was_cut ? size_at_least(t->l) : 0;
        if (size <= max + 100) { /* else it is clear what to do */
            size = size_now(t);
        }
        if (size <= limit) {
            return;
        }
        uint32_t keep = n - 1;
        if (size > max && size - max > 100) {
            /* The first time all answers may fit, without additional records that repeat. */
            keep = bisect(t, n, max);
            keep = keep < n || !t->was_cut ? keep : n - 1;
        }
        cut(t, keep);
    }
}

static void trim_udp(struct trimmer *t) {
    struct dns_lookup *l = t->l;
    uint32_t limit = l->query->settings->udp_answer_limit;
    size_t max = l->has_edns && l->edns_size > UDP_SIZE ? l->edns_size : UDP_SIZE;
    if (limit > UDP_ANSWERS) {
        limit = UDP_ANSWERS;
    }
    if (max == UDP_SIZE && l->sections[DNS_ANSWER].len > limit) {
        cut(t, limit);
        t->compress = false; /* sizes are counted without compression from here */
    }
    cut_to_size(t, max - 7, max);
    l->truncated = l->sections[DNS_ANSWER].len < t->all.len;
}

static void trim_tcp(struct trimmer *t) {
    struct dns_lookup *l = t->l;
    struct dns_records *answer = &l->sections[DNS_ANSWER];
    uint32_t limit = l->question.type == DNS_TYPE_SRV ? TCP_SRV_ANSWERS : TCP_ANSWERS;
    uint32_t total = answer->len;
    if (size_at_most(l) <= TCP_SIZE && answer->len <= limit) {
        return;
    }
    size_t size = size_now(t);
    if (answer->len > limit) {
        cut(t, limit);
    }
    uint32_t before = answer->len;
    cut_to_size(t, TCP_SIZE, TCP_SIZE);
    if (answer->len < before) {
        l->truncated = true;
        struct arena *arena = &l->query->arena;
        log_at(LOG_DEBUG, "agent.dns", "TCP answer to question too large, truncated",
               LOG_S("question", str_format(arena, "[" STR_FMT "]",
                                            STR_ARG(dns_question_text(&l->question, arena)))),
               LOG_S("records", str_format(arena, "%u/%u", answer->len, total)),
               LOG_S("size", str_format(arena, "%zu/%zu", size_now(t), size)));
    }
}

void dns_trim(struct dns_lookup *l) {
    uint32_t answers = l->sections[DNS_ANSWER].len;
    uint32_t limit = l->query->settings->udp_answer_limit;
    if (answers == 0 || (answers == 1 && (limit > 0 || l->transport == DNS_TCP ||
                                          (l->has_edns && l->edns_size > UDP_SIZE)))) {
        return; /* a single answer is sent whatever it weighs */
    }
    struct trimmer t = {.l = l,
                        .arena = &l->query->arena,
                        .all = l->sections[DNS_ANSWER],
                        .synced = l->sections[DNS_ADDITIONAL].len > 0,
                        .compress = l->query->settings->compress};
    if (l->transport == DNS_UDP) {
        trim_udp(&t);
    } else {
        trim_tcp(&t);
    }
    l->truncated = l->truncated && l->query->settings->enable_truncate;
    map_free(&t.index);
}
