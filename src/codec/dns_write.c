/* DNS messages from header, question and records to bytes, with name compression. The order of
 * names decides what is compressed against what: each name of the message, also those that are
 * written in full, may be pointed into by later ones.
 */
#include "base/mem.h"
#include "codec/dns.h"
#include "codec/dns_data.h"

/* Pointers have 14 bits, and each name begins at an offset of its own, at least two bytes from the
 * next: at most 8192 entries. Slots are invalidated by counting up the generation, not by clearing.
 */
#define COMPRESSOR_SLOTS 16384u
#define POINTER_LIMIT 16384u
#define LABELS_MAX 128

struct compressor_slot {
    uint32_t generation;
    uint16_t hash;
    uint16_t offset;
};
struct dns_compressor {
    uint32_t generation;
    struct compressor_slot slots[COMPRESSOR_SLOTS];
};

struct dns_compressor *dns_compressor_new(void) {
    return MEM_NEW(struct dns_compressor);
}
void dns_compressor_free(struct dns_compressor *c) {
    mem_free(c);
}

/* Whether the name at `offset` of the message (compressed, as written by us) is `name`. */
static bool name_is_at(const struct dns_writer *w, size_t offset, struct str name) {
    const uint8_t *message = (const uint8_t *)w->out->data + w->start;
    size_t i = 0;
    for (;;) {
        size_t n = message[offset];
        if (n >= 0xc0) {
            offset = (size_t)(be16_get(message + offset) & 0x3fff);
            continue;
        }
        if (i + 1 + n > name.len || memcmp(name.data + i, message + offset, 1 + n) != 0) {
            return false;
        }
        i += 1 + n;
        offset += 1 + n;
        if (n == 0) {
            return i == name.len;
        }
    }
}

/* Hashes of the name from each of its labels on, from the last to the first. Returns the labels. */
static unsigned suffix_hashes(struct str name, uint8_t at[LABELS_MAX], uint32_t hash[LABELS_MAX]) {
    unsigned count = 0;
    for (size_t i = 0; name.data[i] != 0; i += 1 + (size_t)(uint8_t)name.data[i]) {
        at[count++] = (uint8_t)i;
    }
    uint32_t h = 2166136261u;
    size_t end = name.len - 1;
    for (unsigned k = count; k > 0; k--) {
        for (size_t i = at[k - 1]; i < end; i++) {
            h = (h ^ (uint8_t)name.data[i]) * 16777619u;
        }
        hash[k - 1] = h ^ h >> 15;
        end = at[k - 1];
    }
    return count;
}

/* Where the name with that hash was written, or the slot to note it in: *found says which. */
static struct compressor_slot *find_slot(struct dns_writer *w, struct str name, uint32_t hash,
                                         bool *found) {
    struct dns_compressor *c = w->compressor;
    uint32_t i = hash % COMPRESSOR_SLOTS;
    uint16_t check = (uint16_t)(hash >> 16);
    for (;; i = (i + 1) % COMPRESSOR_SLOTS) {
        struct compressor_slot *slot = &c->slots[i];
        if (slot->generation != c->generation) {
            *found = false;
            return slot;
        }
        if (slot->hash == check && name_is_at(w, slot->offset, name)) {
            *found = true;
            return slot;
        }
    }
}

/* Writes a name, pointing as early as it can if `shorten`, and notes its parts for later names. */
static void write_name(struct dns_writer *w, struct str name, bool shorten) {
    if (w->compressor == NULL) {
        buf_add_str(w->out, name);
        return;
    }
    uint8_t at[LABELS_MAX];
    uint32_t hash[LABELS_MAX];
    unsigned count = suffix_hashes(name, at, hash);
    size_t base = w->out->len - w->start;
    unsigned known = count; /* the first label from which on the name is in the message already */
    uint16_t pointer = 0;
    for (unsigned k = 0; k < count && known == count; k++) {
        bool found;
        struct str suffix = {name.data + at[k], name.len - at[k]};
        struct compressor_slot *slot = find_slot(w, suffix, hash[k], &found);
        if (found) {
            known = k;
            pointer = slot->offset;
        }
    }
    if (known < count && shorten) {
        buf_add(w->out, name.data, at[known]);
        buf_add_be16(w->out, (uint16_t)(0xc000u | pointer));
    } else {
        buf_add_str(w->out, name);
    }
    for (unsigned k = 0; k < known && base + at[k] < POINTER_LIMIT; k++) {
        bool found;
        struct str suffix = {name.data + at[k], name.len - at[k]};
        struct compressor_slot *slot = find_slot(w, suffix, hash[k], &found);
        if (!found) {
            *slot = (struct compressor_slot){w->compressor->generation, (uint16_t)(hash[k] >> 16),
                                             (uint16_t)(base + at[k])};
        }
    }
}

void dns_writer_init(struct dns_writer *w, struct buf *out, struct dns_compressor *compressor,
                     uint16_t id, uint16_t flags) {
    *w = (struct dns_writer){.out = out, .start = out->len, .compressor = compressor};
    if (compressor != NULL && ++compressor->generation == 0) {
        memset(compressor->slots, 0, sizeof(compressor->slots));
        compressor->generation = 1;
    }
    char *header = buf_reserve(out, DNS_HEADER_SIZE);
    memset(header, 0, DNS_HEADER_SIZE);
    be16_put(header, id);
    be16_put(header + 2, flags);
    out->len += DNS_HEADER_SIZE;
}

/* The owner of a record. Remembers where the last one is, since the next record often has the same.
 */
static void write_owner(struct dns_writer *w, struct str name) {
    if (w->compressor == NULL) {
        buf_add_str(w->out, name);
        return;
    }
    if (w->last_offset != 0 && w->last_name == name.data && w->last_len == name.len) {
        buf_add_be16(w->out, (uint16_t)(0xc000u | w->last_offset));
        return;
    }
    size_t at = w->out->len;
    write_name(w, name, true);
    size_t written = w->out->len - at;
    const uint8_t *p = (const uint8_t *)w->out->data + at;
    w->last_offset = 0;
    if (name.len > 1) {
        size_t offset = written == 2 ? (size_t)(be16_get(p) & 0x3fff) : at - w->start;
        w->last_offset = offset < POINTER_LIMIT ? (uint16_t)offset : 0;
    }
    w->last_name = name.data;
    w->last_len = name.len;
}

void dns_write_question(struct dns_writer *w, const struct dns_question *q) {
    write_owner(w, q->name);
    buf_add_be16(w->out, q->type);
    buf_add_be16(w->out, q->class);
    w->counts[0]++;
}

/* The length of a name in well-formed data. */
static size_t name_length(struct str data) {
    size_t n = 0;
    while (n < data.len && data.data[n] != 0) {
        n += 1 + (size_t)(uint8_t)data.data[n];
    }
    ASSERT(n < data.len);
    return n + 1;
}

static void write_data(struct dns_writer *w, const struct dns_record *r) {
    struct str data = r->data;
    const struct dns_piece *piece = data.len == 0 ? NULL : dns_data_pieces(r->type);
    for (; piece != NULL && piece->kind != DNS_PIECE_END; piece++) {
        size_t n = data.len;
        if (piece->kind == DNS_PIECE_NAME || piece->kind == DNS_PIECE_NAME_SHORT) {
            n = name_length(data);
            write_name(w, str_sub(data, 0, n), piece->kind == DNS_PIECE_NAME_SHORT);
        } else {
            if (piece->kind == DNS_PIECE_BYTES) {
                n = piece->len;
            } else if (piece->kind == DNS_PIECE_STRING) {
                n = 1 + (size_t)(uint8_t)data.data[0];
            }
            ASSERT(n <= data.len);
            buf_add(w->out, data.data, n);
        }
        data.data += n;
        data.len -= n;
    }
}

void dns_write_record(struct dns_writer *w, enum dns_section section, const struct dns_record *r) {
    if (w->failed || w->counts[1 + section] == UINT16_MAX || r->data.len > UINT16_MAX) {
        w->failed = true;
        return;
    }
    write_owner(w, r->name);
    char *head = buf_reserve(w->out, 10);
    be16_put(head, r->type);
    be16_put(head + 2, r->class);
    be32_put(head + 4, r->ttl);
    w->out->len += 10;
    size_t from = w->out->len;
    if (r->type == DNS_TYPE_A || r->type == DNS_TYPE_AAAA) {
        buf_add_str(w->out, r->data);
    } else {
        write_data(w, r);
    }
    be16_put(w->out->data + from - 2, (uint16_t)(w->out->len - from));
    w->counts[1 + section]++;
    if (dns_writer_size(w) > 4 * DNS_MESSAGE_MAX) {
        w->failed = true; /* sizes up to here are compared by those who trim */
    }
}

size_t dns_writer_size(const struct dns_writer *w) {
    return w->out->len - w->start;
}

bool dns_writer_end(struct dns_writer *w) {
    for (int i = 0; i < 1 + DNS_SECTIONS; i++) {
        be16_put(w->out->data + w->start + 4 + 2 * i, w->counts[i]);
    }
    return !w->failed && dns_writer_size(w) <= DNS_MESSAGE_MAX;
}
