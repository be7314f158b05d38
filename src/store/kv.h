/* The key/value table and its tombstones. Keys are bytes, of any length, and sort bytewise.
 * Conventions of reads: store/catalog.h.
 */
#ifndef PRAETOR_STORE_KV_H
#define PRAETOR_STORE_KV_H

#include "schema/kv.h"
#include "store/store.h"

/* NULL when there is none. */
uint64_t kv_get(struct store_read *r, struct str key, struct dir_entry **entry);
/* struct dir_entry *, by key; nil when there is none. */
uint64_t kv_list(struct store_read *r, struct str prefix, struct list *entries);
/* Whether a key, as it is stored, is to be in a list. */
typedef bool kv_keep(const void *owner, struct str key);
/* str, cut after the first separator behind the prefix (rpc.md 6.4); "" does not cut. keep is asked
 * before a key is cut; NULL: all. Present also when none was kept. */
uint64_t kv_list_keys(struct store_read *r, struct str prefix, struct str separator, kv_keep *keep,
                      const void *owner, struct list *keys);

/* The same as kv_list, one at a time, without a copy: for answers that are written as they are
 * read. The entry's strings point into the snapshot and are valid until the read ends. */
struct kv_scan;
struct kv_scan *kv_scan_begin(struct store_read *r, struct str prefix);
bool kv_scan_next(struct kv_scan *scan, struct dir_entry *entry);
/* The index of the whole list (what was not read is read now). Must be called once. */
uint64_t kv_scan_end(struct kv_scan *scan);

/* How many tombstones there are. For tests and gauges: it counts them. */
uint64_t kv_tombstone_count(struct store_read *r);

#endif
