/* DNS messages from bytes to header, question and records, and what their OPT records say. Every
 * read is checked against the end of the message, and following compression pointers has a limit.
 */
#include "codec/dns.h"

#include "base/mem.h"
#include "codec/dns_data.h"

struct dns_record *dns_records_add(struct dns_records *list, struct arena *arena) {
    if (list->len == list->cap) {
        uint32_t cap = list->cap == 0 ? 8 : list->cap * 2;
        struct dns_record *items = arena_alloc(arena, cap * sizeof(*items));
        if (list->len > 0) {
            memcpy(items, list->items, list->len * sizeof(*items));
        }
        list->items = items;
        list->cap = cap;
    }
    return &list->items[list->len++];
}

bool dns_header_parse(struct str bytes, struct dns_header *h) {
    if (bytes.len < DNS_HEADER_SIZE) {
        return false;
    }
    h->id = be16_get(bytes.data);
    h->flags = be16_get(bytes.data + 2);
    h->questions = be16_get(bytes.data + 4);
    for (int i = 0; i < DNS_SECTIONS; i++) {
        h->records[i] = be16_get(bytes.data + 6 + 2 * i);
    }
    return true;
}

/* Follows the pointers of a name that begins at `at` and collects its labels. */
static bool name_expand(struct str bytes, size_t at, struct str *name, struct arena *arena) {
    uint8_t wire[DNS_NAME_MAX];
    size_t len = 0;
    int jumps = 0;
    for (;;) {
        if (at >= bytes.len) {
            return false;
        }
        size_t n = (uint8_t)bytes.data[at];
        if (n >= 0xc0) {
            if (at + 2 > bytes.len || ++jumps > DNS_JUMPS_MAX) {
                return false;
            }
            at = (size_t)(be16_get(bytes.data + at) & 0x3fff);
            continue;
        }
        if (n > DNS_LABEL_MAX || at + 1 + n > bytes.len || len + 1 + n > DNS_NAME_MAX) {
            return false;
        }
        memcpy(wire + len, bytes.data + at, 1 + n);
        len += 1 + n;
        at += 1 + n;
        if (n == 0) {
            *name = (struct str){arena_copy(arena, wire, len), len};
            return true;
        }
    }
}

/* Reads a name and moves *at behind it. Without pointers it is only pointed at. */
static bool name_read(struct str bytes, size_t *at, struct str *name, struct arena *arena) {
    size_t p = *at;
    for (;;) {
        if (p >= bytes.len) {
            return false;
        }
        size_t n = (uint8_t)bytes.data[p];
        if (n == 0) {
            *name = (struct str){bytes.data + *at, p + 1 - *at};
            *at = p + 1;
            return name->len <= DNS_NAME_MAX;
        }
        if (n >= 0xc0) {
            size_t from = *at;
            *at = p + 2;
            return name_expand(bytes, from, name, arena);
        }
        if (n > DNS_LABEL_MAX) {
            return false;
        }
        p += 1 + n;
    }
}

static bool question_read(struct str bytes, size_t *at, struct dns_question *q,
                          struct arena *arena) {
    if (!name_read(bytes, at, &q->name, arena)) {
        return false;
    }
    size_t left = bytes.len - *at;
    q->type = 0;
    q->class = 0;
    if (left == 1) {
        return false; /* may not end inside the type */
    }
    if (left >= 2) {
        q->type = be16_get(bytes.data + *at);
    }
    if (left >= 4) {
        q->class = be16_get(bytes.data + *at + 2);
    }
    *at += left < 4 ? left : 4;
    return true;
}

/* Of an OPT record's options: they fit, and a client subnet makes sense (dns.md 3). */
static bool options_are_good(struct str data) {
    while (data.len > 0) {
        if (data.len < 4) {
            return false;
        }
        size_t len = be16_get(data.data + 2);
        if (len > data.len - 4) {
            return false;
        }
        if (be16_get(data.data) == DNS_OPTION_SUBNET) {
            if (len < 4) {
                return false;
            }
            unsigned family = be16_get(data.data + 4);
            unsigned limit = family == 1 ? 32 : family == 2 ? 128 : 0;
            if (family > 2 || (uint8_t)data.data[6] > limit || (uint8_t)data.data[7] > limit) {
                return false;
            }
        }
        data = str_sub(data, 4 + len, SIZE_MAX);
    }
    return true;
}

/* Moves *at over one piece of record data that is no name. `end`: of the data. */
static bool data_skip(struct str bytes, size_t *at, size_t end, const struct dns_piece *piece) {
    size_t left = end - *at;
    switch (piece->kind) {
    case DNS_PIECE_BYTES:
        *at += piece->len;
        return left >= piece->len;
    case DNS_PIECE_STRING: {
        size_t n = left > 0 ? 1 + (size_t)(uint8_t)bytes.data[*at] : 1;
        *at += n;
        return left >= n;
    }
    case DNS_PIECE_STRINGS:
        while (*at < end) {
            *at += 1 + (size_t)(uint8_t)bytes.data[*at];
        }
        return *at == end;
    case DNS_PIECE_OPTIONS:
        *at = end;
        return options_are_good((struct str){bytes.data + end - left, left});
    case DNS_PIECE_REST:
        *at = end;
        return true;
    default:
        ASSERT(false);
        return false;
    }
}

/* Record data of `len` bytes at `at`: checked against its type, names expanded when they must be.
 */
static bool data_read(struct str bytes, size_t at, size_t len, uint16_t type, struct str *data,
                      struct arena *arena) {
    const struct dns_piece *piece = dns_data_pieces(type);
    struct str limited = {bytes.data, bytes.len};
    size_t begin = at, end = at + len;
    *data = (struct str){bytes.data + at, len};
    if (len == 0 || piece->kind == DNS_PIECE_REST) {
        return true;
    }
    struct buf copy = BUF_INIT; /* of data that has compressed names in it */
    bool good = true;
    for (; good && piece->kind != DNS_PIECE_END; piece++) {
        size_t from = at;
        if (piece->kind != DNS_PIECE_NAME && piece->kind != DNS_PIECE_NAME_SHORT) {
            good = data_skip(limited, &at, end, piece);
            if (good && copy.len > 0) {
                buf_add(&copy, bytes.data + from, at - from);
            }
            continue;
        }
        struct str name;
        good = at < end && name_read(limited, &at, &name, arena) && at <= end;
        if (good && copy.len == 0 && name.data != bytes.data + from) {
            buf_add(&copy, bytes.data + begin, from - begin);
            buf_add_str(&copy, name);
        } else if (good && copy.len > 0) {
            buf_add_str(&copy, name);
        }
    }
    good = good && at == end;
    if (good && copy.len > 0) {
        *data = str_copy(arena, buf_str(&copy));
    }
    buf_free(&copy);
    return good;
}

static bool record_read(struct str bytes, size_t *at, struct dns_record *r, struct arena *arena) {
    if (!name_read(bytes, at, &r->name, arena) || bytes.len - *at < 10) {
        return false;
    }
    const char *p = bytes.data + *at;
    r->type = be16_get(p);
    r->class = be16_get(p + 2);
    r->ttl = be32_get(p + 4);
    size_t len = be16_get(p + 8);
    *at += 10;
    if (len > bytes.len - *at || !data_read(bytes, *at, len, r->type, &r->data, arena)) {
        return false;
    }
    *at += len;
    return true;
}

bool dns_message_parse(struct str bytes, struct dns_message *m, struct arena *arena) {
    *m = (struct dns_message){0};
    if (!dns_header_parse(bytes, &m->header)) {
        return false;
    }
    size_t at = DNS_HEADER_SIZE;
    for (unsigned i = 0; i < m->header.questions && at < bytes.len; i++) {
        struct dns_question q;
        if (!question_read(bytes, &at, &q, arena)) {
            return false;
        }
        if (!m->has_question) {
            m->question = q;
            m->has_question = true;
        }
    }
    for (int s = 0; s < DNS_SECTIONS; s++) {
        for (unsigned i = 0; i < m->header.records[s] && at < bytes.len; i++) {
            struct dns_record r;
            if (!record_read(bytes, &at, &r, arena)) {
                return false;
            }
            *dns_records_add(&m->sections[s], arena) = r;
        }
    }
    return true;
}

/* The first client subnet option counts. The data was checked by options_are_good. */
static void subnet_get(struct str data, struct dns_edns *edns) {
    while (data.len >= 4) {
        size_t len = be16_get(data.data + 2);
        if (be16_get(data.data) == DNS_OPTION_SUBNET) {
            edns->has_subnet = true;
            edns->subnet_family = be16_get(data.data + 4);
            edns->subnet_mask = (uint8_t)data.data[6];
            size_t size = edns->subnet_family == 1 ? 4 : edns->subnet_family == 2 ? 16 : 0;
            size_t have = len - 4 < size ? len - 4 : size;
            memcpy(edns->subnet_address, data.data + 8, have);
            return;
        }
        data = str_sub(data, 4 + len, SIZE_MAX);
    }
}

bool dns_edns_get(const struct dns_message *m, struct dns_edns *edns) {
    const struct dns_records *list = &m->sections[DNS_ADDITIONAL];
    *edns = (struct dns_edns){0};
    for (uint32_t i = list->len; i > 0; i--) {
        const struct dns_record *r = &list->items[i - 1];
        if (r->type == DNS_TYPE_OPT) {
            edns->size = r->class;
            subnet_get(r->data, edns);
            return true;
        }
    }
    return false;
}

struct dns_record dns_edns_record(const struct dns_edns *edns, uint8_t scope, struct arena *arena) {
    struct dns_record r = {.name = STR("\0"), .type = DNS_TYPE_OPT, .class = edns->size};
    if (!edns->has_subnet) {
        return r;
    }
    size_t bytes = (edns->subnet_mask + 7u) / 8;
    uint8_t *data = arena_alloc(arena, 8 + bytes);
    be16_put(data, DNS_OPTION_SUBNET);
    be16_put(data + 2, (uint16_t)(4 + bytes));
    be16_put(data + 4, edns->subnet_family);
    data[6] = edns->subnet_mask;
    data[7] = scope;
    memcpy(data + 8, edns->subnet_address, bytes);
    if (edns->subnet_mask % 8 != 0) {
        data[8 + bytes - 1] &= (uint8_t)(0xff << (8 - edns->subnet_mask % 8));
    }
    r.data = (struct str){(const char *)data, 8 + bytes};
    return r;
}
