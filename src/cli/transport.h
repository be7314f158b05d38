/* The texts of failed connections, as the peer's language words them (cli.md 1.4). For client.c.
 */
#ifndef PRAETOR_CLI_TRANSPORT_H
#define PRAETOR_CLI_TRANSPORT_H

#include <curl/curl.h>
#include <sys/socket.h>

#include "base/error.h"
#include "cli/settings.h"

/* What is known of a call that failed. */
struct failure {
    CURLcode code;
    const char *curl_text;        /* CURLOPT_ERRORBUFFER */
    struct sockaddr_storage peer; /* the first address that was tried; family 0: none */
    int os_errno;
    bool connected;
    const char *local_ip; /* of this side; empty when unknown */
    long local_port;
    const struct settings *settings;
    struct str tls_fault; /* what OpenSSL saw of it, in the peer's words; absent: nothing */
};

/* Sets the error to the reason, without the method and URL in front. */
bool transport_error(const struct failure *f, struct error *e);
/* Hosts that can be dialled at all; false sets the reason. */
bool transport_check_host(const struct settings *s, struct error *e);
/* Tokens that can stand in a header: no control characters, above all no line ends. */
bool transport_check_token(struct str token, struct error *e);

#endif
