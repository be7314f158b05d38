/* provider=aws (agent.md 8.6): the instances of a region with a certain tag, by EC2's query
 * interface. AWS_ENDPOINT_URL_EC2 or AWS_ENDPOINT_URL (as in Amazon's own tools) give another
 * address for EC2: private endpoints, and tests.
 */
#include "agent/discover_aws.h"

#include "agent/discover_http.h"
#include "agent/discover_xml.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/aws_credentials.h"
#include "net/aws_sign.h"

#define LOGGER "agent"
#define TRIES 3
#define PAGES_MAX 32
#define VERSION "2016-11-15"

/* ---- the answer ---- */

static bool add_v6(const struct xml_element *instance, struct list *addresses, struct arena *arena,
                   struct error *e) {
    const struct xml_element *set = xml_child(instance, "networkInterfaceSet");
    for (const struct xml_element *i = xml_child(set, "item"); i != NULL; i = xml_next(i, "item")) {
        const struct xml_element *v6 = xml_child(i, "ipv6AddressesSet");
        for (const struct xml_element *a = xml_child(v6, "item"); a != NULL;
             a = xml_next(a, "item"))
            if (!discover_add(addresses, xml_text(a, "ipv6Address"), arena, e))
                return false;
    }
    return true;
}

static bool add_instance(const struct xml_element *instance, struct str type,
                         struct list *addresses, struct arena *arena, struct error *e) {
    if (str_is(type, "public_v6"))
        return add_v6(instance, addresses, arena, e);
    const char *name = str_is(type, "public_v4") ? "ipAddress" : "privateIpAddress";
    return discover_add(addresses, xml_text(instance, name), arena, e);
}

bool aws_instances_parse(struct str xml, struct str type, struct list *addresses, struct str *next,
                         struct arena *arena, struct error *e) {
    const struct xml_element *root = xml_parse(xml, arena, e);
    if (root == NULL)
        return error_prefix(e,
                            "SerializationError: failed decoding EC2 Query response\ncaused by: ");
    *next = xml_text(root, "nextToken");
    const struct xml_element *reservations = xml_child(root, "reservationSet");
    for (const struct xml_element *r = xml_child(reservations, "item"); r != NULL;
         r = xml_next(r, "item")) {
        const struct xml_element *set = xml_child(r, "instancesSet");
        for (const struct xml_element *i = xml_child(set, "item"); i != NULL;
             i = xml_next(i, "item"))
            if (!add_instance(i, type, addresses, arena, e))
                return false;
    }
    return true;
}

/* "AuthFailure: text", as Amazon's library words a refusal. */
static bool refused(const struct discover_call *c, struct arena *arena, struct error *e) {
    struct error ignored = ERROR_IN(arena);
    const struct xml_element *root = xml_parse(c->answer, arena, &ignored);
    const struct xml_element *fault = xml_child(xml_child(root, "Errors"), "Error");
    if (fault == NULL)
        return error_set(e, ERROR_IO, "UnknownError: " STR_FMT, STR_ARG(c->status_line));
    struct str id = xml_text(root, "RequestID");
    return error_set(e, ERROR_IO, STR_FMT ": " STR_FMT "\n\tstatus code: %ld, request id: " STR_FMT,
                     STR_ARG(xml_text(fault, "Code")), STR_ARG(xml_text(fault, "Message")),
                     c->status, STR_ARG(id));
}

/* ---- the question ---- */

struct search {
    struct discover_web web;
    struct aws_web aws; /* the same, for credentials */
    struct aws_credentials credentials;
    struct str region, tag_key, tag_value, type;
};

static struct str endpoint_of(struct search *s) {
    struct str url = discover_env("AWS_ENDPOINT_URL_EC2");
    if (url.data == NULL)
        url = discover_env("AWS_ENDPOINT_URL");
    if (url.data != NULL) {
        while (str_has_suffix(url, STR("/")))
            url.len--;
        return url;
    }
    return str_format(s->web.arena, "https://ec2." STR_FMT ".amazonaws.com%s", STR_ARG(s->region),
                      str_has_prefix(s->region, STR("cn-")) ? ".cn" : "");
}

static struct str question(struct search *s, struct str page) {
    struct arena *arena = s->web.arena;
    struct str key = discover_escape(s->tag_key, arena);
    struct str value = discover_escape(s->tag_value, arena);
    struct str text = str_format(
        arena,
        "Action=DescribeInstances&Filter.1.Name=tag%%3A" STR_FMT "&Filter.1.Value.1=" STR_FMT
        "&Filter.2.Name=instance-state-name&Filter.2.Value.1=running&Version=" VERSION,
        STR_ARG(key), STR_ARG(value));
    if (page.len == 0)
        return text;
    return str_format(arena, STR_FMT "&NextToken=" STR_FMT, STR_ARG(text),
                      STR_ARG(discover_escape(page, arena)));
}

static struct str host_of(struct str url) {
    ptrdiff_t at = str_find(url, STR("://"), 0);
    struct str rest = at < 0 ? url : str_sub(url, (size_t)at + 3, url.len);
    return str_cut(&rest, '/');
}

static void sign(struct search *s, struct discover_call *c) {
    struct arena *arena = s->web.arena;
    static const struct aws_header type = {
        STR_INIT("content-type"), STR_INIT("application/x-www-form-urlencoded; charset=utf-8")};
    struct str host = host_of(c->url), rest = c->url;
    ptrdiff_t path = str_find(rest, host, 0);
    struct aws_request r = {.method = c->method,
                            .path = str_sub(rest, (size_t)path + host.len, rest.len),
                            .query = STR(""),
                            .host = host,
                            .body = c->body,
                            .date = aws_date(time_now_wall(), arena),
                            .region = s->region,
                            .service = STR("ec2"),
                            .access_key = s->credentials.access_key,
                            .secret_key = s->credentials.secret_key,
                            .session_token = s->credentials.session_token,
                            .headers = {type},
                            .header_count = 1};
    struct str signature = aws_sign(&r, arena);
    size_t n = 0;
    c->headers[n++] = str_format(arena, "Content-Type: " STR_FMT, STR_ARG(type.value));
    c->headers[n++] = str_format(arena, "X-Amz-Date: " STR_FMT, STR_ARG(r.date));
    c->headers[n++] = str_format(arena, "Authorization: " STR_FMT, STR_ARG(signature));
    if (r.session_token.len > 0)
        c->headers[n++] =
            str_format(arena, "X-Amz-Security-Token: " STR_FMT, STR_ARG(r.session_token));
}

static bool ask(struct search *s, struct str page, struct discover_call *c, struct error *e) {
    for (int i = 1;; i++) {
        *c = (struct discover_call){
            .method = "POST",
            .url = str_format(s->web.arena, STR_FMT "/", STR_ARG(endpoint_of(s))),
            .body = question(s, page)};
        sign(s, c);
        error_clear(e);
        bool sent = discover_web_call(&s->web, c, e);
        if (sent && c->status == 200)
            return true;
        /* Again for what may pass: a broken connection, an overloaded service. */
        if (i < TRIES && (!sent || c->status >= 500))
            continue;
        return sent ? refused(c, s->web.arena, e)
                    : error_prefix(e, "RequestError: send request failed\ncaused by: ");
    }
}

static bool describe(struct search *s, struct list *addresses, struct error *e) {
    struct str page = STR_NONE;
    for (int i = 0; i < PAGES_MAX; i++) {
        struct discover_call c;
        if (!ask(s, page, &c, e) ||
            !aws_instances_parse(c.answer, s->type, addresses, &page, s->web.arena, e))
            return false;
        if (page.len == 0)
            return true;
    }
    return error_set(e, ERROR_TOO_LARGE, "more than %d pages", PAGES_MAX);
}

static void choose_type(struct search *s, const struct discover_keys *keys) {
    s->type = discover_key(keys, "addr_type");
    if (str_is(s->type, "private_v4") || str_is(s->type, "public_v4") ||
        str_is(s->type, "public_v6"))
        return;
    struct str text =
        str_format(s->web.arena,
                   "discover-aws: Address type " STR_FMT " is not supported. Valid values are "
                   "{private_v4,public_v4,public_v6}. Falling back to 'private_v4'",
                   STR_ARG(s->type));
    log_at(LOG_INFO, LOGGER, text.data);
    s->type = STR("private_v4");
}

static bool fetch(struct aws_web *w, struct aws_fetch *f, struct error *e) {
    struct search *s = CONTAINER_OF(w, struct search, aws);
    struct discover_call c = {.method = f->method,
                              .url = f->url,
                              .headers = {f->headers[0]},
                              .body = f->body,
                              .time = f->time};
    bool ok = discover_web_call(&s->web, &c, e);
    f->status = c.status;
    f->answer = c.answer;
    return ok;
}

/* From the entry; else where Amazon's tools look. */
static bool find_credentials(struct search *s, const struct discover_keys *keys, struct error *e) {
    s->credentials = (struct aws_credentials){discover_key(keys, "access_key_id"),
                                              discover_key(keys, "secret_access_key"), STR_NONE};
    return (s->credentials.access_key.len > 0 && s->credentials.secret_key.len > 0) ||
           aws_credentials_find(&s->aws, &s->credentials, e);
}

static bool aws_find(const struct discover_keys *keys, struct arena *arena, struct list *addresses,
                     struct error *e) {
    struct search s = {.region = discover_key(keys, "region"),
                       .tag_key = discover_key(keys, "tag_key"),
                       .tag_value = discover_key(keys, "tag_value")};
    discover_web_init(&s.web, arena);
    s.aws = (struct aws_web){fetch, arena};
    choose_type(&s, keys);
    if (s.region.len == 0) {
        log_at(LOG_INFO, LOGGER,
               "discover-aws: Region not provided. Looking up region in "
               "metadata...");
        if (!aws_metadata_region(&s.aws, &s.region, e))
            return error_prefix(e, "discover-aws: GetInstanceIdentityDocument failed: ");
    }
    log_at(LOG_INFO, LOGGER,
           str_format(arena, "discover-aws: Region is " STR_FMT, STR_ARG(s.region)).data);
    log_at(LOG_INFO, LOGGER,
           str_format(arena, "discover-aws: Filter instances with " STR_FMT "=" STR_FMT,
                      STR_ARG(s.tag_key), STR_ARG(s.tag_value))
               .data);
    if (!find_credentials(&s, keys, e) || !describe(&s, addresses, e))
        return error_prefix(e, "discover-aws: DescribeInstancesInput failed: ");
    log_at(LOG_DEBUG, LOGGER, "discover-aws: Found ip addresses",
           LOG_L("addresses", addresses->items, addresses->len));
    return true;
}

const struct discover_provider discover_aws = {"aws", aws_find};
