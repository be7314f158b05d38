/* What the endpoints of access control share (acl.md 4, 10, 14.4): where their calls go, new IDs,
 * names, and the links and identities of tokens and roles. For server/endpoint_acl_*.c.
 */
#ifndef PRAETOR_SERVER_ENDPOINT_ACL_H
#define PRAETOR_SERVER_ENDPOINT_ACL_H

#include "schema/requests_acl.h"
#include "server/endpoint.h"
#include "server/permit.h"
#include "store/acl.h"

#define ACL_DISABLED "ACL support disabled"
#define ACL_HIDDEN "<hidden>"

/* ---- where calls go (14.4) ---- */

bool acl_is_primary(const struct server *s);
/* Whether this datacenter has tokens of its own: the primary, and those that replicate tokens. */
bool acl_has_local_tokens(const struct server *s);

/* For endpoint.place. All refuse where access control is off or the old system is in force. */
bool acl_place(const struct call *c, struct str *datacenter, struct error *e);
/* And send the call to the primary datacenter: always; where there are no tokens. */
bool acl_place_primary(const struct call *c, struct str *datacenter, struct error *e);
bool acl_place_tokens(const struct call *c, struct str *datacenter, struct error *e);
/* And refuse where there are no tokens. */
bool acl_place_methods(const struct call *c, struct str *datacenter, struct error *e);
/* prepare: a token that is not local is the primary's (context.elsewhere). False: it belongs here.
 */
bool acl_goes_to_primary(struct call_context *c, const struct acl_token *token);

/* ---- IDs and names ---- */

/* Among those that are the peer's own: 00000000-0000-0000-0000-0000000000… */
bool acl_id_reserved(struct str id);
/* A random one that is not reserved and of which `taken` does not know. In the arena. */
struct str acl_new_id(struct call_context *c, bool (*taken)(struct store_read *r, struct str id));
/* Letters, digits, "-" and "_", at most `most` of them. */
bool acl_name_valid(struct str name, size_t most);
#define ACL_POLICY_NAME_MAX 128
#define ACL_ROLE_NAME_MAX 256
#define ACL_METHOD_NAME_MAX 128
#define ACL_NAME_RULE "Only alphanumeric characters, '-' and '_' are allowed"

/* ---- links and identities ---- */

enum acl_link_kind { ACL_LINKS_POLICIES, ACL_LINKS_ROLES };

/* Links as they are stored: by ID, each once, in their order; nil when there are none. A link
 * without ID is looked up by its name. check_ids: those with an ID must lead somewhere. */
bool acl_links_resolve(struct call_context *c, enum acl_link_kind kind, const struct list *links,
                       bool check_ids, struct list *out, struct error *e);
/* Identities as they are stored, sorted, without repeats. owner: "token", "role". local: of a local
 * token. */
bool acl_service_identities(struct call_context *c, const struct list *in, const char *owner,
                            bool local, struct list *out, struct error *e);
bool acl_node_identities(struct call_context *c, const struct list *in, const char *owner,
                         struct list *out, struct error *e);

/* A batch of one, as entries want it: the list of a pointer, of a string. */
struct list acl_one(struct arena *arena, void *object);
struct list acl_one_name(struct arena *arena, struct str name);

/* admit of deletions: what is not there needs no entry. The reply is the name of what is deleted,
 * or whether there is something. */
bool acl_admit_named(struct call_context *c, const void *request, void *reply, struct error *e);
bool acl_admit_found(struct call_context *c, const void *request, void *reply, struct error *e);
/* inquire_end where c->following is an auth_work or NULL. */
void acl_inquire_end(struct call *c);

/* ---- tokens ---- */

/* A copy for who may not see the secret. */
struct acl_token *acl_token_redacted(struct arena *arena, const struct acl_token *token);
bool acl_token_id_taken(struct store_read *r, struct str id);
/* finish of entries that set a token: reply, a token of that accessor, becomes what is stored. */
bool acl_token_finish(struct call_context *c, const void *request,
                      const struct store_result *result, void *reply, struct error *e);
/* The entry that sets the token (type 17). */
void acl_token_entry(struct call_context *c, struct acl_token *token, bool from_login,
                     struct buf *entry);

#endif
