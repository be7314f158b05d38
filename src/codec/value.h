/* Free-form content: what JSON, HCL or an `any` of msgpack holds before (or without) a schema. A
 * tree in an arena. Numbers keep their literal when they came as text, since error messages quote
 * it; objects keep the order and the duplicates of the text.
 */
#ifndef PRAETOR_CODEC_VALUE_H
#define PRAETOR_CODEC_VALUE_H

#include "base/arena.h"
#include "base/str.h"

enum value_kind {
    VALUE_NULL,
    VALUE_BOOL,
    VALUE_INT,   /* msgpack signed, and fixints */
    VALUE_UINT,  /* msgpack unsigned */
    VALUE_FLOAT, /* also every JSON number: rpc.md 3.2 */
    VALUE_STRING,
    VALUE_LIST,
    VALUE_MAP,
};

struct value_pair;
struct value {
    enum value_kind kind;
    union {
        bool boolean;
        int64_t integer;
        uint64_t uinteger;
        double number;
        struct str string;
        struct {
            struct value *items;
            size_t len;
        } list;
        struct {
            struct value_pair *pairs; /* order of the source */
            size_t len;
        } map;
    };
    struct str literal; /* JSON: as written in the text; otherwise absent */
    size_t position;    /* byte offset in the source, for messages */
};
struct value_pair {
    struct str key;
    struct value value;
};

/* The value of the last pair with that key, or NULL (also when v is no map). */
struct value *value_find(const struct value *v, struct str key);
struct value *value_get(const struct value *v, const char *key);
bool value_is_zero(const struct value *v);    /* null, false, 0, "", [], {} */
struct value value_from_str(struct str text); /* points to the text */
struct value value_map(void);                 /* without pairs */
/* Gives a key of a map its value, in place of the last one that is there; what is no map becomes
 * one first. The arena gets a new array of pairs when the key is new. */
void value_put(struct value *map, struct str key, struct value v, struct arena *arena);
/* Adds an item to a list; what is no list (NULL among it) becomes one first. The array is made
 * anew: for short lists. */
void value_append(struct value *list, struct value item, struct arena *arena);
struct value *value_copy(const struct value *v, struct arena *arena);
/* The pairs of a map in ascending bytewise order of their keys, of equal keys only the last.
 * Returns their number; the array is the caller's to mem_free. */
size_t value_sorted_pairs(const struct value *v, const struct value_pair ***out);
/* Maps compare as sets of pairs; kinds are strict (an integer is no float). NULL equals only NULL.
 */
bool value_equal(const struct value *a, const struct value *b);

#endif
