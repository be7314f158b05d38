/* The configuration of a certificate authority (connect.md 3.3, config.md 3.11): what its free map
 * says, with defaults, and whether that is good. For files and for the API. Pure.
 */
#ifndef PRAETOR_SERVER_CA_CONFIG_H
#define PRAETOR_SERVER_CA_CONFIG_H

#include "base/error.h"
#include "codec/value.h"

struct ca_vault_settings {                   /* what is not given is absent */
    struct str address;                      /* a URL */
    struct str token;                        /* a secret */
    struct str root_path, intermediate_path; /* of mounts, as they were written */
    struct str ca_file, ca_path, cert_file, key_file, server_name;
    bool skip_verify;
};

struct ca_pca_settings {     /* provider aws-pca */
    struct str existing_arn; /* ""; one is made */
    bool delete_on_exit;
};

struct ca_settings {
    int64_t leaf_ttl, intermediate_ttl; /* ns */
    struct str key_type;                /* "ec", "rsa" */
    int64_t key_bits;
    double csr_max_per_second; /* 0: no limit */
    int64_t csr_max_concurrent;
    bool skip_validate;
    struct str private_key, root_cert; /* provider consul: PEM; "": made */
    bool disable_cross_signing;
    struct ca_vault_settings vault; /* provider vault */
    struct ca_pca_settings pca;
};

/* provider: whose own keys are read besides those that all have ("": consul's). config: a map, or
 * NULL. Keys in any letter case, numbers also as text, durations as text or ns;
 * unknown ones are ignored. Strings are views. "error decoding config: 1 error(s) decoding: …" */
bool ca_config_read(struct str provider, const struct value *config, struct ca_settings *out,
                    struct arena *arena, struct error *e);
/* "leaf cert TTL must be greater or equal than 1h0m0s", … */
bool ca_config_check(struct str provider, const struct ca_settings *s, struct arena *arena,
                     struct error *e);

#endif
