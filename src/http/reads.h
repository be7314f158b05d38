/* Requests of reads that several resources build in the same way from path and parameters, in the
 * peer's order of tests. NULL: answered.
 */
#ifndef PRAETOR_HTTP_READS_H
#define PRAETOR_HTTP_READS_H

#include "http/room.h"

/* Instances of the service that the path names: source, metadata and tags too. */
struct service_request *http_read_instances(struct http_request *r);
/* What a gateway serves; no filter. */
struct service_request *http_read_gateway(struct http_request *r);
/* Of a node that the path names. */
struct node_request *http_read_node(struct http_request *r);
/* The same where the namespace is looked at last, and there is no filter. */
struct node_request *http_read_node_unfiltered(struct http_request *r);

#endif
