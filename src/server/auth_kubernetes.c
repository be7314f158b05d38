/* See auth_kubernetes.h. What the API answers beside the two objects is worded as the client
 * library of the peer does. */
#include "server/auth_kubernetes.h"

#include "base/mem.h"
#include "codec/json.h"
#include "codec/url.h"
#include "server/auth_config.h"
#include "server/auth_fetch.h"
#include "server/auth_jwt_claims.h"
#include "server/auth_jwt_token.h"

#define NAME_ANNOTATION "consul.hashicorp.com/service-name"

struct kubernetes_config {
    struct str host, ca_cert, service_account_jwt;
};

static const struct auth_config_key keys_of_config[] = {
    {"Host", AUTH_CONFIG_TEXT, offsetof(struct kubernetes_config, host)},
    {"CACert", AUTH_CONFIG_TEXT, offsetof(struct kubernetes_config, ca_cert)},
    {"ServiceAccountJWT", AUTH_CONFIG_TEXT,
     offsetof(struct kubernetes_config, service_account_jwt)},
};

static bool refuse(struct error *e, const char *text) {
    return error_set(e, ERROR_INTERNAL, "%s", text);
}

static bool decode(const struct auth_work *w, struct kubernetes_config *out, struct arena *arena,
                   struct error *e) {
    *out = (struct kubernetes_config){0};
    return auth_config_decode(w->method->config, keys_of_config, COUNT_OF(keys_of_config), out,
                              arena, e);
}

bool auth_kubernetes_check(struct auth_work *w, struct error *e) {
    struct kubernetes_config config;
    struct jwt token;
    if (!decode(w, &config, &w->arena, e))
        return false;
    if (config.host.len == 0)
        return refuse(e, "Config.Host is required");
    if (config.ca_cert.len == 0)
        return refuse(e, "Config.CACert is required");
    if (!auth_ca_valid(config.ca_cert))
        return refuse(e, "error parsing kubernetes ca cert: data does not contain any valid RSA or "
                         "ECDSA certificates");
    if (config.service_account_jwt.len == 0)
        return refuse(e, "Config.ServiceAccountJWT is required");
    return jwt_parse(config.service_account_jwt, &token, &w->arena, e) ||
           error_prefix(e, "Config.ServiceAccountJWT is not a valid JWT: ");
}

/* ---- the API ---- */

struct api {
    struct auth_work *work;
    const struct kubernetes_config *config;
    const char *resource; /* as texts name it: "tokenreviews.authentication.k8s.io" */
    struct str name;      /* of the object; absent: none */
    struct http_call call;
};

/* What an answer means that is no object, without a word from the API itself. */
static struct str status_text(struct api *a) {
    struct arena *arena = a->call.arena;
    struct str type = a->call.content_type;
    bool is_text = str_has_prefix(type, STR("text/"));
    struct str said = str_trim(a->call.answer);
    if (!is_text || said.len == 0)
        said = STR("unknown");
    switch (a->call.status) {
    case 400:
        return STR("the server rejected our request for an unknown reason");
    case 401:
        return STR("the server has asked for the client to provide credentials");
    case 403:
    case 406:
    case 415:
        return said;
    case 404:
        return STR("the server could not find the requested resource");
    case 405:
        return STR("the server does not allow this method on the requested resource");
    case 409:
        return STR("the server reported a conflict");
    case 422:
        return STR("the server rejected our request due to an error in our request");
    case 429:
        return STR("the server has received too many requests and has asked us to try again later");
    case 503:
        return STR("the server is currently unable to handle the request");
    case 504:
        return STR("the server was unable to return a response in the time allotted, but may still "
                   "be processing the request");
    default:
        if (a->call.status >= 500)
            return str_format(arena,
                              "an error on the server (" STR_FMT
                              ") has prevented the request from succeeding",
                              STR_ARG(str_quote(arena, said)));
        return str_format(arena,
                          "the server responded with the status code %ld but did not return more "
                          "information",
                          a->call.status);
    }
}

static struct str text_at(const struct value *object, const char *key) {
    const struct value *v = value_get(object, key);
    return v != NULL && v->kind == VALUE_STRING && v->string.data != NULL ? v->string : STR("");
}

/* The API's own object for what went wrong. */
static bool is_failure(const struct value *v) {
    return v->kind == VALUE_MAP && str_is(text_at(v, "kind"), "Status") &&
           !str_is(text_at(v, "status"), "Success");
}

static bool answer_failed(struct api *a, struct error *e) {
    struct value status;
    struct error ignored = ERROR_IN(a->call.arena);
    if (json_parse_whole(a->call.answer, &status, a->call.arena, &ignored) && is_failure(&status) &&
        text_at(&status, "message").len > 0)
        return error_set(e, ERROR_INTERNAL, STR_FMT, STR_ARG(text_at(&status, "message")));
    struct str what = status_text(a), verb = str_lower(a->call.arena, str_from(a->call.method));
    return error_set(e, ERROR_INTERNAL, STR_FMT " (" STR_FMT " %s%s" STR_FMT ")", STR_ARG(what),
                     STR_ARG(verb), a->resource, a->name.len > 0 ? " " : "", STR_ARG(a->name));
}

static bool read_answer(struct api *a, struct value *out, struct error *e) {
    const struct http_call *c = &a->call;
    if (c->status < 200 || c->status > 206)
        return answer_failed(a, e);
    if (c->answer.len == 0)
        return error_set(e, ERROR_INTERNAL,
                         "0-length response with status code: %ld and content type: " STR_FMT,
                         c->status, STR_ARG(c->content_type));
    if (!json_parse_whole(c->answer, out, c->arena, e))
        return error_prefix(e, "couldn't get version/kind; json parse error: ");
    if (out->kind != VALUE_MAP && out->kind != VALUE_NULL)
        return error_set(e, ERROR_INTERNAL,
                         "couldn't get version/kind; json parse error: json: cannot unmarshal %s "
                         "into Go value of type struct { APIVersion string "
                         "\"json:\\\"apiVersion,omitempty\\\"\"; Kind string "
                         "\"json:\\\"kind,omitempty\\\"\" }",
                         jwt_json_kind(out));
    if (is_failure(out))
        return error_set(e, ERROR_INTERNAL, STR_FMT, STR_ARG(text_at(out, "message")));
    return true;
}

/* The host may be a URL or an authority; what is not said is https. */
static struct str api_url(struct str host, struct str path, struct arena *arena) {
    while (str_has_suffix(host, STR("/")))
        host.len--;
    bool has_scheme = str_find(host, STR("://"), 0) >= 0;
    return str_format(arena, "%s" STR_FMT STR_FMT, has_scheme ? "" : "https://", STR_ARG(host),
                      STR_ARG(path));
}

static bool api_ask(struct api *a, const char *method, struct str path, struct str body,
                    struct value *out, struct error *e) {
    struct arena *arena = &a->work->arena;
    a->call = (struct http_call){
        .method = method,
        .url = api_url(a->config->host, path, arena),
        .headers = {STR("Accept: application/json, */*"),
                    str_format(arena, "Authorization: Bearer " STR_FMT,
                               STR_ARG(str_trim(a->config->service_account_jwt))),
                    STR("User-Agent: praetor"), STR_NONE},
        .body = body,
        .arena = arena,
    };
    if (body.data != NULL)
        a->call.headers[3] = STR("Content-Type: application/json");
    return auth_fetch(a->work, &a->call, a->config->ca_cert, NULL, e) && read_answer(a, out, e);
}

/* ---- the review ---- */

struct account {
    struct str namespace, name, uid;
};

static struct str review_body(struct str bearer, struct arena *arena) {
    struct buf body = BUF_INIT;
    buf_add_text(&body, "{\"kind\":\"TokenReview\",\"apiVersion\":\"authentication.k8s.io/v1\","
                        "\"metadata\":{\"creationTimestamp\":null},\"spec\":{\"token\":");
    json_escape(&body, bearer);
    buf_add_text(&body, "},\"status\":{\"user\":{}}}\n");
    struct str text = str_copy(arena, buf_str(&body));
    buf_free(&body);
    return text;
}

static bool wrong_shape(const char *what, const struct value *v, struct error *e) {
    return error_set(e, ERROR_INTERNAL, "%s: unexpected %s", what, jwt_json_kind(v));
}

/* Null and absent are the zero value. */
static bool member_of(const struct value *object, const char *key, enum value_kind kind,
                      const char *what, const struct value **out, struct error *e) {
    *out = object != NULL ? jwt_json_get(object, key) : NULL;
    return *out == NULL || (*out)->kind == kind || wrong_shape(what, *out, e);
}

static bool read_account(struct str username, struct account *out, struct error *e) {
    struct str rest = username, parts[4];
    size_t count = 0;
    for (; rest.data != NULL && count < 4; count++)
        parts[count] = str_cut(&rest, ':');
    if (count != 4 || rest.data != NULL)
        return refuse(e, "lookup failed: unexpected username format");
    if (!str_is(parts[0], "system") || !str_is(parts[1], "serviceaccount"))
        return refuse(e, "lookup failed: username returned is not a service account");
    out->namespace = parts[2];
    out->name = parts[3];
    return true;
}

static bool read_review(const struct value *review, struct account *out, struct error *e) {
    const struct value *status, *text, *authenticated, *user, *username, *uid;
    if (!member_of(review, "status", VALUE_MAP, "v1.TokenReview.Status", &status, e) ||
        !member_of(status, "error", VALUE_STRING, "v1.TokenReviewStatus.Error", &text, e) ||
        !member_of(status, "authenticated", VALUE_BOOL, "v1.TokenReviewStatus.Authenticated",
                   &authenticated, e) ||
        !member_of(status, "user", VALUE_MAP, "v1.TokenReviewStatus.User", &user, e) ||
        !member_of(user, "username", VALUE_STRING, "v1.UserInfo.Username", &username, e) ||
        !member_of(user, "uid", VALUE_STRING, "v1.UserInfo.UID", &uid, e))
        return false;
    if (text != NULL && text->string.len > 0)
        return error_set(e, ERROR_INTERNAL, "lookup failed: " STR_FMT, STR_ARG(text->string));
    if (authenticated == NULL || !authenticated->boolean)
        return refuse(e, "lookup failed: service account jwt not valid");
    out->uid = uid != NULL ? uid->string : STR("");
    return read_account(username != NULL ? username->string : STR(""), out, e);
}

static bool review(struct auth_work *w, const struct kubernetes_config *config, struct account *out,
                   struct error *e) {
    struct api a = {.work = w, .config = config, .resource = "tokenreviews.authentication.k8s.io"};
    struct value answer;
    return api_ask(&a, "POST", STR("/apis/authentication.k8s.io/v1/tokenreviews"),
                   review_body(w->bearer, &w->arena), &answer, e) &&
           read_review(&answer, out, e);
}

/* ---- the account's name ---- */

static struct str account_path(const struct account *account, struct arena *arena) {
    struct buf path = BUF_INIT;
    buf_add_text(&path, "/api/v1/namespaces/");
    url_escape_path(&path, account->namespace);
    buf_add_text(&path, "/serviceaccounts/");
    url_escape_path(&path, account->name);
    struct str text = str_copy(arena, buf_str(&path));
    buf_free(&path);
    return text;
}

/* A name goes into a path: no part of it may be more than a name. */
static bool name_allowed(struct str name, struct error *e) {
    if (name.len == 0)
        return refuse(e, "resource name may not be empty");
    if (str_is(name, ".") || str_is(name, ".."))
        return error_set(e, ERROR_INTERNAL,
                         "invalid resource name " STR_FMT ": [may not be '" STR_FMT "']",
                         STR_ARG(str_quote(e->arena, name)), STR_ARG(name));
    const char *bad = str_find_char(name, '/') >= 0   ? "/"
                      : str_find_char(name, '%') >= 0 ? "%"
                                                      : "";
    return bad[0] == '\0' ||
           error_set(e, ERROR_INTERNAL, "invalid resource name " STR_FMT ": [may not contain '%s']",
                     STR_ARG(str_quote(e->arena, name)), bad);
}

static bool look_up(struct auth_work *w, const struct kubernetes_config *config,
                    struct account *account, struct error *e) {
    struct api a = {
        .work = w, .config = config, .resource = "serviceaccounts", .name = account->name};
    struct value answer;
    const struct value *metadata, *annotations, *name;
    if (!name_allowed(account->name, e))
        return false;
    if (account->namespace.len == 0)
        return refuse(e, "an empty namespace may not be set when a resource name is provided");
    if (!name_allowed(account->namespace, e) ||
        !api_ask(&a, "GET", account_path(account, &w->arena), STR_NONE, &answer, e) ||
        !member_of(&answer, "metadata", VALUE_MAP, "v1.ServiceAccount.ObjectMeta", &metadata, e) ||
        !member_of(metadata, "annotations", VALUE_MAP, "v1.ObjectMeta.Annotations", &annotations,
                   e) ||
        !member_of(annotations, NAME_ANNOTATION, VALUE_STRING, "v1.ObjectMeta.Annotations", &name,
                   e))
        return false;
    if (name != NULL)
        account->name = name->string.data != NULL ? name->string : STR("");
    return true;
}

static void set_identity(struct auth_work *w, const struct account *account) {
    const struct str_pair variables[] = {
        {STR("serviceaccount.name"), auth_lower(account->name, &w->arena)},
        {STR("serviceaccount.namespace"), auth_lower(account->namespace, &w->arena)},
        {STR("serviceaccount.uid"), auth_lower(account->uid, &w->arena)},
    };
    w->identity = (struct auth_identity){
        .type = STR("kubernetes"),
        .serviceaccount = {account->namespace, account->name, account->uid},
        .variables = {arena_copy(&w->arena, variables, sizeof(variables)), COUNT_OF(variables),
                      true},
    };
}

bool auth_kubernetes_verify(struct auth_work *w, struct error *e) {
    struct kubernetes_config config;
    struct account account = {STR(""), STR(""), STR("")};
    struct jwt token;
    if (!decode(w, &config, &w->arena, e))
        return false;
    if (!jwt_parse(w->bearer, &token, &w->arena, e))
        return error_prefix(e, "failed to parse and validate JWT: ");
    if (!review(w, &config, &account, e))
        return false;
    if (!look_up(w, &config, &account, e))
        return error_prefix(e, "annotation lookup failed: ");
    set_identity(w, &account);
    return true;
}
