/* AutoConfig (rpc.md 6.17, tls.md 14): an agent that knows nothing but a few addresses, and has a
 * bearer token, gets its configuration. The messages are protocol buffers in a msgpack text.
 */
#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"
#include "codec/base64.h"
#include "codec/uuid.h"
#include "gossip/rules.h"
#include "schema/filter.h"
#include "schema/hash.h"
#include "schema/interpolate.h"
#include "server/auth_method.h"
#include "server/auto_config.h"
#include "server/binding_rule.h"
#include "server/ca_room.h"
#include "server/endpoint_connect_ca.h"
#include "server/gossip_driver.h"
#include "server/membership.h"
#include "server/permit.h"
#include "server/secure.h"

#define SERVERS_MOST 64 /* that an agent is told of */

/* ---- claims ---- */

/* Text that ends no text in a filter. */
static bool is_harmless(struct str name) {
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (c <= ' ' || c == '"' || c == '`' || c == '\\' || c == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool assert_one(struct str text, const struct auth_identity *identity,
                       const struct interpolation_scope *scope, struct arena *arena,
                       struct error *e) {
    struct str filled;
    if (interpolate(text, scope, arena, &filled, e) != INTERPOLATION_DONE) {
        return false;
    }
    struct filter *filter = filter_compile(filled, &jwt_identity_shape, arena, e);
    bool holds = filter != NULL && filter_match(filter, identity);
    filter_free(filter);
    return holds || error_is_set(e) ||
           error_set(e, ERROR_DENIED, "Permission denied: Failed JWT claim assertion");
}

bool auto_config_assert(const struct auto_config_options *o, const struct auth_identity *identity,
                        const struct auto_config_request *request, struct arena *arena,
                        struct error *e) {
    const struct str_pair variables[] = {{STR("node"), request->node},
                                         {STR("segment"), request->segment}};
    struct interpolation_scope scope = {.variables = variables,
                                        .variable_count = COUNT_OF(variables)};
    if (request->node.len == 0 || !is_harmless(request->node) || !is_harmless(request->segment)) {
        return error_set(e, ERROR_DENIED, "Permission denied: node name is invalid");
    }
    for (uint32_t i = 0; i < o->assertions.len; i++) {
        if (!assert_one(LIST_AT(o->assertions, struct str, i), identity, &scope, arena, e) ||
            error_is_set(e)) {
            return false;
        }
    }
    return true;
}

/* ---- what an agent gets ---- */

/* One introduction on its way. In the answer's arena. */
struct introduction {
    struct call *call;
    struct auto_config_request request;
    struct auto_config_gossip gossip;
    struct auto_config_encryption encryption;
};

/* Core: where the servers are, and the key of gossip. */
static void read_gossip(struct introduction *in, struct arena *arena) {
    struct membership *m = in->call->server->membership;
    struct gossip_member *all;
    struct gossip_driver *driver = m != NULL ? membership_pool(m, MEMBERSHIP_LAN) : NULL;
    in->gossip.retry_join_lan = LIST_EMPTY;
    if (driver == NULL) {
        return;
    }
    size_t count = membership_members(m, MEMBERSHIP_LAN, arena, &all);
    in->gossip.retry_join_lan = LIST_NEW(arena, struct str, SERVERS_MOST);
    in->gossip.retry_join_lan.len = 0;
    for (size_t i = 0; i < count && in->gossip.retry_join_lan.len < SERVERS_MOST; i++) {
        char text[GOSSIP_ADDRESS_TEXT];
        struct gossip_server server;
        if (all[i].status == GOSSIP_STATUS_ALIVE && gossip_server_of(&all[i], &server)) {
            LIST_AT(in->gossip.retry_join_lan, struct str, in->gossip.retry_join_lan.len++) =
                str_copy(arena, gossip_address_text(&all[i].address, text));
        }
    }
    const struct keyring *ring = gossip_keyring(gossip_driver_core(driver));
    if (ring != NULL && ring->len > 0) {
        struct buf key = BUF_INIT;
        const struct auto_config_options *o = in->call->server->options.ca.authorizer;
        base64_encode(&key, str_of(ring->keys[0].bytes, ring->keys[0].len));
        in->encryption = (struct auto_config_encryption){.key = str_copy(arena, buf_str(&key)),
                                                         .verify_incoming = o->verify_incoming,
                                                         .verify_outgoing = o->verify_outgoing};
        in->gossip.encryption = &in->encryption;
        buf_free(&key);
    }
}

/* CA's thread. A token of its own for the agent, with a node identity. */
static bool make_token(struct introduction *in, struct ca *ca, struct str *secret,
                       struct arena *arena, struct error *e) {
    const struct server_options *o = &in->call->server->options;
    char accessor_id[37], secret_id[37];
    struct node_identity identity = {.node_name = in->request.node, .datacenter = o->datacenter};
    struct node_identity *identities[] = {&identity};
    struct acl_token token = {.description =
                                  str_format(arena, "Auto Config Token for Node " STR_FMT,
                                             STR_ARG(str_quote(arena, in->request.node))),
                              .local = true,
                              .node_identities = {identities, 1, true},
                              .create_time = timestamp_from_unix_ns(time_now_wall())};
    struct acl_token *tokens[] = {&token};
    struct acl_token_batch_set_request request = {.tokens = {tokens, 1, true}};
    uuid_random(accessor_id);
    uuid_random(secret_id);
    token.accessor_id = str_from(accessor_id);
    token.secret_id = str_from(secret_id);
    token.hash = acl_token_hash(&token, arena);
    *secret = str_copy(arena, token.secret_id);
    return ca_propose(ca, ENTRY_ACL_TOKEN_SET, &acl_token_batch_set_request_shape, &request, NULL,
                      e);
}

static bool leaf_signed(struct sign_work *w, const struct issued_cert *cert, struct error *e) {
    struct introduction *in = w->owner;
    struct call *c = w->call;
    struct arena *arena = &c->answer->arena;
    const struct server_options *o = &c->server->options;
    struct auto_config_acl acl = o->ca.authorizer->acl;
    struct auto_config_tls tls = o->ca.authorizer->tls;
    struct auto_config_tokens tokens = {0};
    struct indexed_ca_roots roots;
    struct issued_cert certificate = *cert;
    struct str *manual;
    size_t count;
    if (acl.enabled) {
        acl.tokens = &tokens;
        if (!make_token(in, c->server->ca, &tokens.agent, arena, e)) {
            return false;
        }
    }
    if (!ca_roots_now(c->server, &roots, arena, e)) {
        return false;
    }
    tls.verify_server_hostname = secure_manual(c->server->secure, &manual, &count, arena);
    struct auto_config_config config = {.datacenter = o->datacenter,
                                        .primary_datacenter = o->acl.primary_datacenter,
                                        .node_name = in->request.node,
                                        .segment_name = in->request.segment,
                                        .acl = &acl,
                                        .gossip = &in->gossip,
                                        .tls = &tls};
    struct auto_config_response response = {.config = &config,
                                            .roots = &roots,
                                            .certificate = &certificate,
                                            .extra_certificates = {manual, (uint32_t)count, true}};
    struct buf out = BUF_INIT;
    proto_encode(&out, &auto_config_response_proto, &response);
    *(struct str *)c->answer->reply = str_copy(arena, buf_str(&out));
    buf_free(&out);
    return true;
}

/* ---- who asks ---- */

static bool place(const struct call *c, struct str *datacenter, struct error *e) {
    const struct server_options *o = &c->server->options;
    struct arena arena = ARENA_INIT;
    struct auto_config_request request;
    (void)datacenter; /* it is in the message */
    if (o->ca.authorizer == NULL) {
        return error_set(e, ERROR_INTERNAL, "Auto Config is disabled");
    }
    bool ok = ca_check_enabled(c->server, e) &&
              proto_decode(*(const struct str *)c->request, &auto_config_request_proto, &request,
                           &arena, e);
    if (ok && !str_eq(request.datacenter, o->datacenter)) {
        ok = error_set(e, ERROR_INTERNAL,
                       "invalid datacenter " STR_FMT
                       " - agent auto configuration cannot target a remote datacenter",
                       STR_ARG(str_quote(&arena, request.datacenter)));
    }
    arena_free(&arena);
    return ok;
}

static void verified(struct auth_work *w) {
    struct introduction *in = w->owner;
    struct call *c = in->call;
    struct answer *a = c->answer;
    bool ok = !error_is_set(&w->error);
    if (!ok) {
        error_set(&a->error, ERROR_DENIED, "Permission denied: Failed JWT authorization: " STR_FMT,
                  STR_ARG(w->error.text));
    } else {
        ok = auto_config_assert(c->server->options.ca.authorizer, &w->identity, &in->request,
                                &a->arena, &a->error);
    }
    auth_work_free(w);
    if (!ok) {
        call_send_back(c);
        return;
    }
    read_gossip(in, &a->arena);
    sign_start(c, in->request.csr, true, in->request.node, leaf_signed, in);
}

static void configuration_begin(struct call *c) {
    struct answer *a = c->answer;
    struct introduction *in = ARENA_NEW(&a->arena, struct introduction);
    in->call = c;
    if (!proto_decode(*(const struct str *)c->request, &auto_config_request_proto, &in->request,
                      &a->arena, &a->error)) {
        call_send_back(c);
        return;
    }
    auth_login_verify(c->server->auth, c->server->options.ca.authorizer->method, in->request.jwt,
                      verified, in);
}

const struct endpoint endpoint_auto_config_initial_configuration = {
    .name = "AutoConfig.InitialConfiguration",
    .kind = ENDPOINT_CORE,
    .request_type = &str_reply_type,
    ENDPOINT_REPLY_TYPE(str_reply_type, struct str),
    ENDPOINT_NOWHERE,
    .insecure = true,
    .place = place,
    .begin = configuration_begin,
};
