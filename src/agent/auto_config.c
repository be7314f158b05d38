/* auto_config.enabled (tls.md 14): what is asked by AutoConfig.InitialConfiguration, what of the
 * answer becomes configuration, and the file in which it outlives the agent.
 */
#include "agent/auto_config.h"

#include "agent/agent_files.h"
#include "agent/auto_servers.h"
#include "agent/discover_http.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/msgpack.h"
#include "net/files.h"

#define FILE_NAME "auto-config.json"
#define FILE_MAX ((size_t)16 << 20)

static const struct type text_type = {KIND_STR, NULL, NULL};

/* ---- asking ---- */

static void hosts(const struct config *c, struct list out[2]) {
    out[0] = c->auto_config.server_addresses;
    out[1] = LIST_EMPTY;
}

static void names(const struct config *c, struct list *dns, struct list *ips) {
    *dns = c->auto_config.dns_sans;
    *ips = c->auto_config.ip_sans;
}

/* What the agent introduces itself with; a file is read each time. */
static bool intro_token(const struct config *c, struct str *out, struct arena *arena,
                        struct error *e) {
    const struct config_auto_config *a = &c->auto_config;
    *out = a->intro_token;
    if (out->len > 0)
        return true;
    if (!file_text(a->intro_token_file, out, arena, e))
        return error_prefix(e, "Failed to read intro token from file: ");
    return out->len > 0 ||
           error_set(e, ERROR_INTERNAL, "intro_token_file did not contain any token");
}

static bool body(struct auto_agent *a, struct str csr, struct str token, struct buf *out,
                 struct error *e) {
    struct arena arena = ARENA_INIT;
    const struct config *c = auto_agent_config(a);
    struct auto_config_request request = {.datacenter = c->datacenter,
                                          .node = c->node_name,
                                          .segment = STR(""),
                                          .consul_token = token,
                                          .csr = csr};
    bool ok = intro_token(c, &request.jwt, &arena, e);
    if (ok) {
        struct buf message = BUF_INIT;
        proto_encode(&message, &auto_config_request_proto, &request);
        struct str text = buf_str(&message);
        schema_encode_type(out, &text_type, &text);
        buf_free(&message);
    }
    arena_free(&arena);
    return ok;
}

/* ---- what comes back ---- */

/* Of an answer or the file. */
static bool use_response(struct auto_agent *a, const struct auto_config_response *in,
                         struct auto_material *out, struct error *e) {
    if (in->config == NULL || in->roots == NULL || in->certificate == NULL)
        return error_set(e, ERROR_INTERNAL, "the auto-config response is not complete");
    struct buf *given = auto_agent_given(a);
    buf_clear(given);
    proto_encode(given, &auto_config_config_proto, in->config);
    *out = (struct auto_material){
        .roots = *in->roots, .manual = in->extra_certificates, .cert = *in->certificate};
    return true;
}

static bool take(struct auto_agent *a, struct str reply, struct auto_material *out,
                 struct arena *arena, struct error *e) {
    struct msgpack_reader in = msgpack_read(reply);
    struct str text;
    struct auto_config_response response;
    return schema_decode_type(&in, &text_type, &text, arena, e) &&
           proto_decode(text, &auto_config_response_proto, &response, arena, e) &&
           use_response(a, &response, out, e);
}

/* ---- the file ---- */

static struct str file_path(const struct config *c, struct arena *arena) {
    return c->data_dir.len == 0 ? STR_NONE
                                : str_format(arena, STR_FMT "/" FILE_NAME, STR_ARG(c->data_dir));
}

static void keep(struct auto_agent *a, const struct auto_material *m) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct auto_config_config config;
    struct auto_material copy = *m;
    struct auto_config_response response = {.config = &config,
                                            .roots = &copy.roots,
                                            .certificate = &copy.cert,
                                            .extra_certificates = copy.manual};
    struct str path = file_path(auto_agent_config(a), &arena);
    bool ok = path.data == NULL;
    if (!ok && proto_decode(buf_str(auto_agent_given(a)), &auto_config_config_proto, &config,
                            &arena, &e)) {
        struct buf text = BUF_INIT;
        struct json_writer w;
        json_begin(&w, &text, true);
        proto_write_json(&w, &auto_config_response_proto, &response);
        json_finish(&w);
        ok = agent_write_for_good(path.data, buf_str(&text), 0660, &e); /* it holds a key */
        buf_free(&text);
    }
    if (!ok)
        log_at(LOG_ERROR, AUTO_LOGGER, "failed to persist", LOG_S("error", e.text));
    arena_free(&arena);
}

bool auto_config_parse_file(struct str text, struct auto_config_response *out, struct arena *arena,
                            struct error *e) {
    struct value json;
    return (text.len <= FILE_MAX || error_set(e, ERROR_INTERNAL, "the file is too large")) &&
           json_parse_whole(text, &json, arena, e) &&
           proto_from_json(&json, &auto_config_response_proto, out, arena, e);
}

bool auto_config_load(struct auto_agent *a, struct auto_material *out, bool *found,
                      struct arena *arena, struct error *e) {
    struct auto_config_response response;
    struct error ignored = ERROR_IN(arena);
    struct str text, path = file_path(auto_agent_config(a), arena);
    *found = path.data != NULL && file_text(path, &text, arena, &ignored);
    if (!*found)
        return true;
    if (!auto_config_parse_file(text, &response, arena, e) || !use_response(a, &response, out, e))
        return error_prefix(e, "failed to decode persisted auto-config data: ");
    log_at(LOG_INFO, AUTO_LOGGER, "read persisted configuration", LOG_S("path", path));
    return true;
}

/* ---- as configuration ---- */

static void put_text(struct json_writer *w, const char *key, struct str text) {
    if (text.len > 0) {
        json_key(w, str_from(key));
        json_str(w, text);
    }
}

static void put_bool(struct json_writer *w, const char *key, bool b) {
    json_key(w, str_from(key));
    json_bool(w, b);
}

static void put_acl(struct json_writer *w, const struct auto_config_acl *acl) {
    json_key(w, STR("acl"));
    json_open_object(w);
    put_bool(w, "enabled", acl->enabled);
    put_text(w, "policy_ttl", acl->policy_ttl);
    put_text(w, "role_ttl", acl->role_ttl);
    put_text(w, "token_ttl", acl->token_ttl);
    put_text(w, "down_policy", acl->down_policy);
    put_text(w, "default_policy", acl->default_policy);
    put_bool(w, "enable_key_list_policy", acl->enable_key_list_policy);
    put_bool(w, "enable_token_persistence", acl->enable_token_persistence);
    if (acl->tokens != NULL) {
        json_key(w, STR("tokens"));
        json_open_object(w);
        put_text(w, "master", acl->tokens->master);
        put_text(w, "replication", acl->tokens->replication);
        put_text(w, "agent_master", acl->tokens->agent_master);
        put_text(w, "default", acl->tokens->default_token);
        put_text(w, "agent", acl->tokens->agent);
        json_close_object(w);
    }
    json_close_object(w);
}

static void put_gossip(struct json_writer *w, const struct auto_config_gossip *gossip) {
    if (gossip->encryption != NULL) {
        put_text(w, "encrypt", gossip->encryption->key);
        put_bool(w, "encrypt_verify_incoming", gossip->encryption->verify_incoming);
        put_bool(w, "encrypt_verify_outgoing", gossip->encryption->verify_outgoing);
    }
    json_key(w, STR("retry_join"));
    json_open_array(w);
    for (uint32_t i = 0; i < gossip->retry_join_lan.len; i++)
        json_str(w, LIST_AT(gossip->retry_join_lan, struct str, i));
    json_close_array(w);
}

static void put_tls(struct json_writer *w, const struct auto_config_tls *tls) {
    put_bool(w, "verify_outgoing", tls->verify_outgoing);
    put_bool(w, "verify_server_hostname", tls->verify_server_hostname);
    put_text(w, "tls_min_version", tls->min_version);
    put_text(w, "tls_cipher_suites", tls->cipher_suites);
    put_bool(w, "tls_prefer_server_cipher_suites", tls->prefer_server_cipher_suites);
}

bool auto_config_source(struct str given, struct buf *out, struct error *e) {
    struct arena arena = ARENA_INIT;
    struct auto_config_config c;
    struct json_writer w;
    bool ok = proto_decode(given, &auto_config_config_proto, &c, &arena, e);
    if (ok) {
        json_begin(&w, out, false);
        json_open_object(&w);
        put_text(&w, "datacenter", c.datacenter);
        put_text(&w, "primary_datacenter", c.primary_datacenter);
        put_text(&w, "node_name", c.node_name);
        if (c.acl != NULL)
            put_acl(&w, c.acl);
        if (c.gossip != NULL)
            put_gossip(&w, c.gossip);
        if (c.tls != NULL)
            put_tls(&w, c.tls);
        json_close_object(&w);
        json_finish(&w);
    }
    arena_free(&arena);
    return ok;
}

const struct auto_mode auto_config_mode = {
    .method = "AutoConfig.InitialConfiguration",
    .none = "no auto-config server addresses available for use",
    .failed = "No server successfully responded to the auto-config request",
    .ports = true,
    .hosts = hosts,
    .body = body,
    .take = take,
    .keep = keep,
    .names = names,
};
