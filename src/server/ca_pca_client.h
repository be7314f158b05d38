/* Requests to Amazon's private certificate authority (connect.md 3.12), which the calling thread
 * waits for: signed, within limits of time and size, again when what is wrong may pass, and called
 * off when the authority's works are. Region, credentials and whom to trust are those of Amazon's
 * tools: AWS_REGION, AWS_DEFAULT_REGION, AWS_CA_BUNDLE, net/aws_credentials.h. No error has a key
 * in it.
 */
#ifndef PRAETOR_SERVER_CA_PCA_CLIENT_H
#define PRAETOR_SERVER_CA_PCA_CLIENT_H

#include <stdatomic.h>

#include "net/aws_credentials.h"
#include "server/ca_pca.h"

#define PCA_TIME (30 * SECOND)           /* of one request */
#define PCA_ANSWER_MAX ((size_t)4 << 20) /* bytes */

struct pca_client {
    struct aws_web web;
    const atomic_bool *stop;
    struct arena *arena; /* for answers */
    struct str region, url, ca_file;
    struct aws_credentials credentials;
};
/* False: "MissingRegion: could not find region configuration", "NoCredentialProviders: …". Nothing
 * is to be closed. */
bool pca_open(struct pca_client *c, const atomic_bool *stop, struct arena *arena, struct error *e);
/* action: "IssueCertificate". False: *fault says what kind of refusal it was ("" : none). */
bool pca_ask(struct pca_client *c, const char *action, struct str body, struct value *answer,
             struct pca_fault *fault, struct error *e);
/* Waits, unless all is called off. */
bool pca_pause(struct pca_client *c, int64_t time, struct error *e);

#endif
