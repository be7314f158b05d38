/* The macros with which field tables are written. For the .c files that define shapes, in this room
 * and in those above that have structures of their own (a handler's answer, a file's format).
 *
 *   #define OF struct service_address
 *   static const struct field service_address_fields[] = {
 *       F_STR("Address", address),
 *       F_INT("Port", port, .flags = FIELD_OMIT_EMPTY),
 *   };
 *   #undef OF
 *   SHAPE(service_address, "ServiceAddress");
 *
 * Each F_ macro checks at compile time that the member has the C type of its kind. What follows the
 * member are designated initialisers of struct field (.flags, .json, .go).
 */
#ifndef PRAETOR_SCHEMA_TABLE_H
#define PRAETOR_SCHEMA_TABLE_H

#include "base/mem.h"
#include "schema/schema.h"

#define TABLE_OFFSET(member, ctype)                                                                \
    (offsetof(OF, member) +                                                                        \
     0 * sizeof(                                                                                   \
             char[__builtin_types_compatible_p(__typeof__(((OF *)0)->member), ctype) ? 1 : -1]))
#define TABLE_FIELD(text, member, ctype, ...)                                                      \
    { .name = (text), .offset = TABLE_OFFSET(member, ctype), .type = __VA_ARGS__ }

#define F_STR(name, member, ...)                                                                   \
    TABLE_FIELD(name, member, struct str, {KIND_STR, NULL, NULL} __VA_OPT__(, ) __VA_ARGS__)
#define F_BYTES(name, member, ...)                                                                 \
    TABLE_FIELD(name, member, struct str, {KIND_BYTES, NULL, NULL} __VA_OPT__(, ) __VA_ARGS__)
#define F_BOOL(name, member, ...)                                                                  \
    TABLE_FIELD(name, member, bool, {KIND_BOOL, NULL, NULL} __VA_OPT__(, ) __VA_ARGS__)
#define F_INT(name, member, ...)                                                                   \
    TABLE_FIELD(name, member, int64_t, {KIND_INT, NULL, NULL} __VA_OPT__(, ) __VA_ARGS__)
#define F_UINT(name, member, ...)                                                                  \
    TABLE_FIELD(name, member, uint64_t, {KIND_UINT, NULL, NULL} __VA_OPT__(, ) __VA_ARGS__)
#define F_DUR(name, member, ...)                                                                   \
    TABLE_FIELD(name, member, int64_t, {KIND_DUR, NULL, NULL} __VA_OPT__(, ) __VA_ARGS__)
#define F_TIME(name, member, ...)                                                                  \
    TABLE_FIELD(name, member, struct timestamp, {KIND_TIME, NULL, NULL} __VA_OPT__(, ) __VA_ARGS__)
#define F_F64(name, member, ...)                                                                   \
    TABLE_FIELD(name, member, double, {KIND_F64, NULL, NULL} __VA_OPT__(, ) __VA_ARGS__)
#define F_F32(name, member, ...)                                                                   \
    TABLE_FIELD(name, member, float, {KIND_F32, NULL, NULL} __VA_OPT__(, ) __VA_ARGS__)
#define F_ANY(name, member, ...)                                                                   \
    TABLE_FIELD(name, member, struct value *, {KIND_ANY, NULL, NULL} __VA_OPT__(, ) __VA_ARGS__)
/* item: the struct's tag, which is also the first part of its shape's name. */
#define F_STRUCT(name, member, item, ...)                                                          \
    TABLE_FIELD(name, member, struct item,                                                         \
                {KIND_STRUCT, &item##_shape, NULL} __VA_OPT__(, ) __VA_ARGS__)
#define F_PTR(name, member, item, ...)                                                             \
    TABLE_FIELD(name, member, struct item *,                                                       \
                {KIND_PTR, &item##_shape, NULL} __VA_OPT__(, ) __VA_ARGS__)
/* elem: OF_STR, OF_STRUCT(node), OF_PTR(node), OF_LIST(OF_STR), … */
#define F_LIST(name, member, elem, ...)                                                            \
    TABLE_FIELD(name, member, struct list, {KIND_LIST, NULL, elem} __VA_OPT__(, ) __VA_ARGS__)
#define F_MAP(name, member, elem, ...)                                                             \
    TABLE_FIELD(name, member, struct list, {KIND_MAP, NULL, elem} __VA_OPT__(, ) __VA_ARGS__)
/* An embedded block: its fields belong to the owner. */
#define F_FLAT(member, item, ...)                                                                  \
    TABLE_FIELD("", member, struct item, {KIND_STRUCT, &item##_shape, NULL},                       \
                .flags = FIELD_FLAT __VA_OPT__(|) __VA_ARGS__)

#define OF_STR (&(const struct type){KIND_STR, NULL, NULL})
#define OF_BYTES (&(const struct type){KIND_BYTES, NULL, NULL})
#define OF_BOOL (&(const struct type){KIND_BOOL, NULL, NULL})
#define OF_INT (&(const struct type){KIND_INT, NULL, NULL})
#define OF_UINT (&(const struct type){KIND_UINT, NULL, NULL})
#define OF_F64 (&(const struct type){KIND_F64, NULL, NULL})
#define OF_ANY (&(const struct type){KIND_ANY, NULL, NULL})
#define OF_STRUCT(item) (&(const struct type){KIND_STRUCT, &item##_shape, NULL})
#define OF_PTR(item) (&(const struct type){KIND_PTR, &item##_shape, NULL})
#define OF_LIST(elem) (&(const struct type){KIND_LIST, NULL, elem})
#define OF_MAP(elem) (&(const struct type){KIND_MAP, NULL, elem})

/* Defines item##_shape from item##_fields; further initialisers may follow (.flags, .aliases, .go).
 * SHAPE_OVER is for another description of a struct that has a shape already. */
#define SHAPE(item, text, ...) SHAPE_OVER(item, item, text, __VA_ARGS__)
#define SHAPE_OVER(item, tag, text, ...)                                                           \
    static struct shape_cache item##_cache;                                                        \
    const struct shape item##_shape = {.name = (text),                                             \
                                       .size = sizeof(struct tag),                                 \
                                       .fields = item##_fields,                                    \
                                       .field_count = COUNT_OF(item##_fields),                     \
                                       .cache = &item##_cache __VA_OPT__(, ) __VA_ARGS__}

#endif
