/* Reading tests/vectors/dns: for the tests of codec/ and dns/. */
#ifndef TESTS_DNS_VECTORS_H
#define TESTS_DNS_VECTORS_H

#include "unit/vectors.h"

static inline bool case_varies(const struct value *c, const char *word) {
    const struct value *list = value_get(c, "varies");
    for (size_t i = 0; list != NULL && i < list->list.len; i++) {
        if (str_find(list->list.items[i].string, str_from(word), 0) >= 0) {
            return true;
        }
    }
    return false;
}

#endif
