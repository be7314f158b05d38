/* Certificates of the built-in authority (connect.md 3.2): roots, intermediates, leaves and
 * cross-signed roots, as the peer makes them; and what is to be known of one that is there.
 */
#ifndef PRAETOR_SERVER_CA_CERTIFICATE_H
#define PRAETOR_SERVER_CA_CERTIFICATE_H

#include "schema/connect.h"
#include "server/ca_csr.h"

enum ca_certificate_kind { CA_ROOT, CA_INTERMEDIATE, CA_LEAF };

struct ca_certificate_request {
    enum ca_certificate_kind kind;
    uint64_t serial;
    struct str common_name;
    struct ca_names names;
    EVP_PKEY *key;     /* whose it will be; of a root: with its private part */
    struct str issuer; /* PEM of who signs; a root: absent, it signs itself */
    EVP_PKEY *signer;  /* the issuer's private key; a root: NULL */
    int64_t now;       /* wall clock, ns */
    int64_t ttl;       /* ns, from a minute before now; a root: ten years from now */
};
/* PEM with a final newline; absent with an error. */
struct str ca_certificate_new(const struct ca_certificate_request *r, struct arena *arena,
                              struct error *e);
/* The root as it is, signed by another for a week. */
struct str ca_certificate_cross_sign(struct str root, struct str issuer, EVP_PKEY *signer,
                                     uint64_t serial, int64_t now, struct arena *arena,
                                     struct error *e);

/* Of the first certificate of a PEM text. */
struct ca_certificate_info {
    struct str fingerprint;      /* SHA-1 in hex: the ID of a root */
    struct str serial;           /* in hex */
    uint64_t serial_number;      /* its low 64 bits */
    struct str subject_key_id;   /* in hex; "" when it has none */
    struct str authority_key_id; /* the same */
    struct timestamp not_before, not_after;
    struct str key_type; /* "ec", "rsa" */
    int64_t key_bits;
    struct ca_names names;
};
bool ca_certificate_read(struct str pem, struct ca_certificate_info *out, struct arena *arena,
                         struct error *e);
/* Whether an intermediate is an authority's, and signed by the root. */
bool ca_certificate_is_signed(struct str intermediate, struct str root, struct error *e);

#endif
