/* provider=k8s (agent.md 8.6): the pods of a namespace that fit label and field selectors, asked
 * from the cluster that a kubeconfig file names, or from the one that we run in.
 */
#include "agent/discover_k8s.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/discover_yaml.h"
#include "base/mem.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "net/files.h"

#define ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount/"
#define PORT_ANNOTATION "hashicorp/consul-auto-join-port"

/* ---- kubeconfig ---- */

/* The item with that name in a list of {name, <kind>: {...}}. */
static const struct value *named(const struct value *v, const char *list, struct str name,
                                 const char *kind) {
    const struct value *all = value_get(v, list);
    for (size_t i = 0; i < discover_count(v, list); i++)
        if (str_eq(discover_text(&all->list.items[i], "name"), name))
            return value_get(&all->list.items[i], kind);
    return NULL;
}

static bool decode(const struct value *v, const char *key, struct str *out, struct arena *arena,
                   struct error *e) {
    struct str text = discover_text(v, key);
    *out = STR_NONE;
    return text.len == 0 || base64_decode(text, out, arena, e) || error_prefix(e, "%s: ", key);
}

static bool take_cluster(const struct value *cluster, struct k8s_access *out, struct arena *arena,
                         struct error *e) {
    const struct value *insecure = value_get(cluster, "insecure-skip-tls-verify");
    out->server = discover_text(cluster, "server");
    out->ca_file = discover_text(cluster, "certificate-authority");
    out->skip_verify = insecure != NULL && insecure->kind == VALUE_BOOL && insecure->boolean;
    return decode(cluster, "certificate-authority-data", &out->ca_data, arena, e);
}

static bool take_user(const struct value *user, struct k8s_access *out, struct arena *arena,
                      struct error *e) {
    if (value_get(user, "exec") != NULL || value_get(user, "auth-provider") != NULL)
        return error_set(e, ERROR_BAD_REQUEST,
                         "exec and auth-provider users are not supported: use a token or a "
                         "client certificate");
    out->token = discover_text(user, "token");
    out->token_file = discover_text(user, "tokenFile");
    out->user = discover_text(user, "username");
    out->password = discover_text(user, "password");
    out->cert_file = discover_text(user, "client-certificate");
    out->key_file = discover_text(user, "client-key");
    return decode(user, "client-certificate-data", &out->cert_data, arena, e) &&
           decode(user, "client-key-data", &out->key_data, arena, e);
}

bool k8s_config_parse(struct str text, struct k8s_access *out, struct arena *arena,
                      struct error *e) {
    struct value v;
    *out = (struct k8s_access){0};
    bool json = str_has_prefix(str_trim(text), STR("{"));
    if (json ? !json_parse_whole(text, &v, arena, e) : !yaml_parse(text, &v, arena, e))
        return false;
    struct str current = discover_text(&v, "current-context");
    const struct value *context = named(&v, "contexts", current, "context");
    if (context == NULL)
        return error_set(e, ERROR_BAD_REQUEST, "context " STR_FMT " does not exist",
                         STR_ARG(str_quote(arena, current)));
    struct str name = discover_text(context, "cluster");
    const struct value *cluster = named(&v, "clusters", name, "cluster");
    const struct value *user = named(&v, "users", discover_text(context, "user"), "user");
    if (cluster == NULL || discover_text(cluster, "server").len == 0)
        return error_set(e, ERROR_BAD_REQUEST, "cluster " STR_FMT " does not exist",
                         STR_ARG(str_quote(arena, name)));
    out->namespace = discover_text(context, "namespace");
    return take_cluster(cluster, out, arena, e) &&
           (user == NULL || user->kind != VALUE_MAP || take_user(user, out, arena, e));
}

/* ---- pods ---- */

static bool is_ready(const struct value *pod) {
    const struct value *all = discover_path(pod, "status.conditions");
    for (size_t i = 0; i < discover_count(pod, "status.conditions"); i++)
        if (str_is(discover_text(&all->list.items[i], "type"), "Ready"))
            return str_is(discover_text(&all->list.items[i], "status"), "True");
    return false;
}

static struct str number_text(const struct value *v, struct arena *arena) {
    return v == NULL || v->kind != VALUE_FLOAT || v->number < 1 || v->number > 65535
               ? STR_NONE
               : str_format(arena, "%.0f", v->number);
}

/* The number behind a port's name; with the host's network, the host's port. */
static struct str named_port(const struct value *pod, struct str name, bool host,
                             struct arena *arena) {
    const struct value *containers = discover_path(pod, "spec.containers");
    for (size_t c = 0; c < discover_count(pod, "spec.containers"); c++) {
        const struct value *ports = value_get(&containers->list.items[c], "ports");
        for (size_t p = 0; p < discover_count(&containers->list.items[c], "ports"); p++) {
            const struct value *port = &ports->list.items[p];
            if (str_eq(discover_text(port, "name"), name))
                return number_text(value_get(port, host ? "hostPort" : "containerPort"), arena);
        }
    }
    return STR_NONE;
}

/* Annotations' names hold dots: no path. */
static struct str port_of(const struct value *pod, bool host, struct arena *arena) {
    const struct value *annotations = discover_path(pod, "metadata.annotations");
    struct str text = discover_text(annotations, PORT_ANNOTATION);
    uint64_t number;
    if (text.len == 0)
        return STR_NONE;
    if (str_to_u64(text, &number))
        return number > 0 && number <= 65535 ? text : STR_NONE;
    return named_port(pod, text, host, arena);
}

static bool add_pod(const struct value *pod, bool host_network, struct list *addresses,
                    struct arena *arena, struct error *e) {
    if (!str_is(discover_text(pod, "status.phase"), "Running") || !is_ready(pod))
        return true;
    struct str ip = discover_text(pod, host_network ? "status.hostIP" : "status.podIP");
    struct str port = port_of(pod, host_network, arena);
    bool v6 = str_find_char(ip, ':') >= 0;
    if (ip.len > 0 && port.len > 0)
        ip = str_format(arena, "%s" STR_FMT "%s:" STR_FMT, v6 ? "[" : "", STR_ARG(ip),
                        v6 ? "]" : "", STR_ARG(port));
    return discover_add(addresses, ip, arena, e);
}

bool k8s_pods_parse(const struct value *page, bool host_network, struct list *addresses,
                    struct str *next, struct arena *arena, struct error *e) {
    const struct value *items = value_get(page, "items");
    for (size_t i = 0; i < discover_count(page, "items"); i++)
        if (!add_pod(&items->list.items[i], host_network, addresses, arena, e))
            return false;
    *next = discover_text(page, "metadata.continue");
    return true;
}

/* ---- the cluster ---- */

/* A name under which libcurl can read bytes that must not be on disk; *fd is to be closed. */
static struct str memory_file(struct str bytes, int *fd, struct arena *arena, struct error *e) {
    *fd = memfd_create("praetor-k8s", MFD_CLOEXEC);
    if (*fd < 0 || write(*fd, bytes.data, bytes.len) != (ssize_t)bytes.len) {
        error_set(e, ERROR_IO, "no memory for certificates");
        return STR_NONE;
    }
    return str_format(arena, "/proc/self/fd/%d", *fd);
}

#define FILES_MAX 3

struct session {
    struct discover_web web;
    struct k8s_access access;
    int files[FILES_MAX];
    struct str authorization;
};

/* Content before file, as its own tools take it; a file's name is relative to the kubeconfig's. */
static bool use_file(struct session *s, size_t n, struct str data, struct str file,
                     struct str folder, struct str *out, struct error *e) {
    if (data.len > 0)
        *out = memory_file(data, &s->files[n], s->web.arena, e);
    else if (file.len > 0 && file.data[0] != '/' && folder.len > 0)
        *out = str_format(s->web.arena, STR_FMT "/" STR_FMT, STR_ARG(folder), STR_ARG(file));
    else if (file.len > 0)
        *out = file;
    return !error_is_set(e);
}

static bool use_credentials(struct session *s, struct error *e) {
    struct arena *arena = s->web.arena;
    struct k8s_access *a = &s->access;
    if (a->token.len == 0 && a->token_file.len > 0) {
        if (!file_text(a->token_file, &a->token, arena, e))
            return false;
        a->token = str_trim(a->token);
    }
    if (a->token.len > 0) {
        s->authorization = str_format(arena, "Authorization: Bearer " STR_FMT, STR_ARG(a->token));
    } else if (a->user.len > 0) {
        struct buf text = BUF_INIT;
        buf_add_text(&text, "Authorization: Basic ");
        base64_encode(
            &text, str_format(arena, STR_FMT ":" STR_FMT, STR_ARG(a->user), STR_ARG(a->password)));
        s->authorization = str_copy(arena, buf_str(&text));
        buf_free(&text);
    }
    return true;
}

static struct str folder_of(struct str path) {
    while (path.len > 0 && path.data[path.len - 1] != '/')
        path.len--;
    return path.len > 1 ? str_sub(path, 0, path.len - 1) : STR_NONE;
}

static bool use_config(struct session *s, struct str path, struct error *e) {
    struct str text;
    struct k8s_access *a = &s->access;
    struct str folder = folder_of(path);
    return file_text(path, &text, s->web.arena, e) && k8s_config_parse(text, a, s->web.arena, e) &&
           use_file(s, 0, a->ca_data, a->ca_file, folder, &s->web.ca_file, e) &&
           use_file(s, 1, a->cert_data, a->cert_file, folder, &s->web.cert_file, e) &&
           use_file(s, 2, a->key_data, a->key_file, folder, &s->web.key_file, e);
}

static bool use_own_cluster(struct session *s, struct error *e) {
    struct str host = discover_env("KUBERNETES_SERVICE_HOST");
    struct str port = discover_env("KUBERNETES_SERVICE_PORT");
    if (host.len == 0 || port.len == 0)
        return error_set(e, ERROR_BAD_REQUEST,
                         "unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and "
                         "KUBERNETES_SERVICE_PORT must be defined");
    bool v6 = str_find_char(host, ':') >= 0;
    s->access = (struct k8s_access){
        .server = str_format(s->web.arena, "https://%s" STR_FMT "%s:" STR_FMT, v6 ? "[" : "",
                             STR_ARG(host), v6 ? "]" : "", STR_ARG(port)),
        .token_file = STR(ACCOUNT "token")};
    if (access(ACCOUNT "ca.crt", R_OK) == 0)
        s->web.ca_file = STR(ACCOUNT "ca.crt");
    return true;
}

/* The entry's file, KUBECONFIG's first, the home's, or none: then we run inside. */
static bool connect_to(struct session *s, const struct discover_keys *keys, struct error *e) {
    struct str path = discover_setting(keys, "kubeconfig", "KUBECONFIG");
    struct str home = discover_home(".kube/config", s->web.arena);
    path = str_cut(&path, ':');
    if (path.len == 0 && home.len > 0 && access(home.data, R_OK) == 0)
        path = home;
    if (path.len > 0 ? !use_config(s, path, e) : !use_own_cluster(s, e))
        return error_prefix(e, "discover-k8s: error loading kubeconfig: ");
    s->web.skip_verify = s->access.skip_verify;
    return use_credentials(s, e) ||
           error_prefix(e, "discover-k8s: error initializing k8s client: ");
}

static struct str pods_url(struct session *s, const struct discover_keys *keys, struct str page) {
    struct arena *arena = s->web.arena;
    struct str namespace = discover_key(keys, "namespace"), server = s->access.server;
    while (str_has_suffix(server, STR("/")))
        server.len--;
    if (namespace.len == 0)
    namespace = STR("default");
    return str_format(arena,
                      STR_FMT "/api/v1/namespaces/" STR_FMT "/pods?continue=" STR_FMT
                              "&fieldSelector=" STR_FMT "&labelSelector=" STR_FMT "&limit=500",
                      STR_ARG(server), STR_ARG(discover_escape(namespace, arena)),
                      STR_ARG(discover_escape(page, arena)),
                      STR_ARG(discover_escape(discover_key(keys, "field_selector"), arena)),
                      STR_ARG(discover_escape(discover_key(keys, "label_selector"), arena)));
}

static bool list_pods(struct session *s, const struct discover_keys *keys, bool host_network,
                      struct list *addresses, struct error *e) {
    struct str page = STR("");
    do {
        struct value v;
        struct discover_call call = {
            .method = "GET",
            .url = pods_url(s, keys, page),
            .headers = {STR("Accept: application/json"), s->authorization}};
        if (!discover_web_json(&s->web, &call, &v, e))
            return error_prefix(e, "discover-k8s: error listing pods: ");
        if (!k8s_pods_parse(&v, host_network, addresses, &page, s->web.arena, e))
            return error_prefix(e, "discover-k8s: ");
    } while (page.len > 0);
    return true;
}

static bool k8s_find(const struct discover_keys *keys, struct arena *arena, struct list *addresses,
                     struct error *e) {
    struct session s = {.files = {-1, -1, -1}};
    struct str host = discover_key(keys, "host_network");
    bool host_network = false;
    discover_web_init(&s.web, arena);
    bool ok = host.len == 0 || discover_bool(host, &host_network, e) ||
              error_prefix(e, "discover-k8s: host_network must be boolean value: ");
    ok = ok && connect_to(&s, keys, e) && list_pods(&s, keys, host_network, addresses, e);
    for (size_t i = 0; i < FILES_MAX; i++)
        if (s.files[i] >= 0)
            close(s.files[i]);
    return ok;
}

const struct discover_provider discover_k8s = {"k8s", k8s_find};
