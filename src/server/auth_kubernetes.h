/* Methods of type kubernetes (acl.md 15.4): the cluster's API says whose service account token a
 * bearer token is (a TokenReview), and by what name the account goes (an annotation).
 */
#ifndef PRAETOR_SERVER_AUTH_KUBERNETES_H
#define PRAETOR_SERVER_AUTH_KUBERNETES_H

#include "server/auth_method.h"

/* Nobody is asked. Errors are those behind "Invalid Auth Method: ". */
bool auth_kubernetes_check(struct auth_work *w, struct error *e);
/* On a thread that may wait. The identity into w. */
bool auth_kubernetes_verify(struct auth_work *w, struct error *e);

#endif
