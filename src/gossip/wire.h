/* Messages of gossip in msgpack, by description: each structure of the protocol is a C struct and
 * one table of its fields, which drives reading and writing (gossip.md 2.2). Not schema/, which
 * lies above the cores and knows another dialect.
 *
 * Writing: a map of all fields, sorted by name. Reading is as liberal as the peer: any order,
 * unknown and missing and doubled keys, other integer widths, nil for anything, a struct as an
 * array in the order of declaration, an array of integers for bytes.
 */
#ifndef PRAETOR_GOSSIP_WIRE_H
#define PRAETOR_GOSSIP_WIRE_H

#include "codec/msgpack.h"

enum wire_kind {
    WIRE_U8,
    WIRE_U16,
    WIRE_U32,
    WIRE_U64,
    WIRE_I64,
    WIRE_BOOL,
    WIRE_F64,
    WIRE_STR,     /* struct str */
    WIRE_BYTES,   /* struct str; absent is nil, and what is empty reads as absent */
    WIRE_STRUCT,  /* the struct itself */
    WIRE_STRS,    /* struct wire_list of struct str */
    WIRE_BYTESES, /* struct wire_list of struct str */
    WIRE_F64S,    /* struct wire_list of double */
    WIRE_STRUCTS, /* struct wire_list of pointers; NULL is nil */
    WIRE_TAGS,    /* struct wire_list of struct wire_tag: a map, written as it is sorted */
    WIRE_LTIMES,  /* struct wire_list of struct wire_ltime: the same */
};

struct wire_list {
    void *items;
    size_t len;
    bool present; /* false: nil */
};
struct wire_tag {
    struct str name, value;
};
struct wire_ltime {
    struct str name;
    uint64_t ltime;
};

struct wire_shape;
struct wire_field {
    const char *name;
    enum wire_kind kind;
    uint8_t position; /* in the order of declaration */
    bool omit_empty;
    uint16_t offset;
    const struct wire_shape *sub;
    uint32_t max; /* items of a list; 0: WIRE_LIST_MAX */
};
struct wire_shape {
    const struct wire_field *fields; /* sorted by name */
    uint8_t len;
    uint16_t size;
};
#define WIRE_LIST_MAX 1024
#define WIRE_SHAPE(struct_name, table)                                                             \
    { .fields = (table), .len = COUNT_OF(table), .size = sizeof(struct struct_name) }

void wire_write(struct buf *out, const struct wire_shape *shape, const void *from);
/* NULL as nil. */
void wire_write_nullable(struct buf *out, const struct wire_shape *shape, const void *from);
/* Clears *to, reads one value (nil leaves it clear) and moves on behind it. Strings are views into
 * the input (bytes written as an array: in the arena). */
bool wire_read(struct msgpack_reader *in, const struct wire_shape *shape, void *to,
               struct arena *arena, struct error *e);
/* The same for bytes that hold one value; what follows it is ignored. */
bool wire_read_all(struct str bytes, const struct wire_shape *shape, void *to, struct arena *arena,
                   struct error *e);

/* One value of a stream that may not have come completely yet: where its end is, found step by
 * step, so that nothing is looked at twice. */
struct wire_scan {
    size_t at;     /* start of the next token */
    uint64_t owed; /* values to come before the end; 0: not begun */
};
enum wire_scan_result { WIRE_MORE, WIRE_DONE, WIRE_BAD };
enum wire_scan_result wire_scan_value(struct wire_scan *s, struct str bytes);

#endif
