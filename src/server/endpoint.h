/* How endpoints are written down: initialisers for `struct endpoint`. For server/endpoint_*.c.
 *
 *   const struct endpoint endpoint_kvs_get = {
 *       ENDPOINT_READS("KVS.Get", ENDPOINT_BLOCKING, key_request, indexed_dir_entries),
 *       .read = kvs_get_read,
 *   };
 */
#ifndef PRAETOR_SERVER_ENDPOINT_H
#define PRAETOR_SERVER_ENDPOINT_H

#include "base/mem.h"
#include "base/time.h"
#include "schema/entries.h"
#include "server/endpoints.h"
#include "server/server_room.h"

/* A read with datacenter, query options and a reply with query meta. */
#define ENDPOINT_READS(wire, kind_, request_, reply_)                                              \
    ENDPOINT_READS_(wire, kind_, request_, reply_),                                                \
        .token = offsetof(struct request_, options.token)
/* The same, where the read itself says whose rights it wants (call_context.as). */
#define ENDPOINT_READS_AS(wire, kind_, request_, reply_)                                           \
    ENDPOINT_READS_(wire, kind_, request_, reply_), .token = -1
#define ENDPOINT_READS_(wire, kind_, request_, reply_)                                             \
    .name = (wire), .kind = (kind_), .request = &request_##_shape, .reply = &reply_##_shape,       \
    .datacenter = offsetof(struct request_, datacenter),                                           \
    .options = offsetof(struct request_, options), .meta = offsetof(struct reply_, meta)

/* A write with a datacenter; what it replies with is given by one of the two below. */
#define ENDPOINT_WRITES(wire, request_)                                                            \
    .name = (wire), .kind = ENDPOINT_WRITE, .request = &request_##_shape,                          \
    .datacenter = offsetof(struct request_, datacenter), .options = -1, .meta = -1,                \
    .token = offsetof(struct request_, write.token)
#define ENDPOINT_REPLY(reply_) .reply = &reply_##_shape
#define ENDPOINT_REPLY_TYPE(type_, ctype) .reply_type = &(type_), .reply_size = sizeof(ctype)

/* Routed nowhere, asks for no token. */
#define ENDPOINT_NOWHERE .datacenter = -1, .options = -1, .meta = -1, .token = -1

/* Appends the type byte and the request as the entry's body. */
void endpoint_entry(struct buf *entry, enum entry_type type, const struct shape *shape,
                    const void *request);

/* register.c: what is refused before a registration becomes an entry, and what is filled in. */
bool register_prepare_service(struct call_context *c, struct node_service *service,
                              struct error *e);
bool register_check_node(struct call_context *c, struct str node, struct str id, struct error *e);

#endif
