/* What a filter's text parses to, before anybody knows whether its selectors exist. Private to the
 * room.
 */
#ifndef PRAETOR_SCHEMA_FILTER_AST_H
#define PRAETOR_SCHEMA_FILTER_AST_H

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

enum filter_op {
    FILTER_EQUAL,
    FILTER_NOT_EQUAL,
    FILTER_IN, /* also "contains" */
    FILTER_NOT_IN,
    FILTER_IS_EMPTY,
    FILTER_IS_NOT_EMPTY,
    FILTER_MATCHES,
    FILTER_NOT_MATCHES,
};

struct filter_selector {
    struct str *parts;
    size_t len;
};

struct filter_match;

enum filter_node_kind { FILTER_OR, FILTER_AND, FILTER_NOT, FILTER_MATCH };
struct filter_node {
    enum filter_node_kind kind;
    struct filter_node *left;  /* of not: its operand */
    struct filter_node *right; /* of or, and */
    /* Of matches: */
    struct filter_selector selector;
    enum filter_op op;
    struct str value;
    struct filter_match *compiled; /* filter.c's */
};

/* NULL on failure, with the peer's text. */
struct filter_node *filter_parse(struct str text, struct arena *arena, struct error *e);

#endif
