/* The tree that a text with ${…} is parsed into. Only for schema/interpolate*.c. */
#ifndef PRAETOR_SCHEMA_INTERPOLATE_TREE_H
#define PRAETOR_SCHEMA_INTERPOLATE_TREE_H

#include "schema/interpolate.h"

enum node_kind {
    NODE_TEXT,
    NODE_INT,
    NODE_FLOAT,
    NODE_NAME,
    NODE_CALL,
    NODE_INDEX,
    NODE_SUM,
    NODE_PARTS
};

struct position {
    uint32_t line, column;
};

struct node {
    enum node_kind kind;
    struct position at;
    struct str text;           /* NODE_TEXT; the name of NODE_NAME, NODE_CALL, NODE_INDEX */
    int64_t integer;           /* NODE_INT */
    double number;             /* NODE_FLOAT */
    struct node *first, *last; /* children: arguments of NODE_CALL, the index of NODE_INDEX, parts
                                  of NODE_PARTS, operands of NODE_SUM from left to right */
    uint32_t count;            /* of them */
    struct node *next;         /* sibling */
    char operation;            /* an operand but the first: how it is added, + - * / % */
    bool is_float;             /* and whether as floats; found when checked */
};

/* Of a character, which both halves ask. */
static inline bool is_blank(uint32_t c) {
    return (c >= '\t' && c <= '\r') || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

static inline bool is_digit(uint32_t c) {
    return c >= '0' && c <= '9';
}

/* A node of NODE_PARTS, in the arena; NULL with why not: "syntax error". */
struct node *interpolate_parse(struct str text, struct arena *arena, const char **problem);

#endif
