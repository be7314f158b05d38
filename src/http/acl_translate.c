/* /v1/acl/rules/translate (acl.md 5.4): rules of the old system's syntax in the current one, from
 * the body or from a legacy token.
 */
#include "acl/translate.h"
#include "http/acl.h"
#include "http/authorize.h"

static void answer(struct http_request *r, struct str rules) {
    struct error e = ERROR_IN(&r->arena);
    struct str out;
    if (acl_rules_translate(&r->arena, rules, &out, &e))
        http_answer_text(r, 200, out);
    else
        acl_bad_request(r, STR_FMT, STR_ARG(e.text));
}

static void translate_body(struct http_request *r) {
    answer(r, r->body);
}

static void translate_permitted(struct http_request *r) {
    if (authorizer_may_acl(http_may(r), ACL_READ))
        http_read_body(r, 0, translate_body);
    else
        http_deny(r, NULL);
}

static void translate(struct http_request *r) {
    if (acl_enabled(r))
        http_authorize(r, translate_permitted);
}

static void got_token(struct http_request *r, struct answer *a) {
    const struct acl_token *token = ((const struct acl_token_response *)a->reply)->token;
    struct error e = ERROR_IN(&r->arena);
    if (token == NULL) {
        http_set_meta(r, &a->meta);
        acl_not_found(r);
    } else if (token->rules.len == 0) {
        http_set_meta(r, &a->meta);
        error_set(&e, ERROR_INTERNAL, "The specified token does not have any rules set");
        http_answer_error(r, &e);
    } else {
        answer(r, token->rules);
    }
}

static void translate_token(struct http_request *r) {
    struct acl_token_get_request *q = ARENA_NEW(&r->arena, struct acl_token_get_request);
    if (!acl_enabled(r) || !acl_need_argument(r, "Missing token ID") ||
        !acl_read_anywhere(r, &q->options, &q->datacenter))
        return;
    q->token_id = r->argument;
    q->token_id_type = STR("accessor");
    http_call(r, &endpoint_acl_token_read, q, got_token);
}

const struct http_route http_routes_acl_translate[] = {
    {"/v1/acl/rules/translate", "POST", translate, 0},
    {"/v1/acl/rules/translate/", "GET", translate_token, ROUTE_META},
    {NULL, NULL, NULL, 0},
};
