/* See ca_pca.h. */
#include "server/ca_pca.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/time.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "server/ca_body.h"

#define SHOWN_MAX 4096 /* bytes of an answer that an error shows */
#define DELETE_DAYS 7  /* within which it can be had back */

/* ---- requests ---- */

static void put_bytes(struct value *map, const char *key, struct str bytes, struct arena *arena) {
    struct buf out = BUF_INIT;
    base64_encode(&out, bytes);
    body_put_text(map, key, str_copy(arena, buf_str(&out)), arena);
    buf_free(&out);
}

static struct value of_authority(struct str arn, struct arena *arena) {
    struct value map = value_map();
    body_put_text(&map, "CertificateAuthorityArn", arn, arena);
    return map;
}

static void add_tag(struct value *tags, const char *key, struct str text, struct arena *arena) {
    struct value tag = value_map();
    body_put_text(&tag, "Key", str_from(key), arena);
    body_put_text(&tag, "Value", text, arena);
    value_append(tags, tag, arena);
}

struct str pca_algorithm(struct str key_type) {
    return str_is(key_type, "rsa") ? STR("SHA256WITHRSA") : STR("SHA256WITHECDSA");
}

static struct str key_algorithm(const struct pca_wish *w) {
    if (!str_is(w->key_type, "rsa")) {
        return STR("EC_prime256v1");
    }
    return w->key_bits == 4096 ? STR("RSA_4096") : STR("RSA_2048");
}

/* Between the first dash and the first dot: "pri-5ydcgjch.aws.ca.…". */
static struct str random_part(struct str common_name) {
    struct str rest = common_name;
    str_cut(&rest, '-');
    return str_cut(&rest, '.');
}

struct str pca_create_body(const struct pca_wish *w, struct arena *arena) {
    struct value map = value_map(), config = value_map(), subject = value_map();
    struct value list = value_map(), crl = value_map(), tags = {.kind = VALUE_LIST};
    body_put_text(&subject, "CommonName", w->common_name, arena);
    body_put_text(&config, "KeyAlgorithm", key_algorithm(w), arena);
    body_put_text(&config, "SigningAlgorithm", pca_algorithm(w->key_type), arena);
    body_put(&config, "Subject", subject, arena);
    body_put(&crl, "Enabled", (struct value){.kind = VALUE_BOOL}, arena);
    body_put(&list, "CrlConfiguration", crl, arena);
    add_tag(&tags, "consul_cluster_id", w->cluster_id, arena);
    add_tag(&tags, "consul_datacenter", w->datacenter, arena);
    body_put(&map, "CertificateAuthorityConfiguration", config, arena);
    body_put_text(&map, "CertificateAuthorityType", w->is_root ? STR("ROOT") : STR("SUBORDINATE"),
                  arena);
    body_put_text(&map, "IdempotencyToken", random_part(w->common_name), arena);
    body_put(&map, "RevocationConfiguration", list, arena);
    body_put(&map, "Tags", tags, arena);
    return body_write(&map, arena);
}

struct str pca_arn_body(struct str arn, struct arena *arena) {
    struct value map = of_authority(arn, arena);
    return body_write(&map, arena);
}

struct str pca_issue_body(struct str arn, struct str csr, const char *template, int64_t days,
                          struct str algorithm, struct arena *arena) {
    struct value map = of_authority(arn, arena), validity = value_map();
    put_bytes(&map, "Csr", csr, arena);
    body_put_text(&map, "SigningAlgorithm", algorithm, arena);
    body_put_text(&map, "TemplateArn",
                  str_format(arena, "arn:aws:acm-pca:::template/%s/V1", template), arena);
    body_put_text(&validity, "Type", STR("DAYS"), arena);
    body_put_number(&validity, "Value", days, arena);
    body_put(&map, "Validity", validity, arena);
    return body_write(&map, arena);
}

struct str pca_get_body(struct str arn, struct str certificate_arn, struct arena *arena) {
    struct value map = of_authority(arn, arena);
    body_put_text(&map, "CertificateArn", certificate_arn, arena);
    return body_write(&map, arena);
}

struct str pca_import_body(struct str arn, struct str certificate, struct str chain,
                           struct arena *arena) {
    struct value map = of_authority(arn, arena);
    put_bytes(&map, "Certificate", certificate, arena);
    if (chain.len > 0) {
        put_bytes(&map, "CertificateChain", chain, arena);
    }
    return body_write(&map, arena);
}

struct str pca_disable_body(struct str arn, struct arena *arena) {
    struct value map = of_authority(arn, arena);
    body_put_text(&map, "Status", STR("DISABLED"), arena);
    return body_write(&map, arena);
}

struct str pca_delete_body(struct str arn, struct arena *arena) {
    struct value map = of_authority(arn, arena);
    body_put_number(&map, "PermanentDeletionTimeInDays", DELETE_DAYS, arena);
    return body_write(&map, arena);
}

int64_t pca_days(int64_t ttl) {
    int64_t days = ttl / (24 * HOUR);
    return days > 0 ? days : 1;
}

/* ---- answers ---- */

/* Those that the service itself may give; Amazon's library words others another way. */
static bool is_of_service(struct str kind) {
    static const char *const all[] = {"CertificateMismatchException",
                                      "ConcurrentModificationException",
                                      "InvalidArgsException",
                                      "InvalidArnException",
                                      "InvalidNextTokenException",
                                      "InvalidPolicyException",
                                      "InvalidRequestException",
                                      "InvalidStateException",
                                      "InvalidTagException",
                                      "LimitExceededException",
                                      "LockoutPreventedException",
                                      "MalformedCSRException",
                                      "MalformedCertificateException",
                                      "PermissionAlreadyExistsException",
                                      "RequestAlreadyProcessedException",
                                      "RequestFailedException",
                                      "RequestInProgressException",
                                      "ResourceNotFoundException",
                                      "TooManyTagsException"};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        if (str_is(kind, all[i])) {
            return true;
        }
    }
    return false;
}

static bool wants_fewer(struct str kind) {
    return str_is(kind, "ThrottlingException") || str_is(kind, "Throttling") ||
           str_is(kind, "ThrottledException") || str_is(kind, "TooManyRequestsException") ||
           str_is(kind, "RequestLimitExceeded");
}

void pca_fault_read(long status, struct str body, struct pca_fault *out, struct arena *arena,
                    struct error *e) {
    struct error unread = ERROR_IN(arena);
    struct value v = {.kind = VALUE_NULL};
    *out = (struct pca_fault){.kind = STR("")};
    struct str kind = STR_NONE, message = STR_NONE;
    if (json_parse_whole(body, &v, arena, &unread)) {
        kind = pca_text(&v, "__type");
        message = pca_text(&v, "message");
        if (message.data == NULL) {
            message = pca_text(&v, "Message");
        }
    }
    ptrdiff_t hash = kind.data != NULL ? str_find_char(kind, '#') : -1;
    kind = hash >= 0 ? str_sub(kind, (size_t)hash + 1, kind.len) : kind;
    message = str_sub(message, 0, SHOWN_MAX);
    out->kind = kind.len > 0 ? kind : STR("");
    out->slows = status == 429 || wants_fewer(out->kind);
    out->passes = status >= 500 || out->slows;
    struct str shown = kind.len > 0 ? kind : STR("UnknownError");
    if (is_of_service(out->kind)) {
        error_set(e, ERROR_INTERNAL, STR_FMT ": " STR_FMT, STR_ARG(shown), STR_ARG(message));
    } else {
        error_set(e, ERROR_INTERNAL,
                  STR_FMT ": " STR_FMT "\n\tstatus code: %ld, request id: ", STR_ARG(shown),
                  STR_ARG(message), status);
    }
}

struct str pca_text(const struct value *answer, const char *key) {
    const struct value *v = value_get(answer, key);
    return v != NULL && v->kind == VALUE_STRING ? v->string : STR_NONE;
}

struct str pca_status(const struct value *answer) {
    struct str status = pca_text(value_get(answer, "CertificateAuthority"), "Status");
    return status.data != NULL ? status : STR("");
}

struct str pca_signs_with(const struct value *answer) {
    const struct value *authority = value_get(answer, "CertificateAuthority");
    return pca_text(value_get(authority, "CertificateAuthorityConfiguration"), "SigningAlgorithm");
}
