/* See acl_question.h. */
#include "server/acl_question.h"

#include "base/mem.h"

enum question_kind {
    QUESTION_NAMED, /* the resource has rules by name */
    QUESTION_ACL,
    QUESTION_INTENTION,
    QUESTION_KEYRING,
    QUESTION_OPERATOR,
};

struct question_resource {
    const char *name;
    enum question_kind kind;
    enum acl_resource resource; /* QUESTION_NAMED */
};

static const struct question_resource resources[] = {
    {"acl", QUESTION_ACL, 0},
    {"agent", QUESTION_NAMED, ACL_AGENT},
    {"event", QUESTION_NAMED, ACL_EVENT},
    {"intention", QUESTION_INTENTION, 0},
    {"key", QUESTION_NAMED, ACL_KEY},
    {"keyring", QUESTION_KEYRING, 0},
    {"node", QUESTION_NAMED, ACL_NODE},
    {"operator", QUESTION_OPERATOR, 0},
    {"query", QUESTION_NAMED, ACL_QUERY},
    {"service", QUESTION_NAMED, ACL_SERVICE},
    {"session", QUESTION_NAMED, ACL_SESSION},
};

static bool is_key(const struct question_resource *r) {
    return r->kind == QUESTION_NAMED && r->resource == ACL_KEY;
}

static bool read_access(const struct question_resource *r, struct str word, enum acl_access *access,
                        struct error *e) {
    if (str_eq_fold(word, STR("read")))
        *access = ACL_READ;
    else if (str_eq_fold(word, STR("write")))
        *access = ACL_WRITE;
    else if (is_key(r) && str_eq_fold(word, STR("list")))
        *access = ACL_LIST;
    else
        return error_set(e, ERROR_BAD_REQUEST, "Invalid access level for %s resource: " STR_FMT,
                         r->name, STR_ARG(word));
    return true;
}

static bool ask(const struct authorizer *may, const struct question_resource *r,
                enum acl_access access, struct str name) {
    switch (r->kind) {
    case QUESTION_ACL:
        return authorizer_may_acl(may, access);
    case QUESTION_INTENTION:
        return authorizer_may_intention(may, access, name);
    case QUESTION_KEYRING:
        return authorizer_may_keyring(may, access);
    case QUESTION_OPERATOR:
        return authorizer_may_operator(may, access);
    default:
        return authorizer_may(may, r->resource, access, name);
    }
}

static bool answer(const struct authorizer *may, const struct acl_authorization_request *q,
                   struct arena *arena, bool *allow, struct error *e) {
    const struct question_resource *r = NULL;
    enum acl_access access = ACL_READ;
    for (size_t i = 0; i < COUNT_OF(resources); i++) {
        if (str_is(q->resource, resources[i].name))
            r = &resources[i];
    }
    if (r == NULL)
        return error_set(e, ERROR_BAD_REQUEST, "Invalid ACL resource requested: " STR_FMT,
                         STR_ARG(str_quote(arena, q->resource)));
    if (is_key(r) && str_eq_fold(q->access, STR("write-prefix"))) {
        *allow = authorizer_may_write_prefix(may, q->segment);
        return true;
    }
    if (!read_access(r, q->access, &access, e))
        return false;
    *allow = ask(may, r, access, q->segment);
    return true;
}

bool acl_questions_answer(const struct authorizer *may, const struct list *requests,
                          struct arena *arena, struct list *out, struct error *e) {
    *out = LIST_NEW(arena, struct acl_authorization_response, requests->len);
    for (uint32_t i = 0; i < requests->len; i++) {
        const struct acl_authorization_request *q =
            &LIST_AT(*requests, struct acl_authorization_request, i);
        struct acl_authorization_response *a = &LIST_AT(*out, struct acl_authorization_response, i);
        a->request = *q;
        if (!answer(may, q, arena, &a->allow, e))
            return false;
    }
    return true;
}
