/* How the data of each type of DNS record is made up: which parts are names. Reading needs it to
 * expand compressed names, writing to compress them. Private to codec/dns*.c.
 */
#ifndef PRAETOR_CODEC_DNS_DATA_H
#define PRAETOR_CODEC_DNS_DATA_H

#include <stdint.h>

#define DNS_OPTION_SUBNET 8

enum dns_piece_kind {
    DNS_PIECE_END,
    DNS_PIECE_BYTES,      /* len of them */
    DNS_PIECE_NAME,       /* written in full (RFC 3597) */
    DNS_PIECE_NAME_SHORT, /* compressed when written: only types of RFC 1035 */
    DNS_PIECE_STRING,     /* a length byte and so many bytes */
    DNS_PIECE_STRINGS,    /* those, up to the end */
    DNS_PIECE_OPTIONS,    /* of OPT, up to the end */
    DNS_PIECE_REST,       /* anything, up to the end */
};
struct dns_piece {
    uint8_t kind;
    uint8_t len;
};

/* The pieces of a type's data, ended by DNS_PIECE_END; unknown types are one DNS_PIECE_REST. */
const struct dns_piece *dns_data_pieces(uint16_t type);

#endif
