/* The table behind codec/dns_data.h. Types whose data has no name and no shape worth checking are
 * left out: any bytes will do for them.
 */
#include "codec/dns_data.h"

#include <stddef.h>

#define BYTES(n)                                                                                   \
    { DNS_PIECE_BYTES, n }
#define NAME                                                                                       \
    { DNS_PIECE_NAME, 0 }
#define SHORT                                                                                      \
    { DNS_PIECE_NAME_SHORT, 0 }
#define STRING                                                                                     \
    { DNS_PIECE_STRING, 0 }
#define STRINGS                                                                                    \
    { DNS_PIECE_STRINGS, 0 }
#define REST                                                                                       \
    { DNS_PIECE_REST, 0 }

static const struct dns_piece any[] = {REST, {0}};
static const struct dns_piece one_short[] = {SHORT, {0}};
static const struct dns_piece two_short[] = {SHORT, SHORT, {0}};
static const struct dns_piece soa[] = {SHORT, SHORT, BYTES(20), {0}};
static const struct dns_piece mx[] = {BYTES(2), SHORT, {0}};
static const struct dns_piece a[] = {BYTES(4), {0}};
static const struct dns_piece aaaa[] = {BYTES(16), {0}};
static const struct dns_piece two_strings[] = {STRING, STRING, {0}};
static const struct dns_piece strings[] = {STRINGS, {0}};
static const struct dns_piece one_name[] = {NAME, {0}};
static const struct dns_piece two_names[] = {NAME, NAME, {0}};
static const struct dns_piece preferred_name[] = {BYTES(2), NAME, {0}};
static const struct dns_piece preferred_names[] = {BYTES(2), NAME, NAME, {0}};
static const struct dns_piece signature[] = {BYTES(18), NAME, REST, {0}};
static const struct dns_piece name_rest[] = {NAME, REST, {0}};
static const struct dns_piece srv[] = {BYTES(6), NAME, {0}};
static const struct dns_piece naptr[] = {BYTES(4), STRING, STRING, STRING, NAME, {0}};
static const struct dns_piece opt[] = {{DNS_PIECE_OPTIONS, 0}, {0}};

const struct dns_piece *dns_data_pieces(uint16_t type) {
    switch (type) {
    case 1:
        return a;
    case 28:
        return aaaa;
    case 2:  /* NS */
    case 3:  /* MD */
    case 4:  /* MF */
    case 5:  /* CNAME */
    case 7:  /* MB */
    case 8:  /* MG */
    case 9:  /* MR */
    case 12: /* PTR */
        return one_short;
    case 6:
        return soa;
    case 13:
        return two_strings; /* HINFO */
    case 14:
        return two_short; /* MINFO */
    case 15:
        return mx;
    case 16: /* TXT */
    case 99: /* SPF */
        return strings;
    case 17: /* RP */
    case 58: /* TALINK */
        return two_names;
    case 18:  /* AFSDB */
    case 21:  /* RT */
    case 36:  /* KX */
    case 107: /* LP */
        return preferred_name;
    case 26:
        return preferred_names; /* PX */
    case 24:                    /* SIG */
    case 46:                    /* RRSIG */
        return signature;
    case 30: /* NXT */
    case 47: /* NSEC */
        return name_rest;
    case 23: /* NSAP-PTR */
    case 39: /* DNAME */
        return one_name;
    case 33:
        return srv;
    case 35:
        return naptr;
    case 41:
        return opt;
    default:
        return any;
    }
}
