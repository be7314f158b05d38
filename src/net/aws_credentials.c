/* See aws_credentials.h. */
#include "net/aws_credentials.h"

#include <stdlib.h>

#include "base/time.h"
#include "codec/json.h"
#include "net/files.h"

#define METADATA_TIME (5 * SECOND)

/* Empty counts as absent. */
static struct str env(const char *name) {
    struct str value = str_from(getenv(name));
    return value.len > 0 ? value : STR_NONE;
}

static struct str text_of(const struct value *v, const char *key) {
    const struct value *found = value_get(v, key);
    return found != NULL && found->kind == VALUE_STRING ? found->string : STR_NONE;
}

/* ---- the metadata service ---- */

static struct str metadata_url(struct aws_web *w, const char *path) {
    struct str base = env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    if (base.data == NULL)
        base = STR("http://169.254.169.254");
    while (str_has_suffix(base, STR("/")))
        base.len--;
    return str_format(w->arena, STR_FMT "%s", STR_ARG(base), path);
}

/* Absent: the service knows no tokens, or none came in time (a hop limit of 1 in a container). */
static struct str metadata_token(struct aws_web *w) {
    struct error ignored = ERROR_IN(w->arena);
    struct aws_fetch put = {.method = "PUT",
                            .url = metadata_url(w, "/latest/api/token"),
                            .headers = {STR("X-aws-ec2-metadata-token-ttl-seconds: 21600")},
                            .body = STR(""),
                            .time = METADATA_TIME};
    if (!w->fetch(w, &put, &ignored) || put.status != 200 || put.answer.len == 0)
        return STR_NONE;
    return str_format(w->arena, "X-aws-ec2-metadata-token: " STR_FMT,
                      STR_ARG(str_trim(put.answer)));
}

bool aws_metadata_get(struct aws_web *w, const char *path, struct str *out, struct error *e) {
    struct str disabled = env("AWS_EC2_METADATA_DISABLED");
    if (str_eq_fold(disabled, STR("true")))
        return error_set(e, ERROR_IO,
                         "RequestCanceled: EC2 IMDS access disabled via AWS_EC2_METADATA_DISABLED "
                         "env var");
    struct aws_fetch get = {.method = "GET",
                            .url = metadata_url(w, path),
                            .headers = {metadata_token(w)},
                            .time = METADATA_TIME};
    if (!w->fetch(w, &get, e))
        return error_prefix(e, "RequestError: send request failed\ncaused by: ");
    if (get.status != 200)
        return error_set(e, ERROR_IO,
                         "EC2MetadataError: failed to make EC2Metadata request\n" STR_FMT
                         "\n\tstatus code: %ld, request id: ",
                         STR_ARG(str_trim(str_sub(get.answer, 0, 300))), get.status);
    *out = get.answer;
    return true;
}

bool aws_metadata_region(struct aws_web *w, struct str *region, struct error *e) {
    struct str document;
    struct value v;
    if (!aws_metadata_get(w, "/latest/dynamic/instance-identity/document", &document, e))
        return error_prefix(e, "EC2MetadataRequestError: failed to get EC2 instance identity "
                               "document\ncaused by: ");
    if (!json_parse_whole(document, &v, w->arena, e))
        return error_prefix(e, "SerializationError: failed to decode EC2 instance identity "
                               "document\ncaused by: ");
    *region = text_of(&v, "region");
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

static struct str home_path(const char *below, struct arena *arena) {
    struct str home = env("HOME");
    return home.data == NULL ? STR_NONE : str_format(arena, STR_FMT "/%s", STR_ARG(home), below);
}

static bool from_file(struct aws_web *w, struct aws_credentials *out) {
    struct error ignored = ERROR_IN(w->arena);
    struct str path = env("AWS_SHARED_CREDENTIALS_FILE"), text;
    struct str profile = env("AWS_PROFILE");
    if (path.data == NULL)
        path = home_path(".aws/credentials", w->arena);
    if (profile.data == NULL)
        profile = env("AWS_DEFAULT_PROFILE");
    if (profile.data == NULL)
        profile = STR("default");
    return path.data != NULL && file_text(path, &text, w->arena, &ignored) &&
           aws_credentials_parse(text, profile, out);
}

/* ---- the others ---- */

static bool from_environment(struct aws_credentials *out) {
    out->access_key = env("AWS_ACCESS_KEY_ID");
    if (out->access_key.data == NULL)
        out->access_key = env("AWS_ACCESS_KEY");
    out->secret_key = env("AWS_SECRET_ACCESS_KEY");
    if (out->secret_key.data == NULL)
        out->secret_key = env("AWS_SECRET_KEY");
    out->session_token = env("AWS_SESSION_TOKEN");
    return out->access_key.data != NULL && out->secret_key.data != NULL;
}

static bool from_json(const struct value *v, struct aws_credentials *out) {
    out->access_key = text_of(v, "AccessKeyId");
    out->secret_key = text_of(v, "SecretAccessKey");
    out->session_token = text_of(v, "Token");
    return out->access_key.len > 0 && out->secret_key.len > 0;
}

/* What a container has instead of the instance's role. */
static bool from_container(struct aws_web *w, struct aws_credentials *out) {
    struct error ignored = ERROR_IN(w->arena);
    struct str relative = env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    struct str full = env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    struct str token = env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    struct aws_fetch get = {.method = "GET", .time = METADATA_TIME};
    struct value v;
    if (relative.data != NULL)
        get.url = str_format(w->arena, "http://169.254.170.2" STR_FMT, STR_ARG(relative));
    else if (full.data != NULL)
        get.url = full;
    else
        return false;
    if (token.data != NULL)
        get.headers[0] = str_format(w->arena, "Authorization: " STR_FMT, STR_ARG(token));
    return w->fetch(w, &get, &ignored) && get.status >= 200 && get.status <= 299 &&
           json_parse_whole(get.answer, &v, w->arena, &ignored) && from_json(&v, out);
}

static bool from_role(struct aws_web *w, struct aws_credentials *out) {
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

bool aws_credentials_find(struct aws_web *w, struct aws_credentials *out, struct error *e) {
    return from_environment(out) || from_file(w, out) || from_container(w, out) ||
           from_role(w, out) ||
           error_set(e, ERROR_DENIED,
                     "NoCredentialProviders: no valid providers in chain. Deprecated.\n\tFor "
                     "verbose messaging see aws.Config.CredentialsChainVerboseErrors");
}
