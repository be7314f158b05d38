/* Answers in the order of the peer's client: see client_view.h. */
#include "schema/client_view.h"

#include "base/mem.h"
#include "base/time.h"
#include "schema/config_entry.h"

static bool is_empty(const struct value *v, const struct shape_field *field) {
    if (v == NULL)
        return true;
    bool structure = v->kind == VALUE_MAP && field->kind == SHAPE_STRUCT; /* an empty one is one */
    return !structure && value_is_zero(v);
}

static void write_number(struct json_writer *w, const struct value *v) {
    uint64_t u = 0;
    int64_t i = 0;
    if (v == NULL || v->kind != VALUE_FLOAT)
        json_u64(w, 0);
    else if (str_to_u64(v->literal, &u))
        json_u64(w, u);
    else if (str_to_i64(v->literal, &i))
        json_i64(w, i);
    else
        json_f64(w, v->number);
}

static void write_duration(struct json_writer *w, const struct value *v) {
    struct arena scratch = ARENA_INIT;
    struct error e = ERROR_IN(&scratch);
    int64_t ns = 0;
    if (v != NULL && v->kind == VALUE_STRING && duration_parse(v->string, &ns, &e))
        json_str(w, duration_format(&scratch, ns));
    else
        json_str(w, STR("0s"));
    arena_free(&scratch);
}

static void write_map(struct json_writer *w, const struct value *v,
                      const struct shape_field *fields) {
    const struct value_pair **pairs = NULL;
    if (v == NULL || v->kind != VALUE_MAP) {
        json_null(w);
        return;
    }
    size_t count = v->map.len > 0 ? value_sorted_pairs(v, &pairs) : 0;
    json_open_object(w);
    for (size_t i = 0; i < count; i++) {
        json_key(w, pairs[i]->key);
        shape_write(w, &pairs[i]->value, fields);
    }
    json_close_object(w);
    mem_free(pairs);
}

static void write_field(struct json_writer *w, const struct value *v,
                        const struct shape_field *field) {
    switch (field->kind) {
    case SHAPE_STR:
        json_str(w, v != NULL && v->kind == VALUE_STRING ? v->string : STR(""));
        break;
    case SHAPE_INT:
        write_number(w, v);
        break;
    case SHAPE_BOOL:
        json_bool(w, v != NULL && v->kind == VALUE_BOOL && v->boolean);
        break;
    case SHAPE_DURATION:
        write_duration(w, v);
        break;
    case SHAPE_TIME:
        json_str(w, v != NULL && v->kind == VALUE_STRING ? v->string : STR("0001-01-01T00:00:00Z"));
        break;
    case SHAPE_ANY:
        if (v != NULL)
            json_value(w, v);
        else
            json_null(w);
        break;
    case SHAPE_STRUCT:
        shape_write(w, v, field->of);
        break;
    case SHAPE_LIST:
        shape_write_list(w, v, field->of);
        break;
    case SHAPE_MAP:
        write_map(w, v, field->of);
        break;
    }
}

void shape_write(struct json_writer *w, const struct value *v, const struct shape_field *fields) {
    json_open_object(w);
    for (const struct shape_field *f = fields; f->name != NULL; f++) {
        const struct value *field = v != NULL ? value_get(v, f->name) : NULL;
        if (f->omit && is_empty(field, f))
            continue;
        json_key(w, str_from(f->name));
        write_field(w, field, f);
    }
    json_close_object(w);
}

void shape_write_list(struct json_writer *w, const struct value *v,
                      const struct shape_field *fields) {
    if (v == NULL || v->kind != VALUE_LIST) {
        json_null(w);
        return;
    }
    json_open_array(w);
    for (size_t i = 0; i < v->list.len; i++)
        shape_write(w, &v->list.items[i], fields);
    json_close_array(w);
}

/* ---- the shapes ---- */

#define INDEXES                                                                                    \
    {"CreateIndex", SHAPE_INT}, {                                                                  \
        "ModifyIndex", SHAPE_INT                                                                   \
    }

const struct shape_field shape_kv[] = {
    {"Key", SHAPE_STR},
    {"CreateIndex", SHAPE_INT},
    {"ModifyIndex", SHAPE_INT},
    {"LockIndex", SHAPE_INT},
    {"Flags", SHAPE_INT},
    {"Value", SHAPE_ANY},
    {"Session", SHAPE_STR},
    {"Namespace", SHAPE_STR, .omit = true},
    {NULL},
};

const struct shape_field shape_node[] = {
    {"ID", SHAPE_STR},
    {"Node", SHAPE_STR},
    {"Address", SHAPE_STR},
    {"Datacenter", SHAPE_STR},
    {"TaggedAddresses", SHAPE_ANY},
    {"Meta", SHAPE_ANY},
    INDEXES,
    {NULL},
};

static const struct shape_field check_definition[] = {
    {"Interval", SHAPE_DURATION},
    {"Timeout", SHAPE_DURATION},
    {"DeregisterCriticalServiceAfter", SHAPE_DURATION},
    {"HTTP", SHAPE_STR},
    {"Header", SHAPE_ANY},
    {"Method", SHAPE_STR},
    {"Body", SHAPE_STR},
    {"TLSSkipVerify", SHAPE_BOOL},
    {"TCP", SHAPE_STR},
    {NULL},
};

const struct shape_field shape_health_check[] = {
    {"Node", SHAPE_STR},
    {"CheckID", SHAPE_STR},
    {"Name", SHAPE_STR},
    {"Status", SHAPE_STR},
    {"Notes", SHAPE_STR},
    {"Output", SHAPE_STR},
    {"ServiceID", SHAPE_STR},
    {"ServiceName", SHAPE_STR},
    {"ServiceTags", SHAPE_ANY},
    {"Type", SHAPE_STR},
    {"Namespace", SHAPE_STR, .omit = true},
    {"Definition", SHAPE_STRUCT, .of = check_definition},
    INDEXES,
    {NULL},
};

static const struct shape_field mesh_gateway[] = {{"Mode", SHAPE_STR, .omit = true}, {NULL}};
static const struct shape_field expose_path[] = {
    {"ListenerPort", SHAPE_INT, .omit = true},
    {"Path", SHAPE_STR, .omit = true},
    {"LocalPathPort", SHAPE_INT, .omit = true},
    {"Protocol", SHAPE_STR, .omit = true},
    {"ParsedFromCheck", SHAPE_BOOL},
    {NULL},
};
static const struct shape_field expose[] = {
    {"Checks", SHAPE_BOOL, .omit = true},
    {"Paths", SHAPE_LIST, .omit = true, .of = expose_path},
    {NULL},
};
static const struct shape_field upstream[] = {
    {"DestinationType", SHAPE_STR, .omit = true},
    {"DestinationNamespace", SHAPE_STR, .omit = true},
    {"DestinationName", SHAPE_STR},
    {"Datacenter", SHAPE_STR, .omit = true},
    {"LocalBindAddress", SHAPE_STR, .omit = true},
    {"LocalBindPort", SHAPE_INT, .omit = true},
    {"Config", SHAPE_ANY, .omit = true},
    {"MeshGateway", SHAPE_STRUCT, .of = mesh_gateway},
    {NULL},
};
static const struct shape_field proxy[] = {
    {"DestinationServiceName", SHAPE_STR, .omit = true},
    {"DestinationServiceID", SHAPE_STR, .omit = true},
    {"LocalServiceAddress", SHAPE_STR, .omit = true},
    {"LocalServicePort", SHAPE_INT, .omit = true},
    {"Config", SHAPE_ANY, .omit = true},
    {"Upstreams", SHAPE_LIST, .omit = true, .of = upstream},
    {"MeshGateway", SHAPE_STRUCT, .of = mesh_gateway},
    {"Expose", SHAPE_STRUCT, .of = expose},
    {NULL},
};
static const struct shape_field connect_fields[] = {
    {"Native", SHAPE_BOOL, .omit = true},
    {"SidecarService", SHAPE_ANY, .omit = true},
    {NULL},
};
static const struct shape_field address[] = {{"Address", SHAPE_STR}, {"Port", SHAPE_INT}, {NULL}};
static const struct shape_field weights[] = {
    {"Passing", SHAPE_INT}, {"Warning", SHAPE_INT}, {NULL}};

const struct shape_field shape_service[] = {
    {"Kind", SHAPE_STR, .omit = true},
    {"ID", SHAPE_STR},
    {"Service", SHAPE_STR},
    {"Tags", SHAPE_ANY},
    {"Meta", SHAPE_ANY},
    {"Port", SHAPE_INT},
    {"Address", SHAPE_STR},
    {"TaggedAddresses", SHAPE_MAP, .omit = true, .of = address},
    {"Weights", SHAPE_STRUCT, .of = weights},
    {"EnableTagOverride", SHAPE_BOOL},
    {"CreateIndex", SHAPE_INT, .omit = true},
    {"ModifyIndex", SHAPE_INT, .omit = true},
    {"ContentHash", SHAPE_STR, .omit = true},
    {"Proxy", SHAPE_STRUCT, .omit = true, .of = proxy},
    {"Connect", SHAPE_STRUCT, .omit = true, .of = connect_fields},
    {"Namespace", SHAPE_STR, .omit = true},
    {NULL},
};

const struct shape_field shape_plain_service[] = {
    {"Kind", SHAPE_STR, .omit = true},
    {"ID", SHAPE_STR},
    {"Service", SHAPE_STR},
    {"Tags", SHAPE_ANY},
    {"Meta", SHAPE_ANY},
    {"Port", SHAPE_INT},
    {"Address", SHAPE_STR},
    {"TaggedAddresses", SHAPE_MAP, .omit = true, .of = address},
    {"Weights", SHAPE_STRUCT, .of = weights},
    {"EnableTagOverride", SHAPE_BOOL},
    {"CreateIndex", SHAPE_INT, .omit = true},
    {"ModifyIndex", SHAPE_INT, .omit = true},
    {"ContentHash", SHAPE_STR, .omit = true},
    {"Namespace", SHAPE_STR, .omit = true},
    {NULL},
};

const struct shape_field shape_service_entry[] = {
    {"Node", SHAPE_STRUCT, .of = shape_node},
    {"Service", SHAPE_STRUCT, .of = shape_service},
    {"Checks", SHAPE_LIST, .of = shape_health_check},
    {NULL},
};

const struct shape_field shape_event[] = {
    {"ID", SHAPE_STR},         {"Name", SHAPE_STR},          {"Payload", SHAPE_ANY},
    {"NodeFilter", SHAPE_STR}, {"ServiceFilter", SHAPE_STR}, {"TagFilter", SHAPE_STR},
    {"Version", SHAPE_INT},    {"LTime", SHAPE_INT},         {NULL},
};

const struct shape_field shape_intention[] = {
    {"ID", SHAPE_STR},
    {"Description", SHAPE_STR},
    {"SourceNS", SHAPE_STR},
    {"SourceName", SHAPE_STR},
    {"DestinationNS", SHAPE_STR},
    {"DestinationName", SHAPE_STR},
    {"SourceType", SHAPE_STR},
    {"Action", SHAPE_STR},
    {"DefaultAddr", SHAPE_STR},
    {"DefaultPort", SHAPE_INT},
    {"Meta", SHAPE_ANY},
    {"Precedence", SHAPE_INT},
    {"CreatedAt", SHAPE_TIME},
    {"UpdatedAt", SHAPE_TIME},
    {"Hash", SHAPE_ANY},
    INDEXES,
    {NULL},
};

const struct shape_field shape_ca_config[] = {
    {"Provider", SHAPE_STR}, {"Config", SHAPE_ANY}, {"State", SHAPE_ANY}, INDEXES, {NULL},
};

/* ---- access control (acl.md 17.1) ---- */

static const struct shape_field acl_link[] = {{"ID", SHAPE_STR}, {"Name", SHAPE_STR}, {NULL}};
static const struct shape_field service_identity[] = {
    {"ServiceName", SHAPE_STR}, {"Datacenters", SHAPE_ANY, .omit = true}, {NULL}};
static const struct shape_field node_identity[] = {
    {"NodeName", SHAPE_STR}, {"Datacenter", SHAPE_STR}, {NULL}};

#define POLICY_LINKS                                                                               \
    { "Policies", SHAPE_LIST, .omit = true, .of = acl_link }
#define IDENTITIES                                                                                 \
    {"ServiceIdentities", SHAPE_LIST, .omit = true, .of = service_identity}, {                     \
        "NodeIdentities", SHAPE_LIST, .omit = true, .of = node_identity                            \
    }
#define TOKEN_GRANTS                                                                               \
    POLICY_LINKS, {"Roles", SHAPE_LIST, .omit = true, .of = acl_link}, IDENTITIES,                 \
        {"Local", SHAPE_BOOL}, {                                                                   \
        "AuthMethod", SHAPE_STR, .omit = true                                                      \
    }

const struct shape_field shape_acl_token[] = {
    INDEXES,
    {"AccessorID", SHAPE_STR},
    {"SecretID", SHAPE_STR},
    {"Description", SHAPE_STR},
    TOKEN_GRANTS,
    {"ExpirationTTL", SHAPE_INT, .omit = true}, /* nanoseconds; in requests only */
    {"ExpirationTime", SHAPE_TIME, .omit = true},
    {"CreateTime", SHAPE_TIME},
    {"Hash", SHAPE_ANY, .omit = true},
    {"Rules", SHAPE_STR, .omit = true},
    {NULL},
};

const struct shape_field shape_acl_token_stub[] = {
    INDEXES,
    {"AccessorID", SHAPE_STR},
    {"Description", SHAPE_STR},
    TOKEN_GRANTS,
    {"ExpirationTime", SHAPE_TIME, .omit = true},
    {"CreateTime", SHAPE_TIME},
    {"Hash", SHAPE_ANY},
    {"Legacy", SHAPE_BOOL},
    {NULL},
};

const struct shape_field shape_acl_policy[] = {
    {"ID", SHAPE_STR},
    {"Name", SHAPE_STR},
    {"Description", SHAPE_STR},
    {"Rules", SHAPE_STR},
    {"Datacenters", SHAPE_ANY},
    {"Hash", SHAPE_ANY},
    INDEXES,
    {NULL},
};

const struct shape_field shape_acl_policy_stub[] = {
    {"ID", SHAPE_STR},
    {"Name", SHAPE_STR},
    {"Description", SHAPE_STR},
    {"Datacenters", SHAPE_ANY},
    {"Hash", SHAPE_ANY},
    INDEXES,
    {NULL},
};

const struct shape_field shape_acl_role[] = {
    {"ID", SHAPE_STR},
    {"Name", SHAPE_STR},
    {"Description", SHAPE_STR},
    POLICY_LINKS,
    IDENTITIES,
    {"Hash", SHAPE_ANY},
    INDEXES,
    {NULL},
};

const struct shape_field shape_acl_binding_rule[] = {
    {"ID", SHAPE_STR},
    {"Description", SHAPE_STR},
    {"AuthMethod", SHAPE_STR},
    {"Selector", SHAPE_STR},
    {"BindType", SHAPE_STR},
    {"BindName", SHAPE_STR},
    INDEXES,
    {NULL},
};

const struct shape_field shape_acl_auth_method[] = {
    {"MaxTokenTTL", SHAPE_ANY, .omit = true},
    {"Name", SHAPE_STR},
    {"Type", SHAPE_STR},
    {"DisplayName", SHAPE_STR, .omit = true},
    {"Description", SHAPE_STR, .omit = true},
    {"TokenLocality", SHAPE_STR, .omit = true},
    {"Config", SHAPE_ANY},
    INDEXES,
    {NULL},
};

const struct shape_field shape_acl_auth_method_stub[] = {
    {"Name", SHAPE_STR},
    {"Type", SHAPE_STR},
    {"DisplayName", SHAPE_STR, .omit = true},
    {"Description", SHAPE_STR, .omit = true},
    INDEXES,
    {NULL},
};

/* ---- configuration entries (cli.md 2.4) ---- */

#define HEAD                                                                                       \
    {"Kind", SHAPE_STR}, {"Name", SHAPE_STR}, {                                                    \
        "Namespace", SHAPE_STR, .omit = true                                                       \
    }
#define META                                                                                       \
    { "Meta", SHAPE_ANY, .omit = true }
#define TARGET                                                                                     \
    {"Service", SHAPE_STR, .omit = true}, {"ServiceSubset", SHAPE_STR, .omit = true}, {            \
        "Namespace", SHAPE_STR, .omit = true                                                       \
    }

static const struct shape_field service_defaults[] = {
    HEAD,
    {"Protocol", SHAPE_STR, .omit = true},
    {"MeshGateway", SHAPE_STRUCT, .of = mesh_gateway},
    {"Expose", SHAPE_STRUCT, .of = expose},
    {"ExternalSNI", SHAPE_STR, .omit = true},
    META,
    INDEXES,
    {NULL},
};
static const struct shape_field proxy_defaults[] = {
    HEAD,
    {"Config", SHAPE_ANY, .omit = true},
    {"MeshGateway", SHAPE_STRUCT, .of = mesh_gateway},
    {"Expose", SHAPE_STRUCT, .of = expose},
    META,
    INDEXES,
    {NULL},
};

static const struct shape_field match_header[] = {
    {"Name", SHAPE_STR},
    {"Present", SHAPE_BOOL, .omit = true},
    {"Exact", SHAPE_STR, .omit = true},
    {"Prefix", SHAPE_STR, .omit = true},
    {"Suffix", SHAPE_STR, .omit = true},
    {"Regex", SHAPE_STR, .omit = true},
    {"Invert", SHAPE_BOOL, .omit = true},
    {NULL},
};
static const struct shape_field match_query_param[] = {
    {"Name", SHAPE_STR},
    {"Present", SHAPE_BOOL, .omit = true},
    {"Exact", SHAPE_STR, .omit = true},
    {"Regex", SHAPE_STR, .omit = true},
    {NULL},
};
static const struct shape_field match_http[] = {
    {"PathExact", SHAPE_STR, .omit = true},
    {"PathPrefix", SHAPE_STR, .omit = true},
    {"PathRegex", SHAPE_STR, .omit = true},
    {"Header", SHAPE_LIST, .omit = true, .of = match_header},
    {"QueryParam", SHAPE_LIST, .omit = true, .of = match_query_param},
    {"Methods", SHAPE_ANY, .omit = true},
    {NULL},
};
static const struct shape_field route_match[] = {
    {"HTTP", SHAPE_STRUCT, .omit = true, .of = match_http}, {NULL}};
static const struct shape_field route_destination[] = {
    {"RequestTimeout", SHAPE_STR, .omit = true},
    TARGET,
    {"PrefixRewrite", SHAPE_STR, .omit = true},
    {"NumRetries", SHAPE_INT, .omit = true},
    {"RetryOnConnectFailure", SHAPE_BOOL, .omit = true},
    {"RetryOnStatusCodes", SHAPE_ANY, .omit = true},
    {NULL},
};
static const struct shape_field route[] = {
    {"Match", SHAPE_STRUCT, .omit = true, .of = route_match},
    {"Destination", SHAPE_STRUCT, .omit = true, .of = route_destination},
    {NULL},
};
static const struct shape_field service_router[] = {
    HEAD, {"Routes", SHAPE_LIST, .omit = true, .of = route}, META, INDEXES, {NULL},
};

static const struct shape_field split[] = {{"Weight", SHAPE_INT}, TARGET, {NULL}};
static const struct shape_field service_splitter[] = {
    HEAD, {"Splits", SHAPE_LIST, .omit = true, .of = split}, META, INDEXES, {NULL},
};

static const struct shape_field resolver_subset[] = {
    {"Filter", SHAPE_STR, .omit = true}, {"OnlyPassing", SHAPE_BOOL, .omit = true}, {NULL}};
static const struct shape_field resolver_redirect[] = {
    TARGET, {"Datacenter", SHAPE_STR, .omit = true}, {NULL}};
static const struct shape_field resolver_failover[] = {
    TARGET, {"Datacenters", SHAPE_ANY, .omit = true}, {NULL}};
static const struct shape_field service_resolver[] = {
    {"ConnectTimeout", SHAPE_STR, .omit = true},
    HEAD,
    {"DefaultSubset", SHAPE_STR, .omit = true},
    {"Subsets", SHAPE_MAP, .omit = true, .of = resolver_subset},
    {"Redirect", SHAPE_STRUCT, .omit = true, .of = resolver_redirect},
    {"Failover", SHAPE_MAP, .omit = true, .of = resolver_failover},
    META,
    INDEXES,
    {NULL},
};

static const struct shape_field gateway_tls[] = {{"Enabled", SHAPE_BOOL}, {NULL}};
static const struct shape_field ingress_service[] = {
    {"Name", SHAPE_STR}, {"Hosts", SHAPE_ANY}, {"Namespace", SHAPE_STR, .omit = true}, {NULL}};
static const struct shape_field ingress_listener[] = {
    {"Port", SHAPE_INT},
    {"Protocol", SHAPE_STR},
    {"Services", SHAPE_LIST, .of = ingress_service},
    {NULL},
};
static const struct shape_field ingress_gateway[] = {
    HEAD,
    {"TLS", SHAPE_STRUCT, .of = gateway_tls},
    {"Listeners", SHAPE_LIST, .of = ingress_listener},
    META,
    INDEXES,
    {NULL},
};

static const struct shape_field linked_service[] = {
    {"Namespace", SHAPE_STR, .omit = true},
    {"Name", SHAPE_STR, .omit = true},
    {"CAFile", SHAPE_STR, .omit = true},
    {"CertFile", SHAPE_STR, .omit = true},
    {"KeyFile", SHAPE_STR, .omit = true},
    {"SNI", SHAPE_STR, .omit = true},
    {NULL},
};
static const struct shape_field terminating_gateway[] = {
    {"Kind", SHAPE_STR},
    {"Name", SHAPE_STR},
    {"Services", SHAPE_LIST, .omit = true, .of = linked_service},
    META,
    INDEXES,
    {"Namespace", SHAPE_STR, .omit = true},
    {NULL},
};

const struct shape_field *shape_config_entry(struct str kind) {
    static const struct {
        const char *kind;
        const struct shape_field *fields;
    } kinds[] = {
        {CONFIG_SERVICE_DEFAULTS, service_defaults},
        {CONFIG_PROXY_DEFAULTS, proxy_defaults},
        {CONFIG_SERVICE_ROUTER, service_router},
        {CONFIG_SERVICE_SPLITTER, service_splitter},
        {CONFIG_SERVICE_RESOLVER, service_resolver},
        {CONFIG_INGRESS_GATEWAY, ingress_gateway},
        {CONFIG_TERMINATING_GATEWAY, terminating_gateway},
    };
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (str_is(kind, kinds[i].kind))
            return kinds[i].fields;
    }
    return NULL;
}
