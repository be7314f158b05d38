/* What discover_aws.c reads of EC2's answers. */
#ifndef PRAETOR_AGENT_DISCOVER_AWS_H
#define PRAETOR_AGENT_DISCOVER_AWS_H

#include "base/error.h"
#include "schema/schema.h"

/* The addresses of an answer of DescribeInstances; *next: the token of its next page, or absent.
 * type: private_v4, public_v4, public_v6. */
bool aws_instances_parse(struct str xml, struct str type, struct list *addresses, struct str *next,
                         struct arena *arena, struct error *e);

#endif
