/* Building trees of messages (message.h) in one expression:
 *
 *     TREE(arena, {"name", tree_text(name)}, {"type", tree_word("EDS")}, …)
 *
 * A field whose value is TREE_NONE is left out, and so is such an item of a list.
 */
#ifndef PRAETOR_XDS_TREE_H
#define PRAETOR_XDS_TREE_H

#include "base/arena.h"
#include "codec/value.h"

struct tree_field {
    const char *name; /* NULL ends them */
    struct value value;
};
#define TREE_NONE ((struct value){.kind = VALUE_NULL})
#define TREE_END ((struct value){.kind = VALUE_NULL, .position = SIZE_MAX})

#define TREE(arena, ...)                                                                           \
    tree_of((arena), (const struct tree_field[]){__VA_ARGS__, {NULL, TREE_NONE}})
#define TREES(arena, ...) tree_list((arena), (const struct value[]){__VA_ARGS__, TREE_END})

struct value tree_of(struct arena *arena, const struct tree_field *fields);
struct value tree_list(struct arena *arena, const struct value *items);
struct value tree_empty(void); /* {} */
struct value tree_text(struct str text);
struct value tree_text_or_none(struct str text); /* "" is left out */
struct value tree_word(const char *text);
struct value tree_number(int64_t n);
struct value tree_bool(bool b);
struct value tree_when(bool condition, struct value v); /* or TREE_NONE */
/* Of nanoseconds: "1.5s" */
struct value tree_duration(struct arena *arena, int64_t ns);

/* A list that grows. */
struct trees {
    struct value *items;
    size_t len, cap;
};
void trees_add(struct trees *trees, struct value item, struct arena *arena);
/* Puts one in front of a list that is a field of a message; what is no list becomes one. */
void tree_prepend(struct value *list, struct value item, struct arena *arena);
struct value trees_list(const struct trees *trees); /* the list shares its items */

#endif
