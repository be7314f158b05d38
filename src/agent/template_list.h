/* Lists of addresses, as the functions of templates over them hand them on. Only for
 * agent/template_address.c and template_attribute.c.
 */
#ifndef PRAETOR_AGENT_TEMPLATE_LIST_H
#define PRAETOR_AGENT_TEMPLATE_LIST_H

#include "agent/template_syntax.h"

struct chosen {
    struct machine_address *items; /* in the call's arena */
    size_t len;
};

static inline struct chosen chosen_new(struct template_call *c, size_t cap) {
    return (struct chosen){ARENA_ARRAY(c->arena, struct machine_address, cap), 0};
}

static inline struct chosen copy_list(struct template_call *c, const struct machine_address *items,
                                      size_t len) {
    struct chosen list = chosen_new(c, len);
    if (len > 0)
        memcpy(list.items, items, len * sizeof(*items));
    list.len = len;
    return list;
}

static inline bool give_list(struct template_value *out, struct chosen list) {
    *out = (struct template_value){.kind = TEMPLATE_LIST, .addresses = list.items, .len = list.len};
    return true;
}

static inline bool give_string(struct template_value *out, struct str s) {
    *out = (struct template_value){.kind = TEMPLATE_STRING, .string = s};
    return true;
}

/* The last argument. */
static inline const struct template_value *list_of(const struct template_call *c) {
    return &c->args[c->count - 1];
}

#endif
