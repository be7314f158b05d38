/* Keys and certificates as `consul tls` makes them (tls.md 15): EC P-256, X.509 v3, the extensions
 * in the peer's order. No file is touched here and nothing is shown.
 */
#ifndef PRAETOR_CLI_CERTIFICATE_H
#define PRAETOR_CLI_CERTIFICATE_H

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

struct certificate_names {
    const struct str *items; /* as they are written */
    size_t len;
};

struct certificate_pair {
    struct str certificate, key; /* PEM, in the arena */
};

/* An authority that signs for itself. `permitted` (empty: everything) are the domains that it may
 * sign for. Errors begin with "error generating CA certificate: ". */
bool certificate_make_authority(int64_t days, struct certificate_names permitted,
                                struct certificate_pair *out, struct arena *arena, struct error *e);

enum certificate_use {
    CERTIFICATE_ANY, /* no use is named */
    CERTIFICATE_SERVER,
    CERTIFICATE_CLIENT,
};

struct certificate_wish {
    struct str name; /* of the subject; must be among the names too */
    struct certificate_names names, addresses;
    enum certificate_use use;
    int64_t days;
};

/* Signed by the authority (PEM texts of the files), and then judged as others will: a certificate
 * that nobody would believe is not made. Errors are the peer's: "no PEM-encoded data found",
 * "x509: certificate signed by unknown authority (…)", … */
bool certificate_make(struct str authority, struct str authority_key,
                      const struct certificate_wish *wish, struct certificate_pair *out,
                      struct arena *arena, struct error *e);

#endif
