/* Where Amazon's credentials come from, in the order of its own tools, and the instance metadata
 * service. AWS_EC2_METADATA_SERVICE_ENDPOINT and AWS_EC2_METADATA_DISABLED are those of Amazon's
 * tools too. On a thread that may wait.
 */
#ifndef PRAETOR_NET_AWS_CREDENTIALS_H
#define PRAETOR_NET_AWS_CREDENTIALS_H

#include "base/error.h"
#include "codec/value.h"

/* How it asks: the user's limits are behind it. Answers live in the arena. */
#define AWS_FETCH_HEADERS 1
struct aws_fetch {
    const char *method;
    struct str url;
    struct str headers[AWS_FETCH_HEADERS]; /* "Name: value", or absent */
    struct str body;                       /* absent: none */
    int64_t time;                          /* ns, at most */
    long status;                           /* any is an answer */
    struct str answer;
};
struct aws_web {
    bool (*fetch)(struct aws_web *w, struct aws_fetch *f, struct error *e);
    struct arena *arena;
};

struct aws_credentials {
    struct str access_key, secret_key, session_token; /* the last may be absent */
};
/* From the environment, the shared file, the container's endpoint or the instance's role. False:
 * "NoCredentialProviders: ...". */
bool aws_credentials_find(struct aws_web *w, struct aws_credentials *out, struct error *e);
/* The profile's keys in the text of a shared credentials file; false when it has not both. */
bool aws_credentials_parse(struct str text, struct str profile, struct aws_credentials *out);

/* GET of a path of the metadata service ("/latest/..."), with a session token where the service
 * gives one (IMDSv2), without where it does not know them. */
bool aws_metadata_get(struct aws_web *w, const char *path, struct str *out, struct error *e);
/* The region in the instance's identity document. */
bool aws_metadata_region(struct aws_web *w, struct str *region, struct error *e);

#endif
