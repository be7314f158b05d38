/* Answers that are too many or too large for the client (dns.md 9). The steps are the peer's, since how
 * many records a client gets is visible: limits on the number, then cutting by halves or one by one until
 * the reply, without its OPT record, fits.
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

struct trimmer {
    struct dns_lookup *l;
    struct arena *arena;
    struct dns_records all;   /* answers as they were; only fewer of the first are kept */
    bool synced;              /* there were additional records: they follow the answers */
    bool was_cut;             /* they have been made to follow */
    struct map index;         /* lower-cased owner to the first additional record with it */
    bool compress;
    /* Sizes with the first n answers, once they are asked for; without additional records. */
    size_t *sizes;
    bool sizes_compressed;
};

static void trimmer_init(struct trimmer *t, struct dns_lookup *l) {
    const struct dns_records *additional = &l->sections[DNS_ADDITIONAL];
    *t = (struct trimmer){.l = l,
                          .arena = &l->query->arena,
                          .all = l->sections[DNS_ANSWER],
                          .synced = additional->len > 0,
                          .compress = l->query->settings->compress};
    for (uint32_t i = 0; i < additional->len; i++) {
        struct str owner = dns_name_lower(additional->items[i].name, t->arena);
        if (map_get(&t->index, owner) == NULL) {
            map_put(&t->index, owner, &additional->items[i]);
        }
    }
}

/* The additional records of the first n answers: one for each target, and those along its chain of
 * names. */
static struct dns_records sync_additional(struct trimmer *t, uint32_t n) {
    struct dns_records out = {0};
    struct map done = MAP_INIT;
    for (uint32_t i = 0; i < n; i++) {
        const struct dns_record *answer = &t->all.items[i];
        if (answer->type != DNS_TYPE_SRV) {
            continue;
        }
        struct str name = str_sub(answer->data, 6, SIZE_MAX);
        for (;;) {
            name = dns_name_lower(name, t->arena);
            struct dns_record *r = map_get(&t->index, name);
            if (r == NULL || map_get(&done, name) != NULL) {
                break;
            }
            map_put(&done, name, r);
            *dns_records_add(&out, t->arena) = *r;
            if (r->type != DNS_TYPE_CNAME) {
                break;
            }
            name = r->data;
        }
    }
    map_free(&done);
    return out;
}

/* The sizes for every number of answers in one pass: how an answer is written depends only on those
 * before it. */
static void fill_sizes(struct trimmer *t) {
    struct dns_worker *w = t->l->query->worker;
    struct dns_writer writer;
    if (t->sizes == NULL) {
        t->sizes = arena_alloc(t->arena, (t->all.len + 1) * sizeof(*t->sizes));
    }
    buf_clear(&w->scratch);
    dns_writer_init(&writer, &w->scratch, t->compress ? w->compressor : NULL, 0, 0);
    dns_write_question(&writer, &t->l->question);
    for (uint32_t i = 0; i <= t->all.len; i++) {
        t->sizes[i] = writer.failed ? SIZE_MAX : dns_writer_size(&writer);
        if (i < t->all.len) {
            dns_write_record(&writer, DNS_ANSWER, &t->all.items[i]);
        }
    }
    t->sizes_compressed = t->compress;
}

static size_t size_with(struct trimmer *t, uint32_t n) {
    if (!t->synced) {
        if (t->sizes == NULL || t->sizes_compressed != t->compress) {
            fill_sizes(t);
        }
        return t->sizes[n];
    }
    struct dns_records sections[DNS_SECTIONS] = {
        {t->all.items, n, n}, {0}, sync_additional(t, n)};
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

static void cut(struct trimmer *t, uint32_t n) {
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
        size_t size = n > 1 ? size_now(t) : 0;
        if (n <= 1 || size <= limit) {
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
    size_t size = answer->len > 1 ? size_now(t) : 0;
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
    struct trimmer t;
    trimmer_init(&t, l);
    if (l->transport == DNS_UDP) {
        trim_udp(&t);
    } else {
        trim_tcp(&t);
    }
    l->truncated = l->truncated && l->query->settings->enable_truncate;
    map_free(&t.index);
}
