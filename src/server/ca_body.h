/* JSON bodies of requests to the authorities of others (ca_vault.h, ca_pca.h), put together key by
 * key: maps whose keys are written in the order in which they are put.
 */
#ifndef PRAETOR_SERVER_CA_BODY_H
#define PRAETOR_SERVER_CA_BODY_H

#include "codec/value.h"

/* Nothing is copied but the key's place in the map: key and v live as long as the map is used. */
void body_put(struct value *map, const char *key, struct value v, struct arena *arena);
void body_put_text(struct value *map, const char *key, struct str text, struct arena *arena);
void body_put_number(struct value *map, const char *key, int64_t n, struct arena *arena);
void body_put_bool(struct value *map, const char *key, bool b, struct arena *arena);
/* The text of all of it, in the arena. */
struct str body_write(const struct value *map, struct arena *arena);

#endif
