/* The keys of encrypted gossip, as a value (gossip.md 2.6): an ordered list, of which the first
 * encrypts and all decrypt; and the text of its file (gossip.md 11.2). No files are touched here.
 */
#ifndef PRAETOR_GOSSIP_KEYRING_H
#define PRAETOR_GOSSIP_KEYRING_H

#include "base/buf.h"
#include "base/error.h"

#define KEYRING_MAX 64 /* keys; the peer has no limit, but an answer holds some twenty of them */
#define KEY_MAX 32     /* bytes */

struct gossip_key {
    uint8_t bytes[KEY_MAX];
    uint8_t len; /* 16, 24 or 32 */
};
struct keyring {
    struct gossip_key keys[KEYRING_MAX];
    size_t len; /* 0: no encryption */
};

/* A no-op when it is there already. The first becomes the primary. */
bool keyring_add(struct keyring *ring, struct str key, struct error *e);
/* Makes it the primary. */
bool keyring_use(struct keyring *ring, struct str key, struct error *e);
/* A no-op when it is not there. */
bool keyring_remove(struct keyring *ring, struct str key, struct error *e);
bool keyring_has(const struct keyring *ring, struct str key);

/* The file's text: JSON list of base64 texts. Error texts without the path: "no keys present in
 * keyring" needs it, and gets it from the caller. */
bool keyring_parse(struct keyring *ring, struct str text, struct error *e);
/* The form of the first start, ["key"], or that after a change, indented. */
void keyring_format(struct buf *out, const struct keyring *ring, bool indented);

#endif
