/* Flags, environment and files that say how to reach the agent: see settings.h. */
#include "cli/settings.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/time.h"
#include "cli/client.h"
#include "cli/input.h"
#include "codec/base64.h"
#include "codec/trust.h"

#define CA_DEPTH_MAX 16 /* folders in folders */

static struct str env(const char *name) {
    return str_from(getenv(name));
}

/* A flag that is not empty, else the environment. */
static struct str flag_or_env(const struct flag_set_string *flag, const char *name) {
    return flag->value.len > 0 ? flag->value : env(name);
}

/* Unset and unreadable count as `otherwise`. */
static bool env_bool(struct cli *cli, const char *name, bool otherwise, struct buf *warnings) {
    struct str text = env(name);
    bool value = false;
    if (text.len == 0 || str_to_bool(text, &value))
        return text.len == 0 ? otherwise : value;
    struct timestamp now = timestamp_from_unix_ns(time_now_wall() / MILLISECOND * MILLISECOND);
    struct str at = timestamp_format(cli->arena, now);
    struct str second = str_sub(at, 0, 19); /* the format cuts zeros, a log line does not */
    buf_add_format(warnings,
                   STR_FMT ".%03dZ [WARN]  consul-api: could not parse %s: "
                           "error=\"strconv.ParseBool: parsing " STR_FMT ": invalid syntax\"\n",
                   STR_ARG(second), now.nanoseconds / 1000000, name,
                   STR_ARG(str_quote(cli->arena, text)));
    return false;
}

static void read_switches(struct cli *cli, struct settings *to) {
    struct buf warnings = BUF_INIT;
    to->https = env_bool(cli, "CONSUL_HTTP_SSL", false, &warnings);
    to->verify = env_bool(cli, "CONSUL_HTTP_SSL_VERIFY", true, &warnings);
    for (int i = 0; i < 2 && warnings.len > 0; i++) /* the peer reads its environment twice */
        fwrite(warnings.data, 1, warnings.len, cli->err);
    buf_free(&warnings);
}

/* ---- authorities ---- */

struct authorities {
    struct buf pem;  /* the certificates alone */
    struct buf text; /* of the files */
};

static bool add_pem(struct str path, struct authorities *to, const char *kind, struct arena *arena,
                    struct error *e) {
    struct str text;
    if (!file_read(str_terminated(arena, path), &text, arena, e))
        return error_prefix(e, "Error loading %s: ", kind);
    BIO *in = BIO_new_mem_buf(text.data, (int)text.len), *out = BIO_new(BIO_s_mem());
    char *data;
    for (X509 *x; (x = trust_next(in)) != NULL; X509_free(x))
        PEM_write_bio_X509(out, x);
    size_t len = (size_t)BIO_get_mem_data(out, &data);
    buf_add(&to->pem, data, len);
    buf_add_str(&to->text, text);
    BIO_free(in);
    BIO_free(out);
    return len > 0 ||
           error_set(e, ERROR_BAD_REQUEST, "Error loading %s: Couldn't parse PEM in: " STR_FMT,
                     kind, STR_ARG(path));
}

static bool add_folder(struct str path, struct authorities *to, int depth, struct arena *arena,
                       struct error *e) {
    char *terminated = str_terminated(arena, path);
    struct stat about;
    if (lstat(terminated, &about) != 0)
        return error_set(e, ERROR_IO, "lstat %s: %s", terminated, errno_text(errno));
    if (!S_ISDIR(about.st_mode))
        return add_pem(path, to, "CA Path", arena, e);
    struct dirent **entries = NULL;
    int count = depth > 0 ? scandir(terminated, &entries, NULL, alphasort) : 0;
    if (count < 0)
        return error_set(e, ERROR_IO, "open %s: %s", terminated, errno_text(errno));
    bool ok = true;
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        if (ok && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
            ok = add_folder(str_format(arena, "%s/%s", terminated, name), to, depth - 1, arena, e);
        free(entries[i]);
    }
    free(entries);
    return ok;
}

/* Files that libcurl reads again; here only to say what is wrong with them. */
static bool check_pair(struct str cert_path, struct str key_path, struct arena *arena,
                       struct error *e) {
    struct str cert, key;
    struct trust_pair pair;
    if (!file_read(str_terminated(arena, cert_path), &cert, arena, e) ||
        !file_read(str_terminated(arena, key_path), &key, arena, e) ||
        !trust_read_pair(cert, key, &pair, e))
        return false;
    trust_pair_free(&pair);
    return true;
}

static ptrdiff_t last_of(struct str text, char c) {
    const char *at = text.len > 0 ? memrchr(text.data, c, text.len) : NULL;
    return at != NULL ? at - text.data : -1;
}

/* "host", "host:port", "[v6]" and "[v6]:port" are the host. */
static bool read_server_name(struct str given, struct str *name, struct error *e) {
    ptrdiff_t colon = last_of(given, ':'), bracket = last_of(given, ']');
    const char *fault = NULL;
    *name = given;
    if (colon > bracket)
        *name = str_sub(given, 0, (size_t)colon);
    if (str_has_prefix(*name, STR("["))) {
        if (str_has_suffix(*name, STR("]")))
            *name = str_sub(*name, 1, name->len - 2);
        else
            fault = "missing ']' in address";
    } else if (str_find_char(*name, ':') >= 0) {
        fault = "too many colons in address";
    }
    return fault == NULL ||
           error_set(e, ERROR_BAD_REQUEST, "address " STR_FMT ": %s", STR_ARG(given), fault);
}

static bool read_tls(struct cli *cli, struct settings *to, struct error *e) {
    struct http_options *http = &cli->http;
    struct str ca_file = flag_or_env(&http->ca_file, "CONSUL_CACERT");
    struct str ca_path = flag_or_env(&http->ca_path, "CONSUL_CAPATH");
    to->client_cert = flag_or_env(&http->client_cert, "CONSUL_CLIENT_CERT");
    to->client_key = flag_or_env(&http->client_key, "CONSUL_CLIENT_KEY");
    struct str server = flag_or_env(&http->tls_server_name, "CONSUL_TLS_SERVER_NAME");
    if (!read_server_name(server, &to->server_name, e))
        return false;
    if ((to->client_cert.len > 0) != (to->client_key.len > 0))
        return error_set(e, ERROR_BAD_REQUEST, "both client cert and client key must be provided");
    if (to->client_cert.len > 0 && !check_pair(to->client_cert, to->client_key, cli->arena, e))
        return false;
    struct authorities all = {0};
    bool ok = true;
    if (ca_file.len > 0)
        ok = add_pem(ca_file, &all, "CA File", cli->arena, e);
    else if (ca_path.len > 0)
        ok = add_folder(ca_path, &all, CA_DEPTH_MAX, cli->arena, e);
    if (ok && (ca_file.len > 0 || ca_path.len > 0)) {
        to->ca = str_copy(cli->arena, all.pem.len > 0 ? buf_str(&all.pem) : STR(""));
        to->ca_text = str_copy(cli->arena, buf_str(&all.text));
    }
    buf_free(&all.pem);
    buf_free(&all.text);
    return ok;
}

/* ---- the address ---- */

/* What may stand in the host of a URL; the rest is shown as %XX. */
static struct str escape_host(struct arena *arena, struct str host) {
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < host.len; i++) {
        unsigned char c = (unsigned char)host.data[i];
        if (isalnum(c) || (c != '\0' && strchr("-_.~!$&'()*+,;=:[]<>\"", c) != NULL))
            buf_add_char(&out, (char)c);
        else
            buf_add_format(&out, "%%%02X", c);
    }
    struct str escaped = out.len > 0 ? str_copy(arena, buf_str(&out)) : STR("");
    buf_free(&out);
    return escaped;
}

static bool all_digits(struct str s) {
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
    }
    return true;
}

/* "host:port", "[v6]:port"; a last part that is no number belongs to the host. */
static void split_host(struct settings *to) {
    struct str host = to->host;
    to->port = to->https ? STR("443") : STR("80");
    for (size_t i = host.len; i > 0; i--) {
        if (host.data[i - 1] == ']')
            break;
        if (host.data[i - 1] != ':')
            continue;
        struct str port = str_sub(host, i, host.len);
        if (all_digits(port)) {
            to->port = port.len > 0 ? port : to->port;
            host.len = i - 1;
        }
        break;
    }
    if (host.len >= 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
        host = str_sub(host, 1, host.len - 2);
    to->name = host;
}

static bool read_address(struct cli *cli, struct settings *to, struct error *e) {
    struct str address = flag_or_env(&cli->http.address, "CONSUL_HTTP_ADDR");
    if (address.len == 0)
        address = STR("127.0.0.1:8500");
    ptrdiff_t at = str_find(address, STR("://"), 0);
    if (at >= 0) {
        struct str scheme = str_sub(address, 0, (size_t)at);
        address = str_sub(address, (size_t)at + 3, address.len);
        if (str_is(scheme, "https")) {
            to->https = true;
        } else if (str_is(scheme, "unix")) {
            to->is_socket = true;
        } else if (!str_is(scheme, "http")) {
            return error_set(e, ERROR_BAD_REQUEST, "Unknown protocol scheme: " STR_FMT,
                             STR_ARG(scheme));
        }
    }
    to->host = address;
    to->shown_host = escape_host(cli->arena, address);
    if (!to->is_socket)
        split_host(to);
    return true;
}

static bool read_token(struct cli *cli, struct settings *to, struct error *e) {
    to->token = flag_or_env(&cli->http.token, "CONSUL_HTTP_TOKEN");
    const struct flag_set_string *flag = &cli->http.token_file;
    struct str path = flag->set ? flag->value : env("CONSUL_HTTP_TOKEN_FILE");
    if (path.len == 0)
        return true;
    struct str text;
    if (!file_read(str_terminated(cli->arena, path), &text, cli->arena, e))
        return error_prefix(e, "Error loading token file: ");
    text = str_trim(text);
    if (text.len > 0)
        to->token = text;
    return true;
}

static void read_basic_auth(struct cli *cli, struct settings *to) {
    struct str user = env("CONSUL_HTTP_AUTH");
    if (user.len == 0)
        return;
    struct buf out = BUF_INIT, pair = BUF_INIT;
    buf_add_str(&pair, user);
    if (str_find_char(user, ':') < 0)
        buf_add_char(&pair, ':');
    buf_add_text(&out, "Basic ");
    base64_encode(&out, buf_str(&pair));
    to->authorization = str_copy(cli->arena, buf_str(&out));
    buf_free(&pair);
    buf_free(&out);
}

bool settings_read(struct cli *cli, struct settings *to, struct error *e) {
    *to = (struct settings){0};
    read_switches(cli, to);
    if (!read_tls(cli, to, e) || !read_address(cli, to, e) ||
        (!cli->tokenless && !read_token(cli, to, e)))
        return false;
    read_basic_auth(cli, to);
    to->datacenter = cli->http.datacenter.value;
    to->name_space =
        cli->http.name_space.set ? cli->http.name_space.value : env("CONSUL_NAMESPACE");
    return true;
}
