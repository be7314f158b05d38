/* What the files of `acl token` share, and `acl bootstrap`, whose result is a token. */
#ifndef PRAETOR_CLI_ACL_TOKEN_H
#define PRAETOR_CLI_ACL_TOKEN_H

#include "cli/acl.h"

extern const struct acl_view acl_token_view;

#define ACL_TOKEN_FLAG_ID                                                                          \
    ACL_FLAG_ID("ID of the token's accessor, or \"anonymous\" for what requests without a token "  \
                "use.")

#endif
