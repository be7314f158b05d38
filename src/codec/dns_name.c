/* DNS names in wire form without compression: walking, comparing, making them from text and showing
 * them as text. Not for names inside a message, which may be compressed: codec/dns.c reads those.
 */
#include <stdio.h>

#include "base/mem.h"
#include "codec/dns.h"

/* ASCII only, and no locale. */
static uint8_t lower(uint8_t c) {
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

bool dns_name_next(struct str *rest, struct str *label) {
    if (rest->len == 0) {
        return false;
    }
    size_t n = (uint8_t)rest->data[0];
    if (n == 0 || n + 1 > rest->len) {
        return false;
    }
    *label = (struct str){rest->data + 1, n};
    *rest = (struct str){rest->data + 1 + n, rest->len - 1 - n};
    return true;
}

unsigned dns_name_labels(struct str name) {
    struct str label;
    unsigned n = 0;
    while (dns_name_next(&name, &label)) {
        n++;
    }
    return n;
}

bool dns_name_equal(struct str a, struct str b) {
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/* Length bytes are below 64, so that folding does not touch them. */
bool dns_name_equal_fold(struct str a, struct str b) {
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (lower((uint8_t)a.data[i]) != lower((uint8_t)b.data[i])) {
            return false;
        }
    }
    return true;
}

bool dns_name_is_below(struct str name, struct str zone) {
    struct str label;
    while (name.len > zone.len) {
        if (!dns_name_next(&name, &label)) {
            return false;
        }
    }
    return dns_name_equal_fold(name, zone);
}

struct str dns_name_lower(struct str name, struct arena *arena) {
    char *out = arena_alloc(arena, name.len);
    for (size_t i = 0; i < name.len; i++) {
        out[i] = (char)lower((uint8_t)name.data[i]);
    }
    return (struct str){out, name.len};
}

struct str dns_name_from_text(struct str text, struct arena *arena) {
    if (text.len > 0 && text.data[text.len - 1] == '.') {
        text.len--;
    }
    if (text.len + 2 > DNS_NAME_MAX) {
        return STR_NONE;
    }
    char *out = arena_alloc(arena, text.len + 2);
    size_t len = 0;
    while (text.data != NULL && (text.len > 0 || len > 0)) {
        struct str label = str_cut(&text, '.');
        if (label.len == 0 || label.len > DNS_LABEL_MAX) {
            return STR_NONE;
        }
        out[len++] = (char)label.len;
        memcpy(out + len, label.data, label.len);
        len += label.len;
    }
    out[len++] = 0;
    return (struct str){out, len};
}

struct str dns_name_join(struct str first, struct str rest, struct arena *arena) {
    ASSERT(first.len > 0 && rest.len > 0);
    size_t len = first.len - 1 + rest.len;
    if (len > DNS_NAME_MAX) {
        return STR_NONE;
    }
    char *out = arena_alloc(arena, len);
    memcpy(out, first.data, first.len - 1);
    memcpy(out + first.len - 1, rest.data, rest.len);
    return (struct str){out, len};
}

/* Writes a label as text to `out`, which has room for four characters a byte; returns the length.
 */
static size_t label_text(struct str label, char *out) {
    size_t n = 0;
    for (size_t i = 0; i < label.len; i++) {
        uint8_t c = (uint8_t)label.data[i];
        if (c < 0x20 || c > 0x7e) {
            out[n++] = '\\';
            out[n++] = (char)('0' + c / 100);
            out[n++] = (char)('0' + c / 10 % 10);
            out[n++] = (char)('0' + c % 10);
        } else {
            if (memchr(". '@;()\"\\", c, 9) != NULL) {
                out[n++] = '\\';
            }
            out[n++] = (char)c;
        }
    }
    return n;
}

struct str dns_label_text(struct str label, struct arena *arena) {
    char *out = arena_alloc(arena, label.len * 4);
    return (struct str){out, label_text(label, out)};
}

struct str dns_name_text(struct str name, struct arena *arena) {
    char text[DNS_TEXT_MAX];
    size_t len = 0;
    struct str label;
    if (name.len <= DNS_NAME_MAX) {
        while (dns_name_next(&name, &label)) {
            len += label_text(label, text + len);
            text[len++] = '.';
        }
    }
    if (len == 0) {
        text[len++] = '.';
    }
    return str_copy(arena, (struct str){text, len});
}

static const struct {
    uint16_t type;
    const char *text;
} type_texts[] = {
    {1, "A"},         {2, "NS"},      {3, "MD"},       {4, "MF"},           {5, "CNAME"},
    {6, "SOA"},       {7, "MB"},      {8, "MG"},       {9, "MR"},           {10, "NULL"},
    {12, "PTR"},      {13, "HINFO"},  {14, "MINFO"},   {15, "MX"},          {16, "TXT"},
    {17, "RP"},       {18, "AFSDB"},  {19, "X25"},     {20, "ISDN"},        {21, "RT"},
    {23, "NSAP-PTR"}, {24, "SIG"},    {25, "KEY"},     {26, "PX"},          {27, "GPOS"},
    {28, "AAAA"},     {29, "LOC"},    {30, "NXT"},     {31, "EID"},         {32, "NIMLOC"},
    {33, "SRV"},      {34, "ATMA"},   {35, "NAPTR"},   {36, "KX"},          {37, "CERT"},
    {39, "DNAME"},    {41, "OPT"},    {43, "DS"},      {44, "SSHFP"},       {46, "RRSIG"},
    {47, "NSEC"},     {48, "DNSKEY"}, {49, "DHCID"},   {50, "NSEC3"},       {51, "NSEC3PARAM"},
    {52, "TLSA"},     {53, "SMIMEA"}, {55, "HIP"},     {56, "NINFO"},       {57, "RKEY"},
    {58, "TALINK"},   {59, "CDS"},    {60, "CDNSKEY"}, {61, "OPENPGPKEY"},  {62, "CSYNC"},
    {99, "SPF"},      {100, "UINFO"}, {101, "UID"},    {102, "GID"},        {103, "UNSPEC"},
    {104, "NID"},     {105, "L32"},   {106, "L64"},    {107, "LP"},         {108, "EUI48"},
    {109, "EUI64"},   {249, "TKEY"},  {250, "TSIG"},   {251, "IXFR"},       {252, "AXFR"},
    {253, "MAILB"},   {254, "MAILA"}, {255, "ANY"},    {256, "URI"},        {257, "CAA"},
    {258, "AVC"},     {32768, "TA"},  {32769, "DLV"},  {65535, "Reserved"}, {0, "None"},
};

struct str dns_type_text(uint16_t type, struct arena *arena) {
    for (size_t i = 0; i < COUNT_OF(type_texts); i++) {
        if (type_texts[i].type == type) {
            return str_from(type_texts[i].text);
        }
    }
    return str_format(arena, "TYPE%u", type);
}

struct str dns_class_text(uint16_t class, struct arena *arena) {
    switch (class) {
    case 1:
        return STR("IN");
    case 2:
        return STR("CS");
    case 3:
        return STR("CH");
    case 4:
        return STR("HS");
    case 254:
        return STR("NONE");
    case 255:
        return STR("ANY");
    default:
        return str_format(arena, "CLASS%u", class);
    }
}
