/* See authorize.h. */
#include "http/authorize.h"

#include <stdarg.h>
#include <stdio.h>

#include "http/room.h"

static void authorized(struct authorize *a) {
    struct http_request *r = a->owner;
    void (*next)(struct http_request *r) = r->authorized;
    r->authorized = NULL;
    authorization_release(r->who);
    r->who = a->result;
    if (error_is_set(&a->error))
        http_answer_error(r, &a->error);
    else
        next(r);
}

void http_authorize(struct http_request *r, void (*next)(struct http_request *r)) {
    r->authorize = (struct authorize){.secret = http_token(r),
                                      .agent = true,
                                      .done = authorized,
                                      .owner = r,
                                      .error = ERROR_IN(&r->arena)};
    r->authorized = next;
    if (r->server == NULL || authorize_start(&r->authorize))
        authorized(&r->authorize);
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
