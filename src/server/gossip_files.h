/* The files of a gossip pool: the snapshot for rejoining and the keyring (gossip.md 11). Reading
 * happens at the start; writing on a thread of its own, in order, so that the core never waits for
 * the disk. For gossip_driver.c.
 */
#ifndef PRAETOR_SERVER_GOSSIP_FILES_H
#define PRAETOR_SERVER_GOSSIP_FILES_H

#include "base/error.h"
#include "gossip/keyring.h"
#include "net/loop.h"

#define GOSSIP_FILE_MAX ((size_t)64 << 20)

/* The file as text in the arena; absent when there is none. False: it cannot be read. */
bool gossip_file_read(struct str path, struct arena *arena, struct str *out, struct error *e);
/* The keyring that a pool starts with: that of the file if there is one, else the key of `encrypt`
 * (base64), which then is written to the file. path absent: no file. ring->len 0: no encryption. */
bool gossip_keyring_load(struct str path, struct str encrypt, struct keyring *ring,
                         struct error *e);
/* Writes beside it, renames. Mode 0600, directory 0700. */
bool gossip_keyring_store(struct str path, struct str text, struct error *e);

struct gossip_files;
/* Begins to write on a thread of its own; answers go to `core`. snapshot, keyring: paths, absent:
 * never written. */
struct gossip_files *gossip_files_start(struct loop *core, struct str snapshot, struct str keyring,
                                        struct error *e);
/* What was asked for is written; then the thread ends. Answers that are under way still run. */
void gossip_files_stop(struct gossip_files *f);
void gossip_files_free(struct gossip_files *f); /* after loop_free of the core */

/* Failures are logged. replace: the whole content, otherwise appended. */
void gossip_files_snapshot(struct gossip_files *f, bool replace, bool sync, struct str bytes);
/* done runs on the core; error: empty, or why. */
void gossip_files_keyring(struct gossip_files *f, struct str text,
                          void (*done)(void *owner, uint64_t sequence, struct str error),
                          void *owner, uint64_t sequence);

#endif
