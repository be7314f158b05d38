/* Where Amazon's credentials come from, in the order of its own tools, and the instance metadata
 * service. AWS_EC2_METADATA_SERVICE_ENDPOINT and AWS_EC2_METADATA_DISABLED are those of Amazon's
 * tools too. Not here: what the credentials are for (discover_aws.c).
 */
#include <stdio.h>

#include "agent/discover_aws.h"
#include "codec/json.h"
#include "net/files.h"

#define METADATA_TIME (5 * SECOND)

/* ---- the metadata service ---- */

static struct str metadata_url(struct discover_web *w, const char *path) {
    struct str base = discover_env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    if (base.data == NULL)
        base = STR("http://169.254.169.254");
    while (str_has_suffix(base, STR("/")))
        base.len--;
    return str_format(w->arena, STR_FMT "%s", STR_ARG(base), path);
}

/* Absent: the service knows no tokens, or none came in time (a hop limit of 1 in a container). */
static struct str metadata_token(struct discover_web *w) {
    struct error ignored = ERROR_IN(w->arena);
    struct discover_call put = {.method = "PUT",
                                .url = metadata_url(w, "/latest/api/token"),
                                .headers = {STR("X-aws-ec2-metadata-token-ttl-seconds: 21600")},
                                .body = STR(""),
                                .time = METADATA_TIME};
    if (!discover_web_call(w, &put, &ignored) || put.status != 200 || put.answer.len == 0)
        return STR_NONE;
    return str_format(w->arena, "X-aws-ec2-metadata-token: " STR_FMT,
                      STR_ARG(str_trim(put.answer)));
}

bool aws_metadata_get(struct discover_web *w, const char *path, struct str *out, struct error *e) {
    struct str disabled = discover_env("AWS_EC2_METADATA_DISABLED");
    if (str_eq_fold(disabled, STR("true")))
        return error_set(e, ERROR_IO,
                         "RequestCanceled: EC2 IMDS access disabled via AWS_EC2_METADATA_DISABLED "
                         "env var");
    struct discover_call get = {.method = "GET",
                                .url = metadata_url(w, path),
                                .headers = {metadata_token(w)},
                                .time = METADATA_TIME};
    if (!discover_web_call(w, &get, e))
        return error_prefix(e, "RequestError: send request failed\ncaused by: ");
    if (get.status != 200)
        return error_set(e, ERROR_IO,
                         "EC2MetadataError: failed to make EC2Metadata request\n" STR_FMT
                         "\n\tstatus code: %ld, request id: ",
                         STR_ARG(str_trim(str_sub(get.answer, 0, 300))), get.status);
    *out = get.answer;
    return true;
}

bool aws_metadata_region(struct discover_web *w, struct str *region, struct error *e) {
    struct str document;
    struct value v;
    if (!aws_metadata_get(w, "/latest/dynamic/instance-identity/document", &document, e))
        return error_prefix(e, "EC2MetadataRequestError: failed to get EC2 instance identity "
                               "document\ncaused by: ");
    if (!json_parse_whole(document, &v, w->arena, e))
        return error_prefix(e, "SerializationError: failed to decode EC2 instance identity "
                               "document\ncaused by: ");
    *region = discover_text(&v, "region");
    return true;
}

/* ---- the shared file ---- */

static bool is_section(struct str line, struct str profile) {
    if (line.len < 2 || line.data[0] != '[' || line.data[line.len - 1] != ']')
        return false;
    struct str name = str_trim(str_sub(line, 1, line.len - 2));
    if (str_has_prefix(name, STR("profile ")))
        name = str_trim(str_sub(name, 8, name.len));
    return str_eq(name, profile);
}

bool aws_credentials_parse(struct str text, struct str profile, struct aws_credentials *out) {
    bool inside = false;
    *out = (struct aws_credentials){STR_NONE, STR_NONE, STR_NONE};
    while (text.data != NULL) {
        struct str line = str_trim(str_cut(&text, '\n'));
        if (line.len == 0 || line.data[0] == '#' || line.data[0] == ';')
            continue;
        if (line.data[0] == '[') {
            inside = is_section(line, profile);
            continue;
        }
        struct str value = line, key = str_trim(str_cut(&value, '='));
        if (!inside || value.data == NULL)
            continue;
        value = str_trim(value);
        if (str_eq_fold(key, STR("aws_access_key_id")))
            out->access_key = value;
        else if (str_eq_fold(key, STR("aws_secret_access_key")))
            out->secret_key = value;
        else if (str_eq_fold(key, STR("aws_session_token")))
            out->session_token = value;
    }
    return out->access_key.len > 0 && out->secret_key.len > 0;
}

static bool from_file(struct discover_web *w, struct aws_credentials *out) {
    struct error ignored = ERROR_IN(w->arena);
    struct str path = discover_env("AWS_SHARED_CREDENTIALS_FILE"), text;
    struct str profile = discover_env("AWS_PROFILE");
    if (path.data == NULL)
        path = discover_home(".aws/credentials", w->arena);
    if (profile.data == NULL)
        profile = discover_env("AWS_DEFAULT_PROFILE");
    if (profile.data == NULL)
        profile = STR("default");
    return path.data != NULL && file_text(path, &text, w->arena, &ignored) &&
           aws_credentials_parse(text, profile, out);
}

/* ---- the others ---- */

static bool from_environment(struct aws_credentials *out) {
    out->access_key = discover_env("AWS_ACCESS_KEY_ID");
    if (out->access_key.data == NULL)
        out->access_key = discover_env("AWS_ACCESS_KEY");
    out->secret_key = discover_env("AWS_SECRET_ACCESS_KEY");
    if (out->secret_key.data == NULL)
        out->secret_key = discover_env("AWS_SECRET_KEY");
    out->session_token = discover_env("AWS_SESSION_TOKEN");
    return out->access_key.data != NULL && out->secret_key.data != NULL;
}

static bool from_json(const struct value *v, struct aws_credentials *out) {
    out->access_key = discover_text(v, "AccessKeyId");
    out->secret_key = discover_text(v, "SecretAccessKey");
    out->session_token = discover_text(v, "Token");
    return out->access_key.len > 0 && out->secret_key.len > 0;
}

/* What a container has instead of the instance's role. */
static bool from_container(struct discover_web *w, struct aws_credentials *out) {
    struct error ignored = ERROR_IN(w->arena);
    struct str relative = discover_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    struct str full = discover_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    struct str token = discover_env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    struct discover_call get = {.method = "GET", .time = METADATA_TIME};
    struct value v;
    if (relative.data != NULL)
        get.url = str_format(w->arena, "http://169.254.170.2" STR_FMT, STR_ARG(relative));
    else if (full.data != NULL)
        get.url = full;
    else
        return false;
    if (token.data != NULL)
        get.headers[0] = str_format(w->arena, "Authorization: " STR_FMT, STR_ARG(token));
    return discover_web_json(w, &get, &v, &ignored) && from_json(&v, out);
}

static bool from_role(struct discover_web *w, struct aws_credentials *out) {
    struct error ignored = ERROR_IN(w->arena);
    struct str roles, answer;
    struct value v;
    if (!aws_metadata_get(w, "/latest/meta-data/iam/security-credentials/", &roles, &ignored))
        return false;
    struct str role = str_trim(str_cut(&roles, '\n'));
    struct str path =
        str_format(w->arena, "/latest/meta-data/iam/security-credentials/" STR_FMT, STR_ARG(role));
    return role.len > 0 && aws_metadata_get(w, path.data, &answer, &ignored) &&
           json_parse_whole(answer, &v, w->arena, &ignored) && from_json(&v, out);
}

bool aws_credentials_find(struct discover_web *w, const struct discover_keys *keys,
                          struct aws_credentials *out, struct error *e) {
    *out = (struct aws_credentials){discover_key(keys, "access_key_id"),
                                    discover_key(keys, "secret_access_key"), STR_NONE};
    if (out->access_key.len > 0 && out->secret_key.len > 0)
        return true;
    return from_environment(out) || from_file(w, out) || from_container(w, out) ||
           from_role(w, out) ||
           error_set(e, ERROR_DENIED,
                     "NoCredentialProviders: no valid providers in chain. Deprecated.\n\tFor "
                     "verbose messaging see aws.Config.CredentialsChainVerboseErrors");
}
