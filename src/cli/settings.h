/* Where the agent is and how to talk to it: flags and environment brought together (cli.md 1.4).
 */
#ifndef PRAETOR_CLI_SETTINGS_H
#define PRAETOR_CLI_SETTINGS_H

#include "cli/command.h"

struct settings {
    bool https;
    bool verify;
    struct str host; /* as given: "127.0.0.1:8500"; the path of a socket when it is one */
    bool is_socket;
    struct str name;       /* host to look up or dial, without brackets */
    struct str port;       /* digits */
    struct str shown_host; /* as it stands in the texts of errors: escaped */
    struct str token;
    struct str authorization; /* value of the header; absent without */
    struct str datacenter, name_space;
    struct str ca;                      /* PEM; absent: the system's authorities */
    struct str ca_text;                 /* the same as the files have it */
    struct str client_cert, client_key; /* paths */
    struct str server_name;             /* empty: the host's */
};

/* Warnings go to cli->err. Everything is in cli->arena. The error's text is E of cli.md 1.4. */
bool settings_read(struct cli *cli, struct settings *to, struct error *e);

#endif
