/* The methods of the peer's servers (rpc.md 6) by name, also those that are not built here: what is
 * said to who calls one of these. Not: what they do (endpoints.h).
 */
#ifndef PRAETOR_SERVER_RPC_METHODS_H
#define PRAETOR_SERVER_RPC_METHODS_H

#include "base/str.h"

/* Whether a service of that name exists on the server port; insecure: on its restricted one. */
bool rpc_service_known(struct str service, bool insecure);
/* NULL: the peer has no such method. Otherwise what is answered if there is no endpoint for it: an
 * error of the application, so that the stream goes on. Where the peer has a text for what is
 * switched off, it is that: agents know what to make of it. */
const char *rpc_method_missing(struct str method);

#endif
