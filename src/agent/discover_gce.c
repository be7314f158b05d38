/* provider=gce (agent.md 8.6): the internal addresses of a project's instances with a network tag.
 * Credentials: a file of a service account or of a user, else the metadata service.
 * GCE_METADATA_HOST and CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE, as in Google's own tools, give
 * other addresses.
 */
#include "agent/discover_http.h"
#include "agent/discover_sign.h"
#include "base/buf.h"
#include "base/log.h"
#include "codec/json.h"
#include "net/files.h"
#include "schema/regex.h"

#define LOGGER "agent"
#define SCOPE "https://www.googleapis.com/auth/compute.readonly"
#define TOKEN_URL "https://oauth2.googleapis.com/token"

struct gce {
    struct discover_web web;
    struct str project, tag, token, base;
    struct regex *zones; /* NULL: all */
};

/* ---- the metadata service ---- */

static bool metadata_get(struct gce *g, const char *path, const char *what, struct str *out,
                         struct error *e) {
    struct str host = discover_env("GCE_METADATA_HOST");
    struct discover_call call = {
        .method = "GET",
        .url =
            str_format(g->web.arena, "http://" STR_FMT "/computeMetadata/v1/%s",
                       STR_ARG(host.data != NULL ? host : STR("metadata.google.internal")), path),
        .headers = {STR("Metadata-Flavor: Google")},
        .time = 5 * SECOND};
    if (!discover_web_call(&g->web, &call, e))
        return false;
    if (call.status != 200)
        return error_set(e, ERROR_IO, "discover-gce: invalid status code %ld when fetching %s",
                         call.status, what);
    *out = str_trim(call.answer);
    return true;
}

/* ---- tokens ---- */

static bool take_token(struct gce *g, const struct value *v, struct error *e) {
    g->token = discover_text(v, "access_token");
    return g->token.len > 0 || error_set(e, ERROR_IO, "the answer holds no access_token");
}

static bool ask_token(struct gce *g, struct str url, struct str form, struct error *e) {
    struct value v;
    struct discover_call call = {
        .method = "POST",
        .url = url.len > 0 ? url : STR(TOKEN_URL),
        .headers = {STR("Content-Type: application/x-www-form-urlencoded")},
        .body = form};
    return discover_web_json(&g->web, &call, &v, e) && take_token(g, &v, e);
}

static bool service_account_token(struct gce *g, const struct value *file, struct error *e) {
    struct arena *arena = g->web.arena;
    struct str url = discover_text(file, "token_uri"), assertion;
    int64_t now = time_now_wall() / SECOND;
    struct buf claims = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &claims, false);
    json_open_object(&w);
    json_key(&w, STR("iss"));
    json_str(&w, discover_text(file, "client_email"));
    json_key(&w, STR("scope"));
    json_str(&w, STR(SCOPE));
    json_key(&w, STR("aud"));
    json_str(&w, url.len > 0 ? url : STR(TOKEN_URL));
    json_key(&w, STR("iat"));
    json_i64(&w, now);
    json_key(&w, STR("exp"));
    json_i64(&w, now + 3600);
    json_close_object(&w);
    bool ok = jwt_sign(discover_text(file, "private_key"), discover_text(file, "private_key_id"),
                       buf_str(&claims), &assertion, arena, e);
    buf_free(&claims);
    return ok && ask_token(g, url,
                           str_format(arena,
                                      "grant_type=urn%%3Aietf%%3Aparams%%3Aoauth%%3Agrant-type%%3A"
                                      "jwt-bearer&assertion=" STR_FMT,
                                      STR_ARG(assertion)),
                           e);
}

static bool user_token(struct gce *g, const struct value *file, struct error *e) {
    struct arena *arena = g->web.arena;
    struct str id = discover_escape(discover_text(file, "client_id"), arena);
    struct str secret = discover_escape(discover_text(file, "client_secret"), arena);
    struct str refresh = discover_escape(discover_text(file, "refresh_token"), arena);
    return ask_token(g, STR_NONE,
                     str_format(arena,
                                "grant_type=refresh_token&client_id=" STR_FMT
                                "&client_secret=" STR_FMT "&refresh_token=" STR_FMT,
                                STR_ARG(id), STR_ARG(secret), STR_ARG(refresh)),
                     e);
}

static bool file_token(struct gce *g, struct str path, struct error *e) {
    struct str text;
    struct value file;
    if (!file_text(path, &text, g->web.arena, e) || !json_parse_whole(text, &file, g->web.arena, e))
        return false;
    struct str type = discover_text(&file, "type");
    if (str_is(type, "service_account"))
        return service_account_token(g, &file, e);
    if (str_is(type, "authorized_user"))
        return user_token(g, &file, e);
    return error_set(e, ERROR_BAD_REQUEST, "unknown credential type: " STR_FMT,
                     STR_ARG(str_quote(g->web.arena, type)));
}

static bool metadata_token(struct gce *g, struct error *e) {
    struct str text;
    struct value v;
    return metadata_get(g, "instance/service-accounts/default/token", "token", &text, e) &&
           json_parse_whole(text, &v, g->web.arena, e) && take_token(g, &v, e);
}

static bool get_token(struct gce *g, const struct discover_keys *keys, struct error *e) {
    struct str path = discover_setting(keys, "credentials_file", "GOOGLE_APPLICATION_CREDENTIALS");
    struct error ignored = ERROR_IN(g->web.arena);
    struct str gcloud =
        discover_home(".config/gcloud/application_default_credentials.json", g->web.arena);
    struct str text;
    if (path.data != NULL)
        return file_token(g, path, e);
    if (gcloud.data != NULL && file_text(gcloud, &text, g->web.arena, &ignored))
        return file_token(g, gcloud, e);
    return metadata_token(g, &ignored) ||
           error_set(e, ERROR_DENIED,
                     "google: could not find default credentials. See "
                     "https://developers.google.com/accounts/docs/"
                     "application-default-credentials for more information.");
}

/* ---- instances ---- */

typedef bool on_item(struct gce *g, const struct value *item, struct list *addresses,
                     struct error *e);

static bool list_pages(struct gce *g, struct str path, on_item *take, struct list *addresses,
                       struct error *e) {
    struct arena *arena = g->web.arena;
    struct str page = STR_NONE;
    do {
        struct value v;
        struct discover_call call = {
            .method = "GET",
            .url = str_format(arena, STR_FMT "projects/" STR_FMT "/" STR_FMT "%s" STR_FMT,
                              STR_ARG(g->base), STR_ARG(discover_escape(g->project, arena)),
                              STR_ARG(path), page.len > 0 ? "?pageToken=" : "",
                              STR_ARG(discover_escape(page, arena))),
            .headers = {str_format(arena, "Authorization: Bearer " STR_FMT, STR_ARG(g->token))}};
        if (!discover_web_json(&g->web, &call, &v, e))
            return false;
        const struct value *items = value_get(&v, "items");
        for (size_t i = 0; i < discover_count(&v, "items"); i++)
            if (!take(g, &items->list.items[i], addresses, e))
                return false;
        page = discover_text(&v, "nextPageToken");
    } while (page.len > 0);
    return true;
}

static bool take_instance(struct gce *g, const struct value *item, struct list *addresses,
                          struct error *e) {
    const struct value *tags = discover_path(item, "tags.items");
    const struct value *networks = value_get(item, "networkInterfaces");
    bool tagged = false;
    for (size_t i = 0; i < discover_count(item, "tags.items"); i++)
        tagged |=
            tags->list.items[i].kind == VALUE_STRING && str_eq(tags->list.items[i].string, g->tag);
    if (!tagged || discover_count(item, "networkInterfaces") == 0)
        return true;
    struct str address = discover_text(&networks->list.items[0], "networkIP");
    return discover_add(addresses, address, g->web.arena, e);
}

static bool take_zone(struct gce *g, const struct value *item, struct list *addresses,
                      struct error *e) {
    struct str zone = discover_text(item, "name");
    if (zone.len == 0 || (g->zones != NULL && !regex_search(g->zones, zone)))
        return true;
    struct str path = str_format(g->web.arena, "zones/" STR_FMT "/instances",
                                 STR_ARG(discover_escape(zone, g->web.arena)));
    return list_pages(g, path, take_instance, addresses, e);
}

static bool find(struct gce *g, const struct discover_keys *keys, struct list *addresses,
                 struct error *e) {
    struct str pattern = discover_key(keys, "zone_pattern");
    if (g->project.len == 0) {
        log_at(LOG_INFO, LOGGER, "discover-gce: Looking up project name");
        if (!metadata_get(g, "project/project-id", "project id", &g->project, e))
            return false;
    }
    log_at(LOG_INFO, LOGGER,
           str_format(g->web.arena, "discover-gce: Project name is " STR_FMT,
                      STR_ARG(str_quote(g->web.arena, g->project)))
               .data);
    if (pattern.len > 0 && (g->zones = regex_compile(pattern, e)) == NULL)
        return false;
    return get_token(g, keys, e) && list_pages(g, STR("zones"), take_zone, addresses, e);
}

static bool gce_find(const struct discover_keys *keys, struct arena *arena, struct list *addresses,
                     struct error *e) {
    struct gce g = {.project = discover_key(keys, "project_name"),
                    .tag = discover_key(keys, "tag_value"),
                    .base = discover_env("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE")};
    discover_web_init(&g.web, arena);
    if (g.base.data == NULL)
        g.base = STR("https://compute.googleapis.com/compute/v1/");
    else if (!str_has_suffix(g.base, STR("/")))
        g.base = str_format(arena, STR_FMT "/", STR_ARG(g.base));
    bool ok = find(&g, keys, addresses, e) || error_prefix(e, "discover-gce: ");
    regex_free(g.zones);
    return ok;
}

const struct discover_provider discover_gce = {"gce", gce_find};
