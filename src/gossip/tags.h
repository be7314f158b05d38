/* Tags of a member: a small map from string to string, carried with its record as an opaque blob of
 * at most 512 bytes (gossip.md 9.11). Ours are written sorted, since others compare them bytewise.
 */
#ifndef PRAETOR_GOSSIP_TAGS_H
#define PRAETOR_GOSSIP_TAGS_H

#include "base/error.h"

struct gossip_tag {
    struct str name, value;
};

/* Sorts and encodes. "Encoded length of tags exceeds limit of 512 bytes". */
bool gossip_tags_write(const struct gossip_tag *tags, size_t len, struct str *meta,
                       struct arena *arena, struct error *e);
/* Sorted by name; of two equal names the later counts. What cannot be decoded is left out. The
 * strings are views into meta. */
size_t gossip_tags_read(struct str meta, struct gossip_tag **tags, struct arena *arena);
/* One tag, without memory; a view into meta; absent when it is not there. */
struct str gossip_tag_get(struct str meta, struct str name);

#endif
