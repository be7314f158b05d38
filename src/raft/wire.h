/* Raft's messages as they are on a connection between servers (raft.md 1): one type byte and a
 * msgpack map for a request, an error string and a map (or nil) for its response. Bytes to values
 * and back; who is connected to whom is the transport's.
 */
#ifndef PRAETOR_RAFT_WIRE_H
#define PRAETOR_RAFT_WIRE_H

#include "base/buf.h"
#include "raft/raft.h"

#define RAFT_WIRE_PROTOCOL 3       /* the newest; `own` below is that of this server, 1 to 3 */
#define RAFT_WIRE_MAX_ENTRIES 1024 /* a request with more is no request */

enum raft_wire_status {
    RAFT_WIRE_DONE,
    RAFT_WIRE_MORE, /* what is here is not the whole of it yet */
    RAFT_WIRE_BAD,  /* close the connection; the error says why */
};

/* APPEND (entries must be there), VOTE, INSTALL (what follows it are `size` raw bytes),
 * TIMEOUT_NOW. */
void raft_wire_write_request(const struct raft_message *m, unsigned own, struct buf *out);
/* The results of these; error: mostly empty. */
void raft_wire_write_response(const struct raft_message *m, struct str error, unsigned own,
                              struct buf *out);
/* A request that is refused before it is looked at: version. */
void raft_wire_write_refusal(struct str text, struct buf *out);

/* Where a request ends, found piece by piece: a big one comes in many reads, each of which is
 * looked at once. Zero at the start of each request. */
#define RAFT_WIRE_DEPTH 16
struct raft_wire_scan {
    size_t at; /* looked at so far; beyond the end of `bytes` when a string is on its way */
    unsigned depth;
    uint64_t left[RAFT_WIRE_DEPTH]; /* values still to come, by depth */
};
/* bytes: all that has come of the request, the same and more at each call. DONE: it has s->at
 * bytes.
 */
enum raft_wire_status raft_wire_scan(struct raft_wire_scan *s, struct str bytes, struct error *e);
/* Reads one request from the start of `bytes`; *used is what it took. Strings and the entries'
 * array are in the arena; entries and the configuration are references that raft_wire_release lets
 * go. */
enum raft_wire_status raft_wire_read_request(struct str bytes, size_t *used, struct raft_message *m,
                                             int64_t *protocol, struct arena *arena,
                                             struct error *e);
void raft_wire_release(struct raft_message *m);
/* Reads the response to a request of that kind: m becomes its result, or *refusal the error text (m
 * is then not touched). */
enum raft_wire_status raft_wire_read_response(enum raft_message_kind request, struct str bytes,
                                              size_t *used, struct raft_message *m,
                                              struct str *refusal, struct arena *arena,
                                              struct error *e);

/* Whether a request of that version is answered (raft.md 1.5), and what is said otherwise. */
bool raft_wire_version_ok(int64_t protocol, unsigned own);
#define RAFT_WIRE_VERSION_ERROR "operation not supported with current protocol version"

#endif
