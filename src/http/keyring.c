/* /v1/operator/keyring: http-core.md 11.12. */
#include "http/records.h"
#include "http/room.h"

#include "schema/table.h"
#include "server/keyring.h"

struct keyring_body {
    struct str key, token;
    int64_t relay_factor;
    bool local_only;
};

#define OF struct keyring_body
static const struct field keyring_body_fields[] = {
    F_STR("Key", key),
    F_STR("Token", token),
    F_INT("RelayFactor", relay_factor, .go = "uint8"),
    F_BOOL("LocalOnly", local_only),
};
#undef OF
SHAPE(keyring_body, "keyringArgs");

static bool refuse(struct http_request *r, struct str text) {
    struct error e = ERROR_IN(&r->arena);
    error_set(&e, ERROR_BAD_REQUEST, "Bad request: " STR_FMT, STR_ARG(text));
    http_answer_error(r, &e);
    return false;
}

/* ---- what the pools said ---- */

static bool pool_failed(const struct keyring_response *p) {
    return p->error.len > 0;
}

/* "3 errors occurred:\n\t* WAN error: ...\n\t* node: message\n\n" */
static struct str collected_error(struct http_request *r, const struct list *pools) {
    struct buf text = BUF_INIT;
    unsigned count = 0;
    for (uint32_t i = 0; i < pools->len; i++) {
        const struct keyring_response *p = LIST_AT(*pools, struct keyring_response *, i);
        if (!pool_failed(p))
            continue;
        if (p->wan)
            buf_add_text(&text, "\t* WAN error: ");
        else
            buf_add_format(&text, "\t* " STR_FMT " (LAN) error: ", STR_ARG(p->datacenter));
        buf_add_str(&text, p->error);
        buf_add_char(&text, '\n');
        count++;
        for (uint32_t k = 0; k < p->messages.len; k++, count++) {
            const struct str_pair *m = &LIST_AT(p->messages, struct str_pair, k);
            buf_add_format(&text, "\t* " STR_FMT ": " STR_FMT "\n", STR_ARG(m->key),
                           STR_ARG(m->value));
        }
    }
    struct str out = STR_NONE;
    if (count > 0)
        out = str_format(&r->arena, "%u error%s occurred:\n" STR_FMT "\n", count,
                         count == 1 ? "" : "s", STR_ARG(buf_str(&text)));
    buf_free(&text);
    return out;
}

static bool answer_failure(struct http_request *r, const struct keyring_responses *reply) {
    struct str text = collected_error(r, &reply->responses);
    if (text.data == NULL)
        return false;
    struct error e = ERROR_IN(&r->arena);
    error_set(&e, ERROR_INTERNAL, STR_FMT, STR_ARG(text));
    http_answer_error(r, &e);
    return true;
}

static void listed(struct http_request *r, struct answer *a) {
    const struct keyring_responses *reply = a->reply;
    if (answer_failure(r, reply))
        return;
    http_write_pointers(http_json_begin(r), &reply->responses, &keyring_response_shape);
    http_answer_json_written(r, 200);
}

static void changed(struct http_request *r, struct answer *a) {
    if (!answer_failure(r, a->reply))
        http_answer_empty(r, 200);
}

/* ---- the request ---- */

static bool read_relay_factor(struct http_request *r, int64_t *out) {
    struct str text = http_param(r, "relay-factor");
    if (text.len == 0)
        return true;
    if (!str_to_i64(text, out))
        return refuse(r, str_format(&r->arena,
                                    "Error parsing relay factor: strconv.Atoi: parsing " STR_FMT
                                    ": invalid syntax",
                                    STR_ARG(str_quote(&r->arena, text))));
    if (*out < 0 || *out > 5)
        return refuse(r, STR("Invalid relay-factor: Relay factor must be in range: [0, 5]"));
    return true;
}

static bool read_local_only(struct http_request *r, bool list, bool *out) {
    struct str text = http_param(r, "local-only");
    if (text.len == 0)
        return true;
    if (!str_to_bool(text, out))
        return refuse(r, str_format(&r->arena,
                                    "Error parsing local-only: strconv.ParseBool: parsing " STR_FMT
                                    ": invalid syntax",
                                    STR_ARG(str_quote(&r->arena, text))));
    if (*out && !list)
        return refuse(
            r, STR("Invalid use of local-only: local-only can only be set for list requests"));
    return true;
}

static void operate(struct http_request *r, const char *operation, struct str key, int64_t relay) {
    struct keyring_request *q = ARENA_NEW(&r->arena, struct keyring_request);
    bool list = strcmp(operation, "list") == 0;
    q->operation = str_from(operation);
    q->key = key;
    q->relay_factor = relay;
    q->options.token = http_token(r);
    if (!read_relay_factor(r, &q->relay_factor) || !read_local_only(r, list, &q->local_only))
        return;
    if (server_options(r->server)->client) {
        struct error e = ERROR_IN(&r->arena);
        error_set(&e, ERROR_INTERNAL, "keyring operations must run against a server node");
        http_answer_error(r, &e);
        return;
    }
    http_call(r, &endpoint_internal_keyring_operation, q, list ? listed : changed);
}

static void change_body(struct http_request *r) {
    struct keyring_body *body = ARENA_NEW(&r->arena, struct keyring_body);
    struct error e = ERROR_IN(&r->arena);
    struct json_options options = {.go_type = "agent.keyringArgs"};
    if (!http_body_from_json(r, &keyring_body_shape, body, &options, &e)) {
        refuse(r, str_format(&r->arena, "Request decode failed: " STR_FMT, STR_ARG(e.text)));
        return;
    }
    operate(r,
            http_method_is(r, "POST")  ? "install"
            : http_method_is(r, "PUT") ? "use"
                                       : "remove",
            body->key, body->relay_factor);
}

static void keyring(struct http_request *r) {
    if (http_method_is(r, "GET"))
        operate(r, "list", STR(""), 0);
    else
        http_read_body(r, 0, change_body);
}

const struct http_route http_routes_keyring[] = {
    {"/v1/operator/keyring", "GET,POST,PUT,DELETE", keyring, 0},
    {NULL, NULL, NULL, 0},
};
