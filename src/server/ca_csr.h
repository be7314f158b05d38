/* Requests for certificates (connect.md 3.2, tls.md 13): written, and read from whoever sends them.
 */
#ifndef PRAETOR_SERVER_CA_CSR_H
#define PRAETOR_SERVER_CA_CSR_H

#include "schema/schema.h"
#include "server/ca_key.h"

#define CA_CSR_MAX ((size_t)64 << 10) /* bytes of a request; the peer has no limit */

/* Whom a certificate is for: subject alternative names, in the order in which they are written. */
struct ca_names {
    struct list dns; /* of str */
    struct list ips; /* of str: 4 or 16 bytes each */
    struct list uris;
};

/* A CSR in PEM, signed with its key. ca: for a certificate that signs others. */
struct str ca_csr_new(EVP_PKEY *key, struct str common_name, const struct ca_names *names, bool ca,
                      struct arena *arena);

struct ca_csr {
    EVP_PKEY *key; /* ca_csr_free */
    struct str common_name;
    struct ca_names names; /* other kinds of names are dropped */
    struct str pem;        /* what was read, and nothing else of the text */
};
/* "no PEM-encoded data found", "first PEM-block should be CERTIFICATE REQUEST type", or what is
 * wrong with it; its signature must be its key's (the peer does not look). Strings in the arena. */
bool ca_csr_read(struct str pem, struct ca_csr *out, struct arena *arena, struct error *e);
void ca_csr_free(struct ca_csr *csr);

/* The text "127.0.0.1" or "::1" as bytes, in the arena; absent: it is neither. */
struct str ca_ip_bytes(struct str text, struct arena *arena);
/* The names as the DER content of a SubjectAltName extension; and back (false: it is not that). */
void ca_names_encode(struct buf *out, const struct ca_names *names);
bool ca_names_decode(struct str der, struct ca_names *out, struct arena *arena);

#endif
