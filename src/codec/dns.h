/* DNS messages: bytes to header, question and records, and back (dns.md 2 and 3; RFC 1035, 6891,
 * 7871). What the messages mean is the business of dns/.
 *
 * Names are kept in wire form without compression, with the root's zero byte at the end, as a
 * `struct str` of at most 255 bytes: "\3web\7service\6consul\0". Record data is kept in wire form
 * too, names inside it uncompressed. Nothing of a message is copied that can be pointed at: the
 * bytes must live as long as what was parsed from them.
 */
#ifndef PRAETOR_CODEC_DNS_H
#define PRAETOR_CODEC_DNS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

#define DNS_HEADER_SIZE ((size_t)12)
#define DNS_NAME_MAX ((size_t)255) /* on the wire, with the zero byte */
#define DNS_LABEL_MAX ((size_t)63)
#define DNS_MESSAGE_MAX ((size_t)65535)
#define DNS_JUMPS_MAX 126           /* compression pointers followed for one name */
#define DNS_TEXT_MAX ((size_t)1024) /* a name as text: 254 bytes of four characters */

enum dns_type {
    DNS_TYPE_A = 1,
    DNS_TYPE_NS = 2,
    DNS_TYPE_CNAME = 5,
    DNS_TYPE_SOA = 6,
    DNS_TYPE_PTR = 12,
    DNS_TYPE_MX = 15,
    DNS_TYPE_TXT = 16,
    DNS_TYPE_AAAA = 28,
    DNS_TYPE_SRV = 33,
    DNS_TYPE_OPT = 41,
    DNS_TYPE_DS = 43,
    DNS_TYPE_AXFR = 252,
    DNS_TYPE_ANY = 255,
};
#define DNS_CLASS_IN 1

enum dns_opcode { DNS_OPCODE_QUERY = 0, DNS_OPCODE_NOTIFY = 4 };
enum dns_rcode {
    DNS_NOERROR = 0,
    DNS_FORMERR = 1,
    DNS_SERVFAIL = 2,
    DNS_NXDOMAIN = 3,
    DNS_NOTIMP = 4,
    DNS_REFUSED = 5,
};

/* The header's second word. */
#define DNS_QR 0x8000u
#define DNS_OPCODE_MASK 0x7800u
#define DNS_OPCODE_SHIFT 11
#define DNS_AA 0x0400u
#define DNS_TC 0x0200u
#define DNS_RD 0x0100u
#define DNS_RA 0x0080u
#define DNS_Z 0x0040u
#define DNS_AD 0x0020u
#define DNS_CD 0x0010u
#define DNS_RCODE_MASK 0x000fu

enum dns_section { DNS_ANSWER, DNS_AUTHORITY, DNS_ADDITIONAL, DNS_SECTIONS };

struct dns_header {
    uint16_t id;
    uint16_t flags;
    uint16_t questions;
    uint16_t records[DNS_SECTIONS];
};

struct dns_question {
    struct str name;
    uint16_t type;
    uint16_t class;
};

struct dns_record {
    struct str name;
    struct str data;
    uint32_t ttl;
    uint16_t type;
    uint16_t class;
};

struct dns_records {
    struct dns_record *items;
    uint32_t len, cap;
};
/* Room for one more, in the arena; returned uncleared. */
struct dns_record *dns_records_add(struct dns_records *list, struct arena *arena);

struct dns_message {
    struct dns_header header;
    bool has_question;            /* the first question was there and could be read */
    struct dns_question question; /* others are read over */
    struct dns_records sections[DNS_SECTIONS];
};

/* False when there are fewer than 12 bytes. */
bool dns_header_parse(struct str bytes, struct dns_header *h);

/* Parses all of a message of at least 12 bytes. False when it is malformed; what was read before
 * stays in *m. Records missing at the end are forgiven, and the question may end after its name or
 * type (dns.md 2). Record data that does not fit its type is an error, except empty data. */
bool dns_message_parse(struct str bytes, struct dns_message *m, struct arena *arena);

/* ---- EDNS ---- */

struct dns_edns {
    uint16_t size; /* of UDP answers, as the sender says */
    bool has_subnet;
    uint16_t subnet_family; /* 0, 1 (IPv4), 2 (IPv6) */
    uint8_t subnet_mask;
    uint8_t subnet_address[16]; /* zeros behind what came */
};
/* What the message's last OPT record says; false when it has none. */
bool dns_edns_get(const struct dns_message *m, struct dns_edns *edns);
/* An OPT record with that size and, if there is one, subnet, whose scope is given. */
struct dns_record dns_edns_record(const struct dns_edns *edns, uint8_t scope, struct arena *arena);

/* ---- names ---- */

/* Moves over one label: *label gets its bytes, *rest what is behind it. False at the root. */
bool dns_name_next(struct str *rest, struct str *label);
unsigned dns_name_labels(struct str name);            /* without the root */
bool dns_name_equal(struct str a, struct str b);      /* byte by byte */
bool dns_name_equal_fold(struct str a, struct str b); /* ASCII letter case aside */
/* Whether `name` is `zone` or below it, ASCII letter case aside. */
bool dns_name_is_below(struct str name, struct str zone);
struct str dns_name_lower(struct str name, struct arena *arena);
/* From text: labels between dots, taken as they are (no escapes); a final dot is allowed, "" and
 * "." are the root. Absent when a label is empty or too long, or the whole is. */
struct str dns_name_from_text(struct str text, struct arena *arena);
/* `first` without its root, then `rest`; absent when too long. */
struct str dns_name_join(struct str first, struct str rest, struct arena *arena);
/* Text with a final dot and the escapes of dns.md 2. */
struct str dns_name_text(struct str name, struct arena *arena);
/* One label (dns.md 2), or a piece of text that is to look like one. */
struct str dns_label_text(struct str label, struct arena *arena);
/* "A", "TYPE65280"; "IN", "CLASS9". */
struct str dns_type_text(uint16_t type, struct arena *arena);
struct str dns_class_text(uint16_t class, struct arena *arena);

/* ---- building ---- */

/* Where each name of a message begins, for compression: one for each thread, used for one message
 * after the other. */
struct dns_compressor;
struct dns_compressor *dns_compressor_new(void);
void dns_compressor_free(struct dns_compressor *c);

struct dns_writer {
    struct buf *out;
    size_t start;                      /* of the message in out */
    struct dns_compressor *compressor; /* NULL: no compression */
    const char *last_name; /* the owner written last, and where: most records repeat it */
    size_t last_len;
    uint16_t last_offset;
    uint16_t counts[1 + DNS_SECTIONS];
    bool failed;
};
/* Appends to `out`. */
void dns_writer_init(struct dns_writer *w, struct buf *out, struct dns_compressor *compressor,
                     uint16_t id, uint16_t flags);
void dns_write_question(struct dns_writer *w, const struct dns_question *q);
/* Sections in their order. Data must be well formed, as dns_message_parse and dns/ make it. */
void dns_write_record(struct dns_writer *w, enum dns_section section, const struct dns_record *r);
size_t dns_writer_size(const struct dns_writer *w);
/* Fills in the counts. False when the message has more than 65535 bytes. */
bool dns_writer_end(struct dns_writer *w);

#endif
