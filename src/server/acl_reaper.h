/* A leader deletes tokens that are past their time (acl.md 7.5): local ones everywhere, global ones
 * in the primary. They were dead before; this only clears them away. On the core.
 */
#ifndef PRAETOR_SERVER_ACL_REAPER_H
#define PRAETOR_SERVER_ACL_REAPER_H

struct server;
struct acl_reaper;
struct acl_reaper *acl_reaper_new(struct server *s);
void acl_reaper_start(struct acl_reaper *r);
void acl_reaper_stop(struct acl_reaper *r);
void acl_reaper_close(struct acl_reaper *r); /* its timer */
void acl_reaper_free(struct acl_reaper *r);

#endif
