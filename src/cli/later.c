/* Commands whose part of the agent is not built yet: they have their names and places, say so, and
 * exit with 1. A command leaves this file when it is built.
 */
#include "cli/commands.h"

static int run(struct cli *cli, const void *options) {
    (void)options;
    return cli_fail(cli, "The command \"%s\" is not part of this build of Praetor yet.",
                    cli->command->name);
}

#define ABOUT "  Not part of this build of Praetor yet.\n"

const struct command command_acl = {
    .name = "acl",
    .synopsis = "ACL policies, roles, tokens and auth methods",
    .usage = "acl <subcommand> [options] [args]",
};
const struct command command_acl_auth_method = {
    .name = "acl auth-method",
    .synopsis = "Auth methods: who else may vouch for a token",
    .usage = "acl auth-method <subcommand> [options] [args]",
};
const struct command command_acl_binding_rule = {
    .name = "acl binding-rule",
    .synopsis = "Binding rules: what a login grants",
    .usage = "acl binding-rule <subcommand> [options] [args]",
};
const struct command command_acl_policy = {
    .name = "acl policy",
    .synopsis = "ACL policies",
    .usage = "acl policy <subcommand> [options] [args]",
};
const struct command command_acl_role = {
    .name = "acl role",
    .synopsis = "ACL roles",
    .usage = "acl role <subcommand> [options] [args]",
};
const struct command command_acl_token = {
    .name = "acl token",
    .synopsis = "ACL tokens",
    .usage = "acl token <subcommand> [options] [args]",
};
const struct command command_tls = {
    .name = "tls",
    .synopsis = "Certificates for agents",
    .usage = "tls <subcommand> <subcommand> [options]",
};
const struct command command_tls_ca = {
    .name = "tls ca",
    .synopsis = "The authority for agents' certificates",
    .usage = "tls ca <subcommand> [options] filename-prefix",
};
const struct command command_tls_cert = {
    .name = "tls cert",
    .synopsis = "Certificates for agents",
    .usage = "tls cert <subcommand> [options] [filename-prefix]",
};

const struct command command_acl_auth_method_create = {
    .name = "acl auth-method create",
    .synopsis = "Creates an auth method",
    .usage = "acl auth-method create -name NAME -type TYPE [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_auth_method_delete = {
    .name = "acl auth-method delete",
    .synopsis = "Deletes an auth method",
    .usage = "acl auth-method delete -name NAME [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_auth_method_list = {
    .name = "acl auth-method list",
    .synopsis = "Lists auth methods",
    .usage = "acl auth-method list [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_auth_method_read = {
    .name = "acl auth-method read",
    .synopsis = "Shows an auth method",
    .usage = "acl auth-method read -name NAME [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_auth_method_update = {
    .name = "acl auth-method update",
    .synopsis = "Changes an auth method",
    .usage = "acl auth-method update -name NAME [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_binding_rule_create = {
    .name = "acl binding-rule create",
    .synopsis = "Creates a binding rule",
    .usage = "acl binding-rule create [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_binding_rule_delete = {
    .name = "acl binding-rule delete",
    .synopsis = "Deletes a binding rule",
    .usage = "acl binding-rule delete -id ID [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_binding_rule_list = {
    .name = "acl binding-rule list",
    .synopsis = "Lists binding rules",
    .usage = "acl binding-rule list [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_binding_rule_read = {
    .name = "acl binding-rule read",
    .synopsis = "Shows a binding rule",
    .usage = "acl binding-rule read -id ID [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_binding_rule_update = {
    .name = "acl binding-rule update",
    .synopsis = "Changes a binding rule",
    .usage = "acl binding-rule update -id ID [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_bootstrap = {
    .name = "acl bootstrap",
    .synopsis = "Makes the first token",
    .usage = "acl bootstrap [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_policy_create = {
    .name = "acl policy create",
    .synopsis = "Creates a policy",
    .usage = "acl policy create -name NAME [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_policy_delete = {
    .name = "acl policy delete",
    .synopsis = "Deletes a policy",
    .usage = "acl policy delete [options] -id POLICY",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_policy_list = {
    .name = "acl policy list",
    .synopsis = "Lists policies",
    .usage = "acl policy list [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_policy_read = {
    .name = "acl policy read",
    .synopsis = "Shows a policy",
    .usage = "acl policy read [options] POLICY",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_policy_update = {
    .name = "acl policy update",
    .synopsis = "Changes a policy",
    .usage = "acl policy update [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_role_create = {
    .name = "acl role create",
    .synopsis = "Creates a role",
    .usage = "acl role create -name NAME [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_role_delete = {
    .name = "acl role delete",
    .synopsis = "Deletes a role",
    .usage = "acl role delete [options] -id ROLE",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_role_list = {
    .name = "acl role list",
    .synopsis = "Lists roles",
    .usage = "acl role list [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_role_read = {
    .name = "acl role read",
    .synopsis = "Shows a role",
    .usage = "acl role read [options] ROLE",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_role_update = {
    .name = "acl role update",
    .synopsis = "Changes a role",
    .usage = "acl role update [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_set_agent_token = {
    .name = "acl set-agent-token",
    .synopsis = "Gives the agent a token",
    .usage = "acl set-agent-token [options] TYPE TOKEN",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_token_clone = {
    .name = "acl token clone",
    .synopsis = "Copies a token",
    .usage = "acl token clone [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_token_create = {
    .name = "acl token create",
    .synopsis = "Creates a token",
    .usage = "acl token create [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_token_delete = {
    .name = "acl token delete",
    .synopsis = "Deletes a token",
    .usage = "acl token delete [options] -id TOKEN",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_token_list = {
    .name = "acl token list",
    .synopsis = "Lists tokens",
    .usage = "acl token list [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_token_read = {
    .name = "acl token read",
    .synopsis = "Shows a token",
    .usage = "acl token read [options] -id TOKENID",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_token_update = {
    .name = "acl token update",
    .synopsis = "Changes a token",
    .usage = "acl token update [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_acl_translate_rules = {
    .name = "acl translate-rules",
    .synopsis = "Translates rules of the old syntax",
    .usage = "acl translate-rules [options] TRANSLATE",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_config_read = {
    .name = "config read",
    .synopsis = "Shows a configuration entry",
    .usage = "config read [options] -kind <config kind> -name <config name>",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_config_write = {
    .name = "config write",
    .synopsis = "Writes a configuration entry",
    .usage = "config write [options] <configuration>",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_connect_envoy = {
    .name = "connect envoy",
    .synopsis = "Runs or configures Envoy as a proxy",
    .usage = "connect envoy [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_connect_expose = {
    .name = "connect expose",
    .synopsis = "Opens a service to the outside at an ingress gateway",
    .usage = "connect expose [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_connect_proxy = {
    .name = "connect proxy",
    .synopsis = "Runs the built-in proxy",
    .usage = "connect proxy [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_tls_ca_create = {
    .name = "tls ca create",
    .synopsis = "Makes an authority",
    .usage = "tls ca create [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
const struct command command_tls_cert_create = {
    .name = "tls cert create",
    .synopsis = "Makes a certificate",
    .usage = "tls cert create [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};
