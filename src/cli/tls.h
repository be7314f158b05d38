/* What the commands below `tls` share: files that must not be there yet. For tls_*.c.
 */
#ifndef PRAETOR_CLI_TLS_H
#define PRAETOR_CLI_TLS_H

#include "cli/certificate.h"
#include "cli/command.h"

/* Whether a file is, or may be, there: only one that certainly is not can be written. */
bool tls_file_exists(struct str path, struct arena *arena);
/* Writes both and says so on standard output, the certificate first. The key is for its owner
 * alone. Folders in the names are made. Returns the exit code. */
int tls_save(struct cli *cli, struct str certificate_path, struct str key_path,
             const struct certificate_pair *pair);

#endif
