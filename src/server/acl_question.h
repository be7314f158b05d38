/* "May this token do that?", asked in words (acl.md 10.6): by other servers (ACL.Authorize), and
 * over HTTP.
 */
#ifndef PRAETOR_SERVER_ACL_QUESTION_H
#define PRAETOR_SERVER_ACL_QUESTION_H

#include "acl/authorizer.h"
#include "schema/requests_acl.h"

/* Answers the list of struct acl_authorization_request: a list of struct
 * acl_authorization_response. Errors (ERROR_BAD_REQUEST): `Invalid ACL resource requested: "x"`,
 * "Invalid access level for key resource: x". */
bool acl_questions_answer(const struct authorizer *may, const struct list *requests,
                          struct arena *arena, struct list *out, struct error *e);

#endif
