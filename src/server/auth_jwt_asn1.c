/* Why some DER is no certificate, in the words of the peer's decoder. It only follows the structure
 * as far as what people mistake for certificates goes: private keys, bare keys of other kinds, cut
 * off texts. What is wrong further in is named as a whole.
 */
#include "server/auth_jwt_keys.h"

struct header {
    unsigned class, tag;
    bool compound;
    size_t len, size; /* of the content; of the header */
};

/* NULL, or what is wrong with the header or with what follows it. */
static const char *read_header(struct str der, struct header *h) {
    const uint8_t *p = (const uint8_t *)der.data;
    if (der.len == 0)
        return "asn1: syntax error: sequence truncated";
    h->class = p[0] >> 6;
    h->compound = (p[0] & 0x20) != 0;
    h->tag = p[0] & 0x1f;
    if (h->tag == 0x1f)
        return "asn1: structure error: invalid tag";
    if (der.len < 2)
        return "asn1: syntax error: truncated tag or length";
    h->size = 2;
    h->len = p[1];
    if (p[1] == 0x80)
        return "asn1: syntax error: indefinite length found (not DER)";
    if (p[1] > 0x80) {
        size_t bytes = p[1] & 0x7fu;
        h->len = 0;
        for (size_t i = 0; i < bytes; i++) {
            if (h->size >= der.len)
                return "asn1: syntax error: truncated tag or length";
            if (h->len >= 1 << 23)
                return "asn1: structure error: length too large";
            h->len = h->len << 8 | p[h->size++];
            if (h->len == 0)
                return "asn1: structure error: superfluous leading zeros in length";
        }
        if (h->len < 0x80)
            return "asn1: structure error: non-minimal length";
    }
    return NULL;
}

static struct str other_tag(struct arena *arena, unsigned wanted, const struct header *h,
                            const char *name) {
    return str_format(
        arena,
        "asn1: structure error: tags don't match (%u vs {class:%u tag:%u length:%zu "
        "isCompound:%s}) {optional:false explicit:false application:false "
        "private:false defaultValue:<nil> tag:<nil> stringType:0 timeType:0 set:false "
        "omitEmpty:false} %s @%zu",
        wanted, h->class, h->tag, h->len, h->compound ? "true" : "false", name, h->size);
}

enum { TAG_INTEGER = 2, TAG_SEQUENCE = 16 };

/* Certificate ::= SEQUENCE { tbsCertificate SEQUENCE { [0] version OPTIONAL, serialNumber INTEGER …
 */
struct str jwt_asn1_fault(struct str der, struct arena *arena) {
    static const char *const names[] = {"certificate", "tbsCertificate"};
    struct header h;
    const char *wrong;
    for (int depth = 0; depth < 2; depth++) {
        wrong = read_header(der, &h);
        if (wrong != NULL)
            return str_from(wrong);
        if (h.class != 0 || h.tag != TAG_SEQUENCE || !h.compound)
            return other_tag(arena, TAG_SEQUENCE, &h, names[depth]);
        if (h.len > der.len - h.size)
            return STR("asn1: syntax error: data truncated");
        der = str_sub(der, h.size, h.len);
    }
    wrong = read_header(der, &h);
    if (wrong == NULL && h.class == 2 && h.tag == 0 && h.len <= der.len - h.size) {
        der = str_sub(der, h.size + h.len, der.len);
        wrong = read_header(der, &h);
    }
    if (wrong != NULL)
        return str_from(wrong);
    if (h.class != 0 || h.tag != TAG_INTEGER)
        return other_tag(arena, TAG_INTEGER, &h, "");
    return STR("x509: malformed certificate");
}
