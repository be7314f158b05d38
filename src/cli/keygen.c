/* `keygen`: a key for encrypting gossip (cli.md 2.16).
 */
#include "base/random.h"
#include "cli/commands.h"
#include "codec/base64.h"

#define KEY_BYTES 32

static int run(struct cli *cli, const void *options) {
    (void)options;
    char key[KEY_BYTES];
    struct buf text = BUF_INIT;
    random_bytes(key, sizeof key);
    base64_encode(&text, str_of(key, sizeof key));
    cli_out_bytes(cli, buf_str(&text));
    buf_free(&text);
    return CLI_OK;
}

const struct command command_keygen = {
    .name = "keygen",
    .synopsis = "Makes a key for encrypting gossip",
    .usage = "keygen",
    .about = "  Prints a random key of 32 bytes as the agent's \"encrypt\" setting takes it.\n",
    .run = run,
};
