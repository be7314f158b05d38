/* The flags that every command has which talks to an agent (cli.md 1.4).
 */
#include "base/mem.h"
#include "cli/command.h"

#define AT(member) offsetof(struct http_options, member)

static const struct flag client_flags[] = {
    {"ca-file", FLAG_SET_STRING, AT(ca_file), NULL,
     "File of certificates (PEM) of the authorities to trust when the agent is reached over TLS. "
     "Environment: CONSUL_CACERT."},
    {"ca-path", FLAG_SET_STRING, AT(ca_path), NULL,
     "Folder with such files, all of which are read. Environment: CONSUL_CAPATH."},
    {"client-cert", FLAG_SET_STRING, AT(client_cert), NULL,
     "File with the certificate (PEM) to show to an agent that asks for one. Needs -client-key. "
     "Environment: CONSUL_CLIENT_CERT."},
    {"client-key", FLAG_SET_STRING, AT(client_key), NULL,
     "File with the key of -client-cert. Environment: CONSUL_CLIENT_KEY."},
    {"http-addr", FLAG_SET_STRING, AT(address), "address",
     "Where the agent's HTTP API is: host:port, with http:// or https:// before it if you like, or "
     "unix:// and the path of a socket. Environment: CONSUL_HTTP_ADDR. Without either it is "
     "127.0.0.1:8500. CONSUL_HTTP_SSL=true asks for https as well."},
    {"tls-server-name", FLAG_SET_STRING, AT(tls_server_name), NULL,
     "Name that the agent's certificate must have, when it is not the one in the address. "
     "Environment: CONSUL_TLS_SERVER_NAME."},
    {"token", FLAG_SET_STRING, AT(token), NULL,
     "Secret of the ACL token to use. Environment: CONSUL_HTTP_TOKEN. Without one the agent's "
     "default token counts."},
    {"token-file", FLAG_SET_STRING, AT(token_file), NULL,
     "File to read that secret from; it wins over -token. Environment: CONSUL_HTTP_TOKEN_FILE."},
};
static const struct flag server_flags[] = {
    {"datacenter", FLAG_SET_STRING, AT(datacenter), NULL,
     "Datacenter to ask. Without it, the agent's own."},
    {"stale", FLAG_SET_BOOL, AT(stale), NULL,
     "Let any server answer, not only the leader: quicker, but what it says may be old. Only reads "
     "look at this."},
};
static const struct flag namespace_flag = {
    "namespace", FLAG_SET_STRING, AT(name_space), "default",
    "Namespace to ask. Only Enterprise servers have more than the default one. Environment: "
    "CONSUL_NAMESPACE."};

size_t http_flags(unsigned groups, struct flag *out) {
    size_t count = 0;
    if (groups & GROUP_CLIENT) {
        memcpy(out, client_flags, sizeof client_flags);
        count += COUNT_OF(client_flags);
    }
    if (groups & GROUP_SERVER) {
        memcpy(out + count, server_flags, sizeof server_flags);
        count += COUNT_OF(server_flags);
    }
    if (groups & GROUP_NAMESPACE)
        out[count++] = namespace_flag;
    ASSERT(count <= HTTP_FLAGS_MAX);
    return count;
}

bool http_flag_is_api_option(const char *name) {
    for (size_t i = 0; i < COUNT_OF(client_flags); i++) {
        if (strcmp(client_flags[i].name, name) == 0)
            return true;
    }
    return strcmp(name, "datacenter") == 0 || strcmp(name, "stale") == 0;
}
