/* The messages of gossip (gossip.md 3, 4, 9 and 10) as structs, with the tables that read and write
 * them. Fields are the wire's in snake_case.
 */
#ifndef PRAETOR_GOSSIP_MESSAGES_H
#define PRAETOR_GOSSIP_MESSAGES_H

#include "gossip/wire.h"

/* First byte of each message. */
enum message_type {
    MESSAGE_PING = 0,
    MESSAGE_INDIRECT_PING = 1,
    MESSAGE_ACK = 2,
    MESSAGE_SUSPECT = 3,
    MESSAGE_ALIVE = 4,
    MESSAGE_DEAD = 5,
    MESSAGE_PUSH_PULL = 6,
    MESSAGE_COMPOUND = 7,
    MESSAGE_USER = 8,
    MESSAGE_COMPRESS = 9,
    MESSAGE_ENCRYPT = 10,
    MESSAGE_NACK = 11,
    MESSAGE_CRC = 12,
    MESSAGE_ERROR = 13,
};

/* First byte behind MESSAGE_USER, of a push/pull's user state, and of internal queries' payloads.
 */
enum serf_type {
    SERF_LEAVE = 0,
    SERF_JOIN = 1,
    SERF_PUSH_PULL = 2,
    SERF_USER_EVENT = 3,
    SERF_QUERY = 4,
    SERF_QUERY_RESPONSE = 5,
    SERF_CONFLICT_RESPONSE = 6,
    SERF_KEY_REQUEST = 7,
    SERF_KEY_RESPONSE = 8,
    SERF_RELAY = 9,
};

struct ping_message {
    uint32_t seq_no;
    struct str node;
    struct str source_addr;
    uint16_t source_port;
    struct str source_node;
};
struct indirect_ping_message {
    uint32_t seq_no;
    struct str target;
    uint16_t port;
    struct str node;
    bool nack;
    struct str source_addr;
    uint16_t source_port;
    struct str source_node;
};
struct ack_message {
    uint32_t seq_no;
    struct str payload;
};
struct nack_message {
    uint32_t seq_no;
};
struct error_message {
    struct str error;
};
struct accusation_message { /* suspect, dead */
    uint32_t incarnation;
    struct str node, from;
};
struct alive_message {
    uint32_t incarnation;
    struct str node, addr;
    uint16_t port;
    struct str meta, vsn;
};
struct compress_message {
    uint64_t algo;
    struct str buf;
};
struct user_header {
    int64_t user_msg_len;
};
struct push_pull_header {
    int64_t nodes, user_state_len;
    bool join;
};
struct node_record {
    struct str name, addr;
    uint16_t port;
    struct str meta;
    uint32_t incarnation;
    int64_t state;
    struct str vsn;
};

struct leave_message {
    uint64_t ltime;
    struct str node;
    bool prune;
};
struct join_message {
    uint64_t ltime;
    struct str node;
};
struct buffered_event {
    struct str name, payload;
};
struct buffered_events {
    uint64_t ltime;
    struct wire_list events; /* of struct buffered_event * */
};
struct push_pull_state {
    uint64_t ltime;
    struct wire_list status_ltimes;
    struct wire_list left_members;
    uint64_t event_ltime;
    struct wire_list events; /* of struct buffered_events *, NULL where empty */
    uint64_t query_ltime;
};
struct user_event_message {
    uint64_t ltime;
    struct str name, payload;
    bool cc;
};

enum { QUERY_FLAG_ACK = 1, QUERY_FLAG_NO_BROADCAST = 2 };
struct query_message {
    uint64_t ltime;
    uint32_t id;
    struct str addr;
    uint16_t port;
    struct str source_node;
    struct wire_list filters; /* of struct str */
    uint32_t flags;
    uint8_t relay_factor;
    int64_t timeout;
    struct str name, payload;
};
enum { RESPONSE_FLAG_ACK = 1 };
struct query_response_message {
    uint64_t ltime;
    uint32_t id;
    struct str from;
    uint32_t flags;
    struct str payload;
};
enum { FILTER_NODES = 0, FILTER_TAG = 1 };
struct tag_filter {
    struct str tag, expr;
};
struct relay_address {
    struct str ip;
    int64_t port;
    struct str zone;
};
struct relay_header {
    struct relay_address dest_addr;
    struct str dest_name;
};
struct conflict_member {
    struct str addr;
    uint8_t delegate_cur, delegate_max, delegate_min;
    struct str name;
    uint16_t port;
    uint8_t protocol_cur, protocol_max, protocol_min;
    int64_t status;
    struct wire_list tags;
};
struct key_request {
    struct str key;
};
struct key_response {
    bool result;
    struct str message;
    struct wire_list keys; /* of struct str */
    struct str primary_key;
};
struct coordinate_payload {
    struct wire_list vec; /* of double */
    double error, adjustment, height;
};

extern const struct wire_shape ping_wire, indirect_ping_wire, ack_wire, nack_wire, error_wire,
    accusation_wire, alive_wire, compress_wire, user_header_wire, push_pull_header_wire,
    node_record_wire;
extern const struct wire_shape leave_wire, join_wire, push_pull_state_wire, user_event_wire,
    query_wire, query_response_wire, tag_filter_wire, relay_header_wire, conflict_member_wire,
    key_request_wire, key_response_wire, coordinate_wire;

/* The filter of type 0 is a list alone. */
bool message_read_names(struct str bytes, struct wire_list *names, struct arena *arena,
                        struct error *e);
void message_write_names(struct buf *out, const struct str *names, size_t len);

#endif
