/* See authorize.h. */
#include "http/authorize.h"

#include <stdarg.h>
#include <stdio.h>

#include "http/room.h"

static void authorized(struct authorize *a) {
    struct http_request *r = a->owner;
    void (*next)(struct http_request * r) = r->authorized;
    r->authorized = NULL;
    if (r->asks_also) {
        r->asks_also = false;
        r->also = a->result;
        r->also_error = a->error;
        next(r);
        return;
    }
    authorization_release(r->who);
    r->who = a->result;
    if (error_is_set(&a->error) && r->quietly)
        http_answer_empty(r, 403);
    else if (error_is_set(&a->error))
        http_answer_error(r, &a->error);
    else
        next(r);
}

static void ask(struct http_request *r, struct str secret, bool agent,
                void (*next)(struct http_request *r)) {
    r->authorize = (struct authorize){.secret = secret,
                                      .agent = agent,
                                      .done = authorized,
                                      .owner = r,
                                      .error = ERROR_IN(&r->arena)};
    r->authorized = next;
    if (r->server == NULL || authorize_start(&r->authorize))
        authorized(&r->authorize);
}

void http_authorize(struct http_request *r, void (*next)(struct http_request *r)) {
    ask(r, http_token(r), true, next);
}

void http_authorize_for_servers(struct http_request *r, void (*next)(struct http_request *r)) {
    ask(r, http_token(r), false, next);
}

void http_authorize_also(struct http_request *r, struct str secret,
                         void (*next)(struct http_request *r)) {
    r->asks_also = true;
    ask(r, secret, true, next);
}

bool http_also(const struct http_request *r, const struct authorizer **may, struct error *e) {
    *may = authorization_may(r->also);
    return !error_is_set(&r->also_error) || error_copy(e, &r->also_error);
}

void http_authorize_quietly(struct http_request *r, void (*next)(struct http_request *r)) {
    r->quietly = true;
    http_authorize(r, next);
}

bool http_authorize_gone(struct http_request *r) {
    if (r->authorized == NULL)
        return false;
    r->authorized = NULL;
    authorize_cancel(&r->authorize);
    return true;
}

const struct authorizer *http_may(const struct http_request *r) {
    return authorization_may(r->who);
}

bool http_deny(struct http_request *r, const char *cause_format, ...) {
    char cause[512];
    struct error e = ERROR_IN(&r->arena);
    if (cause_format == NULL) {
        error_set(&e, ERROR_DENIED, "Permission denied");
    } else {
        va_list args;
        va_start(args, cause_format);
        vsnprintf(cause, sizeof cause, cause_format, args);
        va_end(args);
        error_set(&e, ERROR_DENIED, "Permission denied: %s", cause);
    }
    http_answer_error(r, &e);
    return false;
}

bool http_permit(struct http_request *r, enum acl_resource resource, enum acl_access access,
                 struct str name) {
    return authorizer_may(http_may(r), resource, access, name) || http_deny(r, NULL);
}

bool http_permit_operator(struct http_request *r, enum acl_access access) {
    return authorizer_may_operator(http_may(r), access) || http_deny(r, NULL);
}
