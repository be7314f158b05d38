/* What reading configuration entries is made of: where a value stands, what is told of it, and
 * scalars made out of whatever stands there. For config_entry_read.c.
 */
#ifndef PRAETOR_SCHEMA_CONFIG_ENTRY_VALUES_H
#define PRAETOR_SCHEMA_CONFIG_ENTRY_VALUES_H

#include "codec/value.h"
#include "schema/schema.h"

struct texts {
    struct str *items;
    size_t len, cap;
};

struct reader {
    struct arena *arena;
    struct texts wrong;   /* values */
    struct texts unknown; /* keys, with their paths */
};

/* The first thousand are told. */
void texts_keep(struct reader *r, struct texts *t, struct str text);

/* Where a value stands; a list of parts, the innermost first, made into text only when it is told.
 */
struct path {
    const struct path *outer;
    enum { PATH_FIELD, PATH_INDEX, PATH_KEY } kind;
    struct str name;
    size_t index;
};
struct str path_text(struct reader *r, const struct path *path);

void tell_no_map(struct reader *r, const struct path *path, const struct value *v);

/* *out stays as it is where something is wrong, which is told. type: as texts call it. v is not
 * null. */
void read_str(struct reader *r, const struct path *path, const struct value *v, const char *type,
              struct str *out);
void read_bool(struct reader *r, const struct path *path, const struct value *v, bool *out);
void read_int(struct reader *r, const struct path *path, const struct value *v, const char *type,
              int64_t *out);
/* All unsigned fields are of 32 bits: what has more loses them, a text that says more is wrong. */
void read_uint(struct reader *r, const struct path *path, const struct value *v, uint64_t *out);
void read_f32(struct reader *r, const struct path *path, const struct value *v, float *out);
/* A text with units, or nanoseconds. */
void read_duration(struct reader *r, const struct path *path, const struct value *v, int64_t *out);

#endif
