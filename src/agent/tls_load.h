/* The files and keys of TLS (tls.md 2, 9, 11) into what connections use (server/secure.h): at start
 * and at each reload.
 */
#ifndef PRAETOR_AGENT_TLS_LOAD_H
#define PRAETOR_AGENT_TLS_LOAD_H

#include "agent/config.h"
#include "server/secure.h"

/* Reads all files. False with the peer's text, and nothing is changed. out->config is the caller's
 * to release; strings are the configuration's. */
bool tls_load(const struct config *c, struct secure_settings *out, struct error *e);

#endif
