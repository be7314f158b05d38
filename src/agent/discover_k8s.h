/* Kubernetes for discover_k8s.c: what a kubeconfig file says, and what a list of pods does. Pure.
 */
#ifndef PRAETOR_AGENT_DISCOVER_K8S_H
#define PRAETOR_AGENT_DISCOVER_K8S_H

#include "agent/discover_http.h"

/* How to reach a cluster. *_data are decoded; files are as written. All may be absent. */
struct k8s_access {
    struct str server, namespace;
    struct str ca_file, ca_data, cert_file, cert_data, key_file, key_data;
    struct str token, token_file, user, password;
    bool skip_verify;
};
/* The current context of a kubeconfig (YAML or JSON). Users with exec or auth-provider are refused:
 * their programs are not run. */
bool k8s_config_parse(struct str text, struct k8s_access *out, struct arena *arena,
                      struct error *e);

/* Adds the addresses of the pods of one page that run and are ready; *next: the page behind it. */
bool k8s_pods_parse(const struct value *page, bool host_network, struct list *addresses,
                    struct str *next, struct arena *arena, struct error *e);

#endif
