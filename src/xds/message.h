/* Envoy's messages (connect.md 6.8) as trees: a message is a map whose keys are the names of its
 * fields, as in its JSON form, and one table a message says what the fields are and how they
 * travel. So what users write as JSON, what is built here and what a filter's free-form
 * configuration holds are one thing, and a message more costs its table alone.
 *
 * In a tree: numbers of any kind are INT, UINT or FLOAT; enums are their names (or numbers);
 * durations are texts ("1.5s"); wrapped values are what they wrap; bytes are texts. A field that is
 * null is not there.
 */
#ifndef PRAETOR_XDS_MESSAGE_H
#define PRAETOR_XDS_MESSAGE_H

#include "base/buf.h"
#include "base/error.h"
#include "codec/value.h"

#define MESSAGE_DEPTH_MAX 64

enum message_kind {
    MESSAGE_STRING,
    MESSAGE_BYTES, /* in JSON of others: base64 */
    MESSAGE_BOOL,
    MESSAGE_UINT, /* of 32 or 64 bits */
    MESSAGE_INT,
    MESSAGE_DOUBLE,
    MESSAGE_FLOAT,
    MESSAGE_ENUM,
    MESSAGE_OF,       /* another message */
    MESSAGE_DURATION, /* google.protobuf.Duration */
    MESSAGE_STRUCT,   /* google.protobuf.Struct: a map of anything */
    MESSAGE_VALUE,    /* google.protobuf.Value: anything */
    MESSAGE_ANY,      /* {"@type": …, fields of a message that message_named knows} */
};

enum message_flag {
    MESSAGE_MANY = 1 << 0,    /* a list; numbers travel packed */
    MESSAGE_MAP = 1 << 1,     /* from texts to these */
    MESSAGE_WRAPPED = 1 << 2, /* in a message of its own (UInt32Value …): 0 is not absent */
    MESSAGE_ONE_OF = 1 << 3,  /* sent also when it is 0 or "" */
};

struct envoy_enum_value {
    const char *name; /* NULL ends them */
    int32_t number;
};
struct envoy_enum {
    const char *name; /* "envoy.api.v2.Cluster_DiscoveryType" */
    const struct envoy_enum_value *values;
};

struct envoy_message;
struct envoy_field {
    const char *name; /* as in the .proto: "socket_address"; JSON may say socketAddress */
    unsigned number;
    enum message_kind kind;
    unsigned flags;
    const struct envoy_message *message; /* MESSAGE_OF */
    const struct envoy_enum *names;      /* MESSAGE_ENUM */
};
struct envoy_message {
    const char *name; /* with its package: "envoy.api.v2.Cluster" */
    const struct envoy_field *fields;
    size_t count;
};

/* Appends the message, fields by number. False: the tree is none, with the peer's text: "unknown
 * field \"x\" in envoy_api_v2.Cluster". What was appended is then no message. */
bool message_encode(struct buf *out, const struct envoy_message *m, const struct value *tree,
                    struct error *e);
/* A field of a tree by the name of the .proto, under whichever of its two names it is there. */
struct value *message_get(const struct value *tree, const char *name);
/* Gives it that value, in place of what is there under either name. */
void message_set(struct value *tree, const char *name, struct value v, struct arena *arena);

/* The messages that an Any may hold, by the name behind the last "/" of their type URL; NULL: not
 * known. In envoy_*.c. */
const struct envoy_message *message_named(struct str name);

#endif
