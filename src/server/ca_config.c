/* See ca_config.h. */
#include "server/ca_config.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/time.h"

#define ERRORS_MOST 20 /* fields that can be wrong */

struct reading {
    const struct value *config;
    struct arena *arena;
    struct str errors[ERRORS_MOST];
    size_t error_count;
};

static bool fail(struct error *e, const char *text) {
    return error_set(e, ERROR_INTERNAL, "%s", text);
}

static const struct value *find(const struct reading *r, const char *name) {
    if (r->config == NULL || r->config->kind != VALUE_MAP) {
        return NULL;
    }
    const struct value *found = NULL;
    for (size_t i = 0; i < r->config->map.len; i++) {
        const struct value_pair *pair = &r->config->map.pairs[i];
        if (str_is(pair->key, name)) {
            return &pair->value; /* this very spelling wins */
        }
        if (found == NULL && str_eq_fold(pair->key, str_from(name))) {
            found = &pair->value;
        }
    }
    return found;
}

static void note(struct reading *r, struct str text) {
    ASSERT(r->error_count < ERRORS_MOST);
    r->errors[r->error_count++] = text;
}

static int64_t whole(double number) {
    return fabs(number) < 9e18 ? (int64_t)number : 0;
}

/* Numbers and truth are written for each other, and as text; lists and maps for nothing. */
static void note_type(struct reading *r, const char *name, const char *type,
                      const struct value *v) {
    note(r, str_format(r->arena, "'%s' expected type '%s', got unconvertible type '%s'", name, type,
                       v->kind == VALUE_LIST ? "[]interface {}" : "map[string]interface {}"));
}

static void note_text(struct reading *r, const char *name, const char *type, const char *parser,
                      struct str text) {
    note(r,
         str_format(r->arena,
                    "cannot parse '%s' as %s: strconv.Parse%s: parsing " STR_FMT ": invalid syntax",
                    name, type, parser, STR_ARG(str_quote(r->arena, text))));
}

/* Of a number or truth. */
static bool number_of(const struct value *v, double *out) {
    switch (v->kind) {
    case VALUE_BOOL:
        *out = v->boolean;
        return true;
    case VALUE_INT:
        *out = (double)v->integer;
        return true;
    case VALUE_UINT:
        *out = (double)v->uinteger;
        return true;
    case VALUE_FLOAT:
        *out = v->number;
        return true;
    default:
        return false;
    }
}

static bool is_nested(const struct value *v) {
    return v->kind == VALUE_LIST || v->kind == VALUE_MAP;
}

static void read_duration(struct reading *r, const char *name, int64_t *out) {
    const struct value *v = find(r, name);
    struct error e = ERROR_IN(r->arena);
    double number;
    if (v == NULL) {
        return;
    }
    if (v->kind == VALUE_INT) {
        *out = v->integer;
    } else if (number_of(v, &number)) {
        *out = whole(number);
    } else if (is_nested(v)) {
        note_type(r, name, "time.Duration", v);
    } else if (v->kind == VALUE_STRING && !duration_parse(v->string, out, &e)) {
        note(r, str_format(r->arena, "error decoding '%s': " STR_FMT, name, STR_ARG(e.text)));
    }
}

static void read_number(struct reading *r, const char *name, bool is_whole, double *out) {
    const struct value *v = find(r, name);
    double number;
    if (v == NULL) {
        return;
    }
    if (is_nested(v)) {
        note_type(r, name, is_whole ? "int" : "float32", v);
    } else if (v->kind == VALUE_STRING) {
        char *end;
        const char *text = str_terminated(r->arena, v->string);
        number = strtod(text, &end);
        if (*end == '\0' && end != text) {
            *out = is_whole ? (double)whole(number) : number;
            return;
        }
        note_text(r, name, is_whole ? "int" : "float", is_whole ? "Int" : "Float", v->string);
    } else if (number_of(v, &number)) {
        *out = is_whole ? (double)whole(number) : number;
    }
}

static void read_string(struct reading *r, const char *name, struct str *out) {
    const struct value *v = find(r, name);
    double number;
    if (v == NULL) {
        return;
    }
    if (is_nested(v)) {
        note_type(r, name, "string", v);
    } else if (v->kind == VALUE_STRING) {
        *out = v->string;
    } else if (number_of(v, &number)) {
        *out = str_format(r->arena, "%.17g", number);
    }
}

static void read_bool(struct reading *r, const char *name, bool *out) {
    const struct value *v = find(r, name);
    double number;
    if (v == NULL) {
        return;
    }
    if (is_nested(v)) {
        note_type(r, name, "bool", v);
    } else if (v->kind == VALUE_STRING) {
        if (v->string.len > 0 && !str_to_bool(v->string, out)) {
            note_text(r, name, "bool", "Bool", v->string);
        }
    } else if (number_of(v, &number)) {
        *out = number != 0;
    }
}

static int compare_texts(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static bool report(struct reading *r, struct error *e) {
    if (r->error_count == 0) {
        return true;
    }
    qsort(r->errors, r->error_count, sizeof(struct str), compare_texts);
    struct str text = str_format(r->arena, "%zu error(s) decoding:\n", r->error_count);
    for (size_t i = 0; i < r->error_count; i++) {
        text = str_format(r->arena, STR_FMT "\n* " STR_FMT, STR_ARG(text), STR_ARG(r->errors[i]));
    }
    return error_set(e, ERROR_INTERNAL, "error decoding config: " STR_FMT, STR_ARG(text));
}

static void read_common(struct reading *r, struct ca_settings *out) {
    double bits = 256, concurrent = 0;
    read_duration(r, "LeafCertTTL", &out->leaf_ttl);
    read_duration(r, "IntermediateCertTTL", &out->intermediate_ttl);
    read_number(r, "PrivateKeyBits", true, &bits);
    read_number(r, "CSRMaxPerSecond", false, &out->csr_max_per_second);
    read_number(r, "CSRMaxConcurrent", true, &concurrent);
    read_string(r, "PrivateKeyType", &out->key_type);
    read_bool(r, "SkipValidate", &out->skip_validate);
    out->key_bits = whole(bits);
    out->csr_max_concurrent = whole(concurrent);
}

static void read_vault(struct reading *r, struct ca_vault_settings *out) {
    read_string(r, "Address", &out->address);
    read_string(r, "Token", &out->token);
    read_string(r, "RootPKIPath", &out->root_path);
    read_string(r, "IntermediatePKIPath", &out->intermediate_path);
    read_string(r, "CAFile", &out->ca_file);
    read_string(r, "CAPath", &out->ca_path);
    read_string(r, "CertFile", &out->cert_file);
    read_string(r, "KeyFile", &out->key_file);
    read_string(r, "TLSServerName", &out->server_name);
    read_bool(r, "TLSSkipVerify", &out->skip_verify);
}

bool ca_config_read(struct str provider, const struct value *config, struct ca_settings *out,
                    struct arena *arena, struct error *e) {
    struct reading r = {.config = config, .arena = arena};
    *out = (struct ca_settings){.leaf_ttl = 72 * HOUR,
                                .intermediate_ttl = 8760 * HOUR,
                                .key_type = STR("ec"),
                                .csr_max_per_second = 50,
                                .private_key = STR(""),
                                .root_cert = STR("")};
    read_common(&r, out);
    if (str_is(provider, "vault")) {
        read_vault(&r, &out->vault);
    } else if (str_is(provider, "aws-pca")) {
        out->pca.existing_arn = STR("");
        read_string(&r, "ExistingARN", &out->pca.existing_arn);
        read_bool(&r, "DeleteOnExit", &out->pca.delete_on_exit);
        out->disable_cross_signing = true; /* it signs no other root */
    } else {
        int64_t ignored = 0;
        read_duration(&r, "RotationPeriod", &ignored);
        read_string(&r, "PrivateKey", &out->private_key);
        read_string(&r, "RootCert", &out->root_cert);
        read_bool(&r, "DisableCrossSigning", &out->disable_cross_signing);
    }
    return report(&r, e);
}

/* ---- whether it is good ---- */

static bool check_key(const struct ca_settings *s, struct error *e) {
    if (str_is(s->key_type, "ec")) {
        return s->key_bits == 224 || s->key_bits == 256 || s->key_bits == 384 ||
               s->key_bits == 521 ||
               fail(e, "EC key length must be one of (224, 256, 384, 521) bits");
    }
    if (str_is(s->key_type, "rsa")) {
        return s->key_bits == 2048 || s->key_bits == 4096 ||
               fail(e, "RSA key length must be 2048 or 4096 bits");
    }
    return fail(e, "private key type must be either 'ec' or 'rsa'");
}

static bool check_common(const struct ca_settings *s, struct arena *arena, struct error *e) {
    if (s->skip_validate) {
        return true;
    }
    if (s->leaf_ttl < HOUR) {
        return fail(e, "leaf cert TTL must be greater or equal than 1h0m0s");
    }
    if (s->leaf_ttl > 8760 * HOUR) {
        return fail(e, "leaf cert TTL must be less than 8760h0m0s");
    }
    if (s->intermediate_ttl < 3 * HOUR) {
        return fail(e, "Intermediate Cert TTL must be greater or equal than 3h");
    }
    if (s->intermediate_ttl < 3 * s->leaf_ttl) {
        struct str least = duration_format(arena, 3 * s->leaf_ttl);
        return error_set(e, ERROR_INTERNAL,
                         "Intermediate Cert TTL must be greater or equal than 3 * LeafCertTTL "
                         "(>=" STR_FMT ").",
                         STR_ARG(least));
    }
    return check_key(s, e);
}

/* What Amazon's service makes, however little is to be looked at. */
static bool check_pca(const struct ca_settings *s, struct arena *arena, struct error *e) {
    if (str_is(s->key_type, "ec") && s->key_bits != 256) {
        return error_set(e, ERROR_INTERNAL,
                         "AWS PCA only supports P256 EC curve, keyBits of %lld configured",
                         (long long)s->key_bits);
    }
    if (s->leaf_ttl < 24 * HOUR) {
        return error_set(e, ERROR_INTERNAL,
                         "AWS PCA doesn't support certificates that are valid for less than 24 "
                         "hours, LeafTTL of " STR_FMT " configured",
                         STR_ARG(duration_format(arena, s->leaf_ttl)));
    }
    return true;
}

bool ca_config_check(struct str provider, const struct ca_settings *s, struct arena *arena,
                     struct error *e) {
    bool consul = str_is(provider, "consul"), vault = str_is(provider, "vault");
    if (consul && s->private_key.len == 0 && s->root_cert.len > 0) {
        return fail(e, "must provide a private key when providing a root cert");
    }
    if (vault && s->vault.token.len == 0) {
        return fail(e, "must provide a Vault token");
    }
    if (vault && s->vault.root_path.len == 0) {
        return fail(e, "must provide a valid path to a root PKI backend");
    }
    if (vault && s->vault.intermediate_path.len == 0) {
        return fail(e, "must provide a valid path for the intermediate PKI backend");
    }
    return check_common(s, arena, e) && (!str_is(provider, "aws-pca") || check_pca(s, arena, e));
}
