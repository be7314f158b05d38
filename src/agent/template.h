/* Text with actions in double braces, in the language of the peer's text templates. Two kinds:
 * address values (config.md 1.8), over the addresses of this machine,
 *
 *     {{ GetPrivateInterfaces | include "network" "10.0.0.0/8" | sort "size" | attr "address" }}
 *
 * and texts over named fields (Envoy's bootstrap, connect.md 6.9): {"id": "{{ .ProxyID }}"}.
 * There are pipelines, parentheses, variables, if, with, range, define, template, block, comments
 * and trimming; not methods other than an address's fields.
 */
#ifndef PRAETOR_AGENT_TEMPLATE_H
#define PRAETOR_AGENT_TEMPLATE_H

#include "agent/machine.h"

/* The text with its actions replaced. An error begins with "unable to parse template " or "unable
 * to execute sockaddr input ". The work that a template may ask for is bounded. */
bool template_expand(struct str text, const struct machine *machine, struct str *out,
                     struct arena *arena, struct error *e);

/* What the dot of a template with named fields is. */
struct template_field {
    const char *name; /* as it stands behind the dot */
    bool is_bool, boolean;
    struct str text; /* unless is_bool */
};
struct template_record {
    const char *type; /* how errors call it: "*envoy.BootstrapTplArgs" */
    const struct template_field *fields;
    size_t count;
};
/* The text with its actions replaced. name: the template's. An error begins with "template: NAME:".
 * The same bounds hold. */
bool template_render(struct str text, const char *name, const struct template_record *record,
                     struct str *out, struct arena *arena, struct error *e);

#endif
