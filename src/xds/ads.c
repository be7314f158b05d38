/* See ads.h. */
#include "xds/ads.h"

#include <stdio.h>

#include "base/time.h"
#include "codec/protobuf.h"
#include "xds/discovery.h"

void ads_init(struct ads *a, struct str token) {
    *a = (struct ads){0};
    a->token = str_copy(&a->arena, token.data != NULL ? token : STR(""));
    a->proxy_id = STR("");
}

void ads_free(struct ads *a) {
    proxy_snapshot_release(a->snapshot);
    arena_free(&a->arena);
}

static void end(struct ads *a, enum grpc_status code, struct str text) {
    if (a->ended)
        return;
    a->ended = true;
    a->code = code;
    a->text = str_copy(&a->arena, text);
}

/* ---- which Envoy ---- */

bool ads_version_parse(struct str text, struct semantic_version *out) {
    uint64_t *const parts[] = {&out->major_number, &out->minor_number, &out->patch};
    struct str rest = str_cut(&text, '-');
    for (size_t i = 0; i < 3; i++)
        if (rest.data == NULL || !str_to_u64(str_cut(&rest, '.'), parts[i]))
            return false;
    return rest.data == NULL;
}

static bool is_hex(struct str s) {
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
            return false;
    }
    return true;
}

/* "<commit>/<version>/Clean/RELEASE/BoringSSL"; the absent string when it is not of that form. */
static struct str version_of_build(struct str build) {
    struct str commit = str_cut(&build, '/');
    if (commit.len != 40 || !is_hex(commit) || build.data == NULL)
        return STR_NONE;
    struct str version = str_cut(&build, '/');
    return build.data != NULL ? version : STR_NONE;
}

static bool at_least_1_11_2(const struct semantic_version *v) {
    if (v->major_number != 1)
        return v->major_number > 1;
    return v->minor_number != 11 ? v->minor_number > 11 : v->patch >= 2;
}

/* False: the node says what cannot be. */
static bool read_node(struct ads *a, const struct discovery_node *node) {
    const struct build_version *build = node->user_agent_build_version;
    struct semantic_version old = {0};
    struct str text = version_of_build(node->build_version);
    a->has_node = true;
    a->proxy_id = str_copy(&a->arena, node->id);
    if (str_is(node->user_agent_name, "envoy") && build != NULL && build->version != NULL) {
        a->safe_regex = at_least_1_11_2(build->version);
        return true;
    }
    if (text.data == NULL)
        return true;
    if (!ads_version_parse(text, &old))
        return false;
    a->safe_regex = at_least_1_11_2(&old);
    return true;
}

/* ---- what comes ---- */

static void subscribe(struct ads *a, const struct discovery_request *r) {
    enum xds_type type = xds_type_of(r->type_url);
    char nonce[24];
    if (type == XDS_TYPES)
        return; /* nobody has it */
    struct ads_type *t = &a->types[type];
    snprintf(nonce, sizeof nonce, "%08llx", (unsigned long long)t->nonce);
    if (t->nonce == 0 || str_is(r->response_nonce, nonce))
        t->subscribed = true;
}

void ads_request(struct ads *a, struct str bytes) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct discovery_request r;
    if (a->ended)
        return;
    if (!proto_decode(bytes, &discovery_request_proto, &r, &arena, &e))
        end(a, GRPC_INTERNAL,
            str_format(&arena, "grpc: failed to unmarshal the received message " STR_FMT,
                       STR_ARG(e.text)));
    else if (r.type_url.len == 0)
        end(a, GRPC_INVALID_ARGUMENT, STR("type URL is required for ADS"));
    else if (!a->has_node && r.node == NULL)
        end(a, GRPC_INVALID_ARGUMENT, STR("the first request must say which node asks"));
    else if (!a->has_node && !read_node(a, r.node))
        end(a, GRPC_INVALID_ARGUMENT, STR("the version of the node cannot be understood"));
    else
        subscribe(a, &r);
    a->check_due = true;
    arena_free(&arena);
}

void ads_snapshot(struct ads *a, struct proxy_snapshot *snapshot) {
    if (a->ended || !xds_complete(snapshot)) {
        proxy_snapshot_release(snapshot);
        return;
    }
    proxy_snapshot_release(a->snapshot);
    a->snapshot = snapshot;
    a->version++;
    a->check_due = true;
}

void ads_check_again(struct ads *a) {
    a->check_due = true;
}

void ads_authorized(struct ads *a, const struct error *error, bool may) {
    a->checking = false;
    if (error != NULL && str_is(error->text, "ACL not found"))
        end(a, GRPC_UNAUTHENTICATED, STR("unauthenticated: ACL not found"));
    else if (error != NULL)
        end(a, GRPC_UNKNOWN, error->text);
    else if (!may)
        end(a, GRPC_PERMISSION_DENIED, STR("permission denied"));
}

/* ---- what goes ---- */

static bool write_answer(struct ads *a, enum xds_type type, const struct trees *resources,
                         struct buf *out, struct error *e) {
    struct str url = str_from(xds_type_url(type));
    char text[24];
    snprintf(text, sizeof text, "%08llx", (unsigned long long)a->version);
    pb_add_bytes(out, 1, str_from(text));
    for (size_t i = 0; i < resources->len; i++) {
        size_t any = pb_open(out, 2);
        pb_add_bytes(out, 1, url);
        size_t value = pb_open(out, 2);
        if (!message_encode(out, xds_message(type), &resources->items[i], e))
            return false;
        pb_close(out, value);
        pb_close(out, any);
    }
    snprintf(text, sizeof text, "%08llx", (unsigned long long)++a->nonce);
    pb_add_bytes(out, 4, url);
    pb_add_bytes(out, 5, str_from(text));
    a->types[type].nonce = a->nonce;
    return true;
}

/* False: there is nothing to be sent, or the stream has ended. */
static bool make(struct ads *a, enum xds_type type, struct buf *out, struct trees *warnings,
                 struct arena *arena) {
    struct error e = ERROR_IN(arena);
    struct xds_maker m = {.snapshot = a->snapshot,
                          .token = a->token,
                          .safe_regex = a->safe_regex,
                          .arena = arena,
                          .error = &e};
    bool ok = xds_make(&m, type);
    *warnings = m.warnings;
    a->types[type].sent = a->version;
    if (ok && m.resources.len == 0 && !xds_may_be_empty(a->snapshot, type))
        return false;
    if (ok && write_answer(a, type, &m.resources, out, &e))
        return true;
    end(a, GRPC_UNKNOWN, e.text);
    return false;
}

enum ads_action ads_next(struct ads *a, bool may_send, struct buf *out, struct trees *warnings,
                         struct arena *arena) {
    *warnings = (struct trees){0};
    if (a->ended)
        return ADS_END;
    if (a->snapshot == NULL || a->checking)
        return ADS_WAIT;
    if (a->check_due) {
        a->check_due = false;
        a->checking = true;
        return ADS_AUTHORIZE;
    }
    for (enum xds_type type = 0; may_send && type < XDS_TYPES; type++) {
        const struct ads_type *t = &a->types[type];
        if (!t->subscribed || t->sent >= a->version)
            continue;
        if (make(a, type, out, warnings, arena))
            return ADS_SEND;
        if (a->ended)
            return ADS_END;
    }
    return ADS_WAIT;
}
