/* Messages that travel as protocol buffers (proto3) and stand in files as their JSON: AutoConfig's
 * (rpc.md 6.17). One table a message drives both. What a table does not name is skipped in bytes
 * and in JSON.
 */
#ifndef PRAETOR_SCHEMA_PROTO_H
#define PRAETOR_SCHEMA_PROTO_H

#include "codec/json.h"
#include "schema/schema.h"

#define PROTO_DEPTH_MAX 16 /* of messages in messages */

enum proto_kind {
    PROTO_STR,
    PROTO_BOOL,
    PROTO_U64,    /* JSON: a text */
    PROTO_I32,    /* of an int64_t */
    PROTO_TIME,   /* google.protobuf.Timestamp, of a struct timestamp */
    PROTO_DUR,    /* google.protobuf.Duration, of an int64_t in ns; JSON: that as a text */
    PROTO_STRS,   /* repeated string, of a list of str */
    PROTO_PTR,    /* a message, of a pointer; NULL: not there */
    PROTO_INLINE, /* a message that is always there, of a struct */
    PROTO_PTRS,   /* repeated messages, of a list of pointers */
};

struct proto_message;
struct proto_field {
    unsigned number;
    const char *name; /* in JSON */
    enum proto_kind kind;
    size_t offset;
    const struct proto_message *message; /* of the kinds from PROTO_PTR on */
};
struct proto_message {
    size_t size;
    const struct proto_field *fields; /* by number */
    size_t count;
};

void proto_encode(struct buf *out, const struct proto_message *m, const void *object);
/* The object is zeroed first, texts that are not there are "". Strings are views of the bytes.
 * "proto: unexpected end of bytes", "proto: illegal field", … */
bool proto_decode(struct str bytes, const struct proto_message *m, void *object,
                  struct arena *arena, struct error *e);

void proto_write_json(struct json_writer *w, const struct proto_message *m, const void *object);
/* Zeroed first, too; null is what is not there. "proto: field X is not of its kind" */
bool proto_from_json(const struct value *json, const struct proto_message *m, void *object,
                     struct arena *arena, struct error *e);

#endif
