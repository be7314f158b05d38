/* What is said to Amazon's private certificate authority (ACM PCA) and what it says (connect.md
 * 3.12): bodies of requests, and what its answers mean, with the peer's words for what is wrong.
 * Pure.
 */
#ifndef PRAETOR_SERVER_CA_PCA_H
#define PRAETOR_SERVER_CA_PCA_H

#include "base/error.h"
#include "codec/value.h"

/* ---- requests, as JSON ---- */

struct pca_wish {
    bool is_root;
    struct str common_name; /* with what is random behind its first "-" */
    struct str key_type;    /* "ec", "rsa" */
    int64_t key_bits;
    struct str cluster_id, datacenter;
};
struct str pca_create_body(const struct pca_wish *w, struct arena *arena);
/* Of requests that name an authority only. */
struct str pca_arn_body(struct str arn, struct arena *arena);
/* template: "EndEntityCertificate"; days: how long it is good. */
struct str pca_issue_body(struct str arn, struct str csr, const char *template, int64_t days,
                          struct str algorithm, struct arena *arena);
struct str pca_get_body(struct str arn, struct str certificate_arn, struct arena *arena);
/* chain "": it is a root. */
struct str pca_import_body(struct str arn, struct str certificate, struct str chain,
                           struct arena *arena);
struct str pca_disable_body(struct str arn, struct arena *arena);
struct str pca_delete_body(struct str arn, struct arena *arena);

/* How a key of this type signs: "SHA256WITHECDSA". */
struct str pca_algorithm(struct str key_type);
/* Whole days of a lifetime in ns, one at least. */
int64_t pca_days(int64_t ttl);

/* ---- answers ---- */

/* Of an answer that is no good. */
struct pca_fault {
    struct str kind;    /* "ResourceNotFoundException"; "" when it does not say */
    bool passes, slows; /* it may be different in a moment; it wants fewer requests */
};
/* "ResourceNotFoundException: Could not find …"; what is not of this service also tells the status.
 */
void pca_fault_read(long status, struct str body, struct pca_fault *out, struct arena *arena,
                    struct error *e);
/* A text in a good answer; absent: there is none. */
struct str pca_text(const struct value *answer, const char *key);
/* Of DescribeCertificateAuthority: "ACTIVE", …, and how it signs. */
struct str pca_status(const struct value *answer);
struct str pca_signs_with(const struct value *answer);

#endif
