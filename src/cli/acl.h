/* What the `acl` commands share (acl.md 17): their flags, IDs that may be cut short, links given by
 * name or ID, and printing an object or a list of them as text or JSON.
 */
#ifndef PRAETOR_CLI_ACL_H
#define PRAETOR_CLI_ACL_H

#include "cli/client.h"
#include "cli/commands.h"
#include "schema/client_view.h"

/* The values of all flags that any of them has. Texts that are empty were not given, but for those
 * where an empty one says something. */
struct acl_options {
    struct str id, format;
    struct flag_set_string name, description;
    bool meta, no_merge;

    struct flag_list policy_ids, policy_names, role_ids, role_names;
    struct flag_list service_identities, node_identities;

    /* tokens */
    struct str accessor, secret;
    bool self, local, upgrade_legacy;
    bool merge_policies, merge_roles, merge_service_identities, merge_node_identities;
    int64_t expires_ttl;
    /* policies */
    struct str from_token;
    struct flag_set_string rules;
    struct flag_list datacenters;
    bool token_secret, token_accessor;
    /* binding rules */
    struct str method, bind_name, bind_type;
    struct flag_set_string selector, new_bind_type;
    /* auth methods */
    struct str type, display_name, token_locality, config;
    struct str kubernetes_host, kubernetes_ca_cert, kubernetes_jwt;
    int64_t max_token_ttl;
};
extern const struct acl_options acl_defaults;

#define ACL_AT(member) offsetof(struct acl_options, member)
#define ACL_FLAGS(array) COMMAND_FLAGS(array, struct acl_options, &acl_defaults)
#define ACL_GROUPS (GROUP_CLIENT | GROUP_SERVER | GROUP_NAMESPACE)

/* Flags that several of them have. */
#define ACL_FLAG_FORMAT                                                                            \
    { "format", FLAG_STRING, ACL_AT(format), NULL, "How to print the result: pretty or json." }
#define ACL_FLAG_META                                                                              \
    {                                                                                              \
        "meta", FLAG_BOOL, ACL_AT(meta), NULL,                                                     \
            "Show the indexes too, and the hash of what has one. JSON always has them."            \
    }
extern const struct flag acl_list_flags[2]; /* both */
#define ACL_FLAG_ID(what)                                                                          \
    {                                                                                              \
        "id", FLAG_STRING, ACL_AT(id), NULL,                                                       \
            what " Its first characters are enough when no other ID begins with them."             \
    }
#define ACL_FLAG_NAME(what)                                                                        \
    { "name", FLAG_SET_STRING, ACL_AT(name), "string", what }
#define ACL_FLAG_DESCRIPTION                                                                       \
    { "description", FLAG_SET_STRING, ACL_AT(description), "string", "What it is for, in words." }
#define ACL_FLAG_NO_MERGE                                                                          \
    {                                                                                              \
        "no-merge", FLAG_BOOL, ACL_AT(no_merge), NULL,                                             \
            "Write only what the flags say, instead of changing what is there by them."            \
    }
#define ACL_FLAGS_LINKS                                                                            \
    {"policy-id", FLAG_LIST, ACL_AT(policy_ids), NULL,                                             \
     "ID, or how it begins, of a policy that it gets. May be given several times."},               \
        {"policy-name", FLAG_LIST, ACL_AT(policy_names), NULL,                                     \
         "Name of a policy that it gets. May be given several times."},                            \
        {"service-identity", FLAG_LIST, ACL_AT(service_identities), NULL,                          \
         "Service that it may act as, everywhere (NAME) or in some datacenters (NAME:DC1,DC2). "   \
         "May be given several times."},                                                           \
    {                                                                                              \
        "node-identity", FLAG_LIST, ACL_AT(node_identities), NULL,                                 \
            "Node that it may act as, NAME:DATACENTER. May be given several times."                \
    }

/* A command at work. */
struct acl {
    struct cli *cli;
    const struct acl_options *options;
    struct client *client;
    struct arena *arena; /* the command's */
    struct error e;      /* of the last function here that failed */
};
/* Opens the client and runs work; its exit code. */
int acl_run(struct cli *cli, const void *options, int (*work)(struct acl *a));
/* The same with another message for when there is no client. */
int acl_run_saying(struct cli *cli, const void *options, const char *failure,
                   int (*work)(struct acl *a));
/* Prints the text of a->e behind the message and ": "; CLI_FAILED. */
int acl_fail(struct acl *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The message, and the command's help behind it on standard error; CLI_FAILED. */
int acl_missing(struct cli *cli, const char *message);

/* ---- requests ---- */

struct acl_view;

/* Tokens, policies and so on, as requests and messages call them. */
struct acl_kind {
    const char *what;                  /* "binding rule" */
    const char *noun;                  /* "rule": where IDs are looked for; NULL: it has none */
    const char *list_path;             /* "/v1/acl/policies" */
    const char *item_path;             /* "/v1/acl/policy" */
    const char *id_key;                /* "ID" */
    const char *known_name, *known_id; /* the one stands for the other; or NULL */
};
extern const struct acl_kind acl_tokens, acl_policies, acl_roles, acl_binding_rules,
    acl_auth_methods;

/* The whole ID. 36 characters are taken as they are. "No such token ID with prefix: zz", "Partial
 * token ID is not unique". */
bool acl_find_id(struct acl *a, const struct acl_kind *kind, struct str given, struct str *id);
/* By the flags -id or -name, of which one was given. "Error determining policy ID: No such policy
 * with name nope" was printed when false. */
bool acl_find(struct acl *a, const struct acl_kind *kind, struct str *id);
/* The path of one of that kind; its ID may have more of the path behind it. */
struct str acl_path(struct acl *a, const struct acl_kind *kind, struct str id);
bool acl_get(struct acl *a, struct str path, struct value *out);
/* GET of one that may not be there. False: "Role not found with ID …" (or name, as `by` says) or
 * the failure was printed. */
bool acl_get_current(struct acl *a, const struct acl_kind *kind, struct str path, const char *by,
                     struct str given, const char *failure, struct value *out);
/* PUT of v in that shape. The answer is not looked at when out is NULL. */
bool acl_put(struct acl *a, struct str path, const struct value *v, const struct shape_field *shape,
             struct value *out);

/* A whole command's last step: the request, and printing what came of it or what failed. Exit
 * codes. */
int acl_create(struct acl *a, const struct acl_kind *kind, const struct acl_view *view,
               const struct value *v);
int acl_update(struct acl *a, const struct acl_kind *kind, const struct acl_view *view,
               struct str id, const struct value *v);
int acl_delete(struct acl *a, const struct acl_kind *kind, struct str id);
int acl_delete_found(struct acl *a, const struct acl_kind *kind); /* acl_find's */
/* With -method only those of that auth method. */
int acl_list(struct acl *a, const struct acl_kind *kind, const struct acl_view *view);

/* Puts a text of the flags in a field. */
void acl_set(struct acl *a, struct value *object, const char *key, struct str text);
/* The same unless it is empty. */
void acl_set_some(struct acl *a, struct value *object, const char *key, struct str text);

/* ---- links ---- */

/* Checks the identities that the flags name. "Malformed -service-identity argument: …" was printed
 * when false. */
bool acl_identities_check(struct cli *cli, const struct acl_options *options);
bool acl_has_links(const struct acl_options *options); /* policies or identities */
/* Adds what the flags name to "Policies" ("Roles") of the object, leaving out what is there. False:
 * the failure was printed. */
bool acl_link_policies(struct acl *a, struct value *object);
bool acl_link_roles(struct acl *a, struct value *object);
/* The same for identities, which were checked; a service's replace those of the same name. */
void acl_link_services(struct acl *a, struct value *object);
void acl_link_nodes(struct acl *a, struct value *object);

/* ---- printing ---- */

/* Text under way. */
struct acl_text {
    struct buf out;
    const char *indent; /* before each line */
    int width;          /* of labels */
    bool listed;        /* one of several */
    bool meta;
    struct arena *arena;
};
struct acl_view {
    const struct shape_field *shape;
    const char *title; /* of lists: the field that stands above each; NULL: an empty line between */
    int width;         /* of labels */
    void (*show)(struct acl_text *t, const struct value *v);
};
void acl_show_line(struct acl_text *t, const char *label, struct str value);
/* The line when there is something to show. */
void acl_show_some(struct acl_text *t, const char *label, struct str value);
/* The indexes, when asked for; the hash before them, of what has one. */
void acl_show_meta(struct acl_text *t, const struct value *v);
void acl_show_hashed_meta(struct acl_text *t, const struct value *v);
void acl_show_links(struct acl_text *t, const struct value *v);
void acl_show_datacenters(struct acl_text *t, const struct value *v);

/* Prints an object in the format asked for; the exit code. */
int acl_print(struct acl *a, const struct acl_view *view, const struct value *v);
int acl_print_list(struct acl *a, const struct acl_view *view, const struct value *list);

/* ---- rules of old tokens ---- */

/* The rules of the legacy token, in the current syntax. A secret or an accessor's ID (which may be
 * cut short). */
bool acl_legacy_rules(struct acl *a, struct str token, bool is_secret, struct str *rules);

#endif
