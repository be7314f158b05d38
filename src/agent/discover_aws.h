/* Amazon's credentials and its instance metadata service, for discover_aws.c. */
#ifndef PRAETOR_AGENT_DISCOVER_AWS_H
#define PRAETOR_AGENT_DISCOVER_AWS_H

#include "agent/discover_http.h"

struct aws_credentials {
    struct str access_key, secret_key, session_token; /* the last may be absent */
};
/* From the entry; else from the environment, the shared file, the container's endpoint or the
 * instance's role. False: "NoCredentialProviders: ...". */
bool aws_credentials_find(struct discover_web *w, const struct discover_keys *keys,
                          struct aws_credentials *out, struct error *e);
/* The profile's keys in the text of a shared credentials file; false when it has not both. */
bool aws_credentials_parse(struct str text, struct str profile, struct aws_credentials *out);

/* GET of a path of the metadata service ("/latest/..."), with a session token where the service
 * gives one (IMDSv2), without where it does not know them. */
bool aws_metadata_get(struct discover_web *w, const char *path, struct str *out, struct error *e);
/* The region in the instance's identity document. */
bool aws_metadata_region(struct discover_web *w, struct str *region, struct error *e);

/* The addresses of an answer of DescribeInstances; *next: the token of its next page, or absent.
 * type: private_v4, public_v4, public_v6. */
bool aws_instances_parse(struct str xml, struct str type, struct list *addresses, struct str *next,
                         struct arena *arena, struct error *e);

#endif
