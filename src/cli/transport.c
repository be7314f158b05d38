/* The texts of failed connections: see transport.h. */
#include "cli/transport.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

#include "cli/client.h"
#include "net/fault.h"

static bool is_ip(struct str name) {
    char text[INET6_ADDRSTRLEN], bytes[16];
    if (name.len == 0 || name.len >= sizeof text)
        return false;
    memcpy(text, name.data, name.len);
    text[name.len] = '\0';
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

static bool no_such_host(struct str name, struct error *e) {
    return error_set(e, ERROR_IO, STR_FMT, STR_ARG(fault_lookup(e->arena, name)));
}

bool transport_check_host(const struct settings *s, struct error *e) {
    if (s->host.len == 0)
        return error_set(e, ERROR_IO, "http: no Host in request URL");
    if (s->is_socket)
        return true;
    uint64_t port = 0;
    if (!str_to_u64(s->port, &port) || port > 65535)
        return error_set(e, ERROR_IO, "dial tcp: address " STR_FMT ": invalid port",
                         STR_ARG(s->port));
    if (s->name.len > 0 && !is_ip(s->name) && !fault_is_host_name(s->name))
        return no_such_host(s->name, e);
    return true;
}

bool transport_check_token(struct str token, struct error *e) {
    for (size_t i = 0; i < token.len; i++) {
        unsigned char c = (unsigned char)token.data[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) /* the peer goes on to show the secret */
            return error_set(e, ERROR_BAD_REQUEST,
                             "net/http: invalid header field value for key X-Consul-Token");
    }
    return true;
}

/* "127.0.0.1:8500", "[::1]:8500"; ":8500" when no host was given. */
static struct str peer_text(const struct failure *f, struct arena *arena) {
    char text[INET6_ADDRSTRLEN] = "";
    unsigned port = 0;
    if (f->peer.ss_family == AF_INET && f->settings->name.len > 0) {
        const struct sockaddr_in *in = (const void *)&f->peer;
        inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
        port = ntohs(in->sin_port);
        return str_format(arena, "%s:%u", text, port);
    }
    if (f->peer.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)&f->peer;
        inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof text);
        port = ntohs(in->sin6_port);
        return str_format(arena, "[%s]:%u", text, port);
    }
    return str_format(arena, STR_FMT ":" STR_FMT, STR_ARG(f->settings->name),
                      STR_ARG(f->settings->port));
}

static bool connect_failed(const struct failure *f, struct error *e) {
    int reason = f->os_errno != 0 ? f->os_errno : ECONNREFUSED;
    if (f->settings->is_socket)
        return error_set(e, ERROR_IO, "dial unix " STR_FMT ": connect: %s",
                         STR_ARG(f->settings->host), errno_text(reason));
    struct str peer = peer_text(f, e->arena);
    if (reason == ETIMEDOUT)
        return error_set(e, ERROR_IO, "dial tcp " STR_FMT ": i/o timeout", STR_ARG(peer));
    return error_set(e, ERROR_IO, "dial tcp " STR_FMT ": connect: %s", STR_ARG(peer),
                     errno_text(reason));
}

/* What OpenSSL was not asked about (codec/trust.h), or had no words for. */
static bool tls_failed(const struct failure *f, struct error *e) {
    static const char *const no_tls[] = {"wrong version number", "packet length too long"};
    for (size_t i = 0; i < sizeof no_tls / sizeof no_tls[0]; i++) {
        if (strcasestr(f->curl_text, no_tls[i]) != NULL)
            return error_set(e, ERROR_IO, "http: server gave HTTP response to HTTPS client");
    }
    if (f->code == CURLE_PEER_FAILED_VERIFICATION)
        return error_set(e, ERROR_IO, "x509: certificate signed by unknown authority");
    return error_set(e, ERROR_IO, "EOF");
}

static bool stream_failed(const struct failure *f, const char *doing, struct error *e) {
    return error_set(e, ERROR_IO, "%s tcp %s:%ld->" STR_FMT ": %s: %s", doing, f->local_ip,
                     f->local_port, STR_ARG(peer_text(f, e->arena)), doing,
                     errno_text(f->os_errno != 0 ? f->os_errno : ECONNRESET));
}

bool transport_error(const struct failure *f, struct error *e) {
    if (f->tls_fault.len > 0)
        return error_set(e, ERROR_IO, STR_FMT, STR_ARG(f->tls_fault));
    if (strncmp(f->curl_text, "Send failure", 12) == 0) /* under TLS, whatever the code */
        return stream_failed(f, "write", e);
    switch (f->code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return no_such_host(f->settings->name, e);
    case CURLE_COULDNT_CONNECT:
        return connect_failed(f, e);
    case CURLE_OPERATION_TIMEDOUT:
        if (!f->connected)
            return error_set(e, ERROR_IO, "dial tcp " STR_FMT ": i/o timeout",
                             STR_ARG(peer_text(f, e->arena)));
        return error_set(e, ERROR_IO, "context deadline exceeded");
    case CURLE_GOT_NOTHING:
        return error_set(e, ERROR_IO, "EOF");
    case CURLE_PARTIAL_FILE:
        return error_set(e, ERROR_IO, "unexpected EOF");
    case CURLE_SEND_ERROR:
        return stream_failed(f, "write", e);
    case CURLE_RECV_ERROR:
        return stream_failed(f, "read", e);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
        return tls_failed(f, e);
    case CURLE_UNSUPPORTED_PROTOCOL: /* an answer without a status line */
    case CURLE_WEIRD_SERVER_REPLY:
        return error_set(e, ERROR_IO,
                         "net/http: HTTP/1.x transport connection broken: malformed HTTP response");
    default:
        return error_set(e, ERROR_IO, "%s",
                         f->curl_text[0] != '\0' ? f->curl_text : curl_easy_strerror(f->code));
    }
}
