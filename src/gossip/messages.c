/* The tables of the messages: sorted by name, with the position in the order of declaration. */
#include "gossip/messages.h"

#include <stddef.h>

#include "base/mem.h"

#define SHAPE(s) const struct wire_shape s##_wire
#define MAX_NAMES 200000 /* of a push/pull: more than any pool has members */

static const struct wire_field ping_fields[] = {
    {"Node", WIRE_STR, 1, false, offsetof(struct ping_message, node)},
    {"SeqNo", WIRE_U32, 0, false, offsetof(struct ping_message, seq_no)},
    {"SourceAddr", WIRE_BYTES, 2, true, offsetof(struct ping_message, source_addr)},
    {"SourceNode", WIRE_STR, 4, true, offsetof(struct ping_message, source_node)},
    {"SourcePort", WIRE_U16, 3, true, offsetof(struct ping_message, source_port)},
};
SHAPE(ping) = WIRE_SHAPE(ping_message, ping_fields);

static const struct wire_field indirect_ping_fields[] = {
    {"Nack", WIRE_BOOL, 4, false, offsetof(struct indirect_ping_message, nack)},
    {"Node", WIRE_STR, 3, false, offsetof(struct indirect_ping_message, node)},
    {"Port", WIRE_U16, 2, false, offsetof(struct indirect_ping_message, port)},
    {"SeqNo", WIRE_U32, 0, false, offsetof(struct indirect_ping_message, seq_no)},
    {"SourceAddr", WIRE_BYTES, 5, true, offsetof(struct indirect_ping_message, source_addr)},
    {"SourceNode", WIRE_STR, 7, true, offsetof(struct indirect_ping_message, source_node)},
    {"SourcePort", WIRE_U16, 6, true, offsetof(struct indirect_ping_message, source_port)},
    {"Target", WIRE_BYTES, 1, false, offsetof(struct indirect_ping_message, target)},
};
SHAPE(indirect_ping) = WIRE_SHAPE(indirect_ping_message, indirect_ping_fields);

static const struct wire_field ack_fields[] = {
    {"Payload", WIRE_BYTES, 1, false, offsetof(struct ack_message, payload)},
    {"SeqNo", WIRE_U32, 0, false, offsetof(struct ack_message, seq_no)},
};
SHAPE(ack) = WIRE_SHAPE(ack_message, ack_fields);

static const struct wire_field nack_fields[] = {
    {"SeqNo", WIRE_U32, 0, false, offsetof(struct nack_message, seq_no)},
};
SHAPE(nack) = WIRE_SHAPE(nack_message, nack_fields);

static const struct wire_field error_fields[] = {
    {"Error", WIRE_STR, 0, false, offsetof(struct error_message, error)},
};
SHAPE(error) = WIRE_SHAPE(error_message, error_fields);

static const struct wire_field accusation_fields[] = {
    {"From", WIRE_STR, 2, false, offsetof(struct accusation_message, from)},
    {"Incarnation", WIRE_U32, 0, false, offsetof(struct accusation_message, incarnation)},
    {"Node", WIRE_STR, 1, false, offsetof(struct accusation_message, node)},
};
SHAPE(accusation) = WIRE_SHAPE(accusation_message, accusation_fields);

static const struct wire_field alive_fields[] = {
    {"Addr", WIRE_BYTES, 2, false, offsetof(struct alive_message, addr)},
    {"Incarnation", WIRE_U32, 0, false, offsetof(struct alive_message, incarnation)},
    {"Meta", WIRE_BYTES, 4, false, offsetof(struct alive_message, meta)},
    {"Node", WIRE_STR, 1, false, offsetof(struct alive_message, node)},
    {"Port", WIRE_U16, 3, false, offsetof(struct alive_message, port)},
    {"Vsn", WIRE_BYTES, 5, false, offsetof(struct alive_message, vsn)},
};
SHAPE(alive) = WIRE_SHAPE(alive_message, alive_fields);

static const struct wire_field compress_fields[] = {
    {"Algo", WIRE_U64, 0, false, offsetof(struct compress_message, algo)},
    {"Buf", WIRE_BYTES, 1, false, offsetof(struct compress_message, buf)},
};
SHAPE(compress) = WIRE_SHAPE(compress_message, compress_fields);

static const struct wire_field user_header_fields[] = {
    {"UserMsgLen", WIRE_I64, 0, false, offsetof(struct user_header, user_msg_len)},
};
SHAPE(user_header) = WIRE_SHAPE(user_header, user_header_fields);

static const struct wire_field push_pull_header_fields[] = {
    {"Join", WIRE_BOOL, 2, false, offsetof(struct push_pull_header, join)},
    {"Nodes", WIRE_I64, 0, false, offsetof(struct push_pull_header, nodes)},
    {"UserStateLen", WIRE_I64, 1, false, offsetof(struct push_pull_header, user_state_len)},
};
SHAPE(push_pull_header) = WIRE_SHAPE(push_pull_header, push_pull_header_fields);

static const struct wire_field node_record_fields[] = {
    {"Addr", WIRE_BYTES, 1, false, offsetof(struct node_record, addr)},
    {"Incarnation", WIRE_U32, 4, false, offsetof(struct node_record, incarnation)},
    {"Meta", WIRE_BYTES, 3, false, offsetof(struct node_record, meta)},
    {"Name", WIRE_STR, 0, false, offsetof(struct node_record, name)},
    {"Port", WIRE_U16, 2, false, offsetof(struct node_record, port)},
    {"State", WIRE_I64, 5, false, offsetof(struct node_record, state)},
    {"Vsn", WIRE_BYTES, 6, false, offsetof(struct node_record, vsn)},
};
SHAPE(node_record) = WIRE_SHAPE(node_record, node_record_fields);

/* ---- serf ---- */

static const struct wire_field leave_fields[] = {
    {"LTime", WIRE_U64, 0, false, offsetof(struct leave_message, ltime)},
    {"Node", WIRE_STR, 1, false, offsetof(struct leave_message, node)},
    {"Prune", WIRE_BOOL, 2, false, offsetof(struct leave_message, prune)},
};
SHAPE(leave) = WIRE_SHAPE(leave_message, leave_fields);

static const struct wire_field join_fields[] = {
    {"LTime", WIRE_U64, 0, false, offsetof(struct join_message, ltime)},
    {"Node", WIRE_STR, 1, false, offsetof(struct join_message, node)},
};
SHAPE(join) = WIRE_SHAPE(join_message, join_fields);

static const struct wire_field buffered_event_fields[] = {
    {"Name", WIRE_STR, 0, false, offsetof(struct buffered_event, name)},
    {"Payload", WIRE_BYTES, 1, false, offsetof(struct buffered_event, payload)},
};
static SHAPE(buffered_event) = WIRE_SHAPE(buffered_event, buffered_event_fields);

static const struct wire_field buffered_events_fields[] = {
    {"Events", WIRE_STRUCTS, 1, false, offsetof(struct buffered_events, events),
     &buffered_event_wire},
    {"LTime", WIRE_U64, 0, false, offsetof(struct buffered_events, ltime)},
};
static SHAPE(buffered_events) = WIRE_SHAPE(buffered_events, buffered_events_fields);

static const struct wire_field push_pull_state_fields[] = {
    {"EventLTime", WIRE_U64, 3, false, offsetof(struct push_pull_state, event_ltime)},
    {"Events", WIRE_STRUCTS, 4, false, offsetof(struct push_pull_state, events),
     &buffered_events_wire, 4096},
    {"LTime", WIRE_U64, 0, false, offsetof(struct push_pull_state, ltime)},
    {"LeftMembers", WIRE_STRS, 2, false, offsetof(struct push_pull_state, left_members), NULL,
     MAX_NAMES},
    {"QueryLTime", WIRE_U64, 5, false, offsetof(struct push_pull_state, query_ltime)},
    {"StatusLTimes", WIRE_LTIMES, 1, false, offsetof(struct push_pull_state, status_ltimes), NULL,
     MAX_NAMES},
};
SHAPE(push_pull_state) = WIRE_SHAPE(push_pull_state, push_pull_state_fields);

static const struct wire_field user_event_fields[] = {
    {"CC", WIRE_BOOL, 3, false, offsetof(struct user_event_message, cc)},
    {"LTime", WIRE_U64, 0, false, offsetof(struct user_event_message, ltime)},
    {"Name", WIRE_STR, 1, false, offsetof(struct user_event_message, name)},
    {"Payload", WIRE_BYTES, 2, false, offsetof(struct user_event_message, payload)},
};
SHAPE(user_event) = WIRE_SHAPE(user_event_message, user_event_fields);

static const struct wire_field query_fields[] = {
    {"Addr", WIRE_BYTES, 2, false, offsetof(struct query_message, addr)},
    {"Filters", WIRE_BYTESES, 5, false, offsetof(struct query_message, filters)},
    {"Flags", WIRE_U32, 6, false, offsetof(struct query_message, flags)},
    {"ID", WIRE_U32, 1, false, offsetof(struct query_message, id)},
    {"LTime", WIRE_U64, 0, false, offsetof(struct query_message, ltime)},
    {"Name", WIRE_STR, 9, false, offsetof(struct query_message, name)},
    {"Payload", WIRE_BYTES, 10, false, offsetof(struct query_message, payload)},
    {"Port", WIRE_U16, 3, false, offsetof(struct query_message, port)},
    {"RelayFactor", WIRE_U8, 7, false, offsetof(struct query_message, relay_factor)},
    {"SourceNode", WIRE_STR, 4, false, offsetof(struct query_message, source_node)},
    {"Timeout", WIRE_I64, 8, false, offsetof(struct query_message, timeout)},
};
SHAPE(query) = WIRE_SHAPE(query_message, query_fields);

static const struct wire_field query_response_fields[] = {
    {"Flags", WIRE_U32, 3, false, offsetof(struct query_response_message, flags)},
    {"From", WIRE_STR, 2, false, offsetof(struct query_response_message, from)},
    {"ID", WIRE_U32, 1, false, offsetof(struct query_response_message, id)},
    {"LTime", WIRE_U64, 0, false, offsetof(struct query_response_message, ltime)},
    {"Payload", WIRE_BYTES, 4, false, offsetof(struct query_response_message, payload)},
};
SHAPE(query_response) = WIRE_SHAPE(query_response_message, query_response_fields);

static const struct wire_field tag_filter_fields[] = {
    {"Expr", WIRE_STR, 1, false, offsetof(struct tag_filter, expr)},
    {"Tag", WIRE_STR, 0, false, offsetof(struct tag_filter, tag)},
};
SHAPE(tag_filter) = WIRE_SHAPE(tag_filter, tag_filter_fields);

static const struct wire_field relay_address_fields[] = {
    {"IP", WIRE_BYTES, 0, false, offsetof(struct relay_address, ip)},
    {"Port", WIRE_I64, 1, false, offsetof(struct relay_address, port)},
    {"Zone", WIRE_STR, 2, false, offsetof(struct relay_address, zone)},
};
static SHAPE(relay_address) = WIRE_SHAPE(relay_address, relay_address_fields);

static const struct wire_field relay_header_fields[] = {
    {"DestAddr", WIRE_STRUCT, 0, false, offsetof(struct relay_header, dest_addr),
     &relay_address_wire},
    {"DestName", WIRE_STR, 1, false, offsetof(struct relay_header, dest_name)},
};
SHAPE(relay_header) = WIRE_SHAPE(relay_header, relay_header_fields);

static const struct wire_field conflict_member_fields[] = {
    {"Addr", WIRE_BYTES, 1, false, offsetof(struct conflict_member, addr)},
    {"DelegateCur", WIRE_U8, 10, false, offsetof(struct conflict_member, delegate_cur)},
    {"DelegateMax", WIRE_U8, 9, false, offsetof(struct conflict_member, delegate_max)},
    {"DelegateMin", WIRE_U8, 8, false, offsetof(struct conflict_member, delegate_min)},
    {"Name", WIRE_STR, 0, false, offsetof(struct conflict_member, name)},
    {"Port", WIRE_U16, 2, false, offsetof(struct conflict_member, port)},
    {"ProtocolCur", WIRE_U8, 7, false, offsetof(struct conflict_member, protocol_cur)},
    {"ProtocolMax", WIRE_U8, 6, false, offsetof(struct conflict_member, protocol_max)},
    {"ProtocolMin", WIRE_U8, 5, false, offsetof(struct conflict_member, protocol_min)},
    {"Status", WIRE_I64, 4, false, offsetof(struct conflict_member, status)},
    {"Tags", WIRE_TAGS, 3, false, offsetof(struct conflict_member, tags)},
};
SHAPE(conflict_member) = WIRE_SHAPE(conflict_member, conflict_member_fields);

static const struct wire_field key_request_fields[] = {
    {"Key", WIRE_BYTES, 0, false, offsetof(struct key_request, key)},
};
SHAPE(key_request) = WIRE_SHAPE(key_request, key_request_fields);

static const struct wire_field key_response_fields[] = {
    {"Keys", WIRE_STRS, 2, false, offsetof(struct key_response, keys)},
    {"Message", WIRE_STR, 1, false, offsetof(struct key_response, message)},
    {"PrimaryKey", WIRE_STR, 3, false, offsetof(struct key_response, primary_key)},
    {"Result", WIRE_BOOL, 0, false, offsetof(struct key_response, result)},
};
SHAPE(key_response) = WIRE_SHAPE(key_response, key_response_fields);

static const struct wire_field coordinate_fields[] = {
    {"Adjustment", WIRE_F64, 2, false, offsetof(struct coordinate_payload, adjustment)},
    {"Error", WIRE_F64, 1, false, offsetof(struct coordinate_payload, error)},
    {"Height", WIRE_F64, 3, false, offsetof(struct coordinate_payload, height)},
    {"Vec", WIRE_F64S, 0, false, offsetof(struct coordinate_payload, vec)},
};
SHAPE(coordinate) = WIRE_SHAPE(coordinate_payload, coordinate_fields);

/* ---- lists alone ---- */

bool message_read_names(struct str bytes, struct wire_list *names, struct arena *arena,
                        struct error *e) {
    /* The list as the only field of a structure: read as an array of that one. */
    static const struct wire_field fields[] = {{"", WIRE_STRS, 0, false, 0}};
    static const struct wire_shape shape = {.fields = fields, .len = 1, .size = sizeof *names};
    struct buf whole = BUF_INIT;
    msgpack_write_array(&whole, 1);
    buf_add_str(&whole, bytes);
    struct str copy = str_copy(arena, buf_str(&whole));
    buf_free(&whole);
    return wire_read_all(copy, &shape, names, arena, e);
}

void message_write_names(struct buf *out, const struct str *names, size_t len) {
    msgpack_write_array(out, (uint32_t)len);
    for (size_t i = 0; i < len; i++)
        msgpack_write_str(out, names[i]);
}
