/* What each log entry type does to the tables (fsm.md 3 to 5): the functions in apply.c's table,
 * and those that entry types share. For src/store/ only. How to add one: store/tables.h.
 *
 * Functions that return bool set `e` to the text of fsm.md and return false when they refuse; they
 * may have written by then (the entry is undone as a whole).
 */
#ifndef PRAETOR_STORE_APPLY_H
#define PRAETOR_STORE_APPLY_H

#include "store/tables.h"

/* ---- entry types: catalog_write.c, kv.c, session.c, coordinate.c, txn.c, autopilot.c ---- */

void apply_register(struct store_batch *b, void *request, struct store_result *result);
void apply_deregister(struct store_batch *b, void *request, struct store_result *result);
void apply_kvs(struct store_batch *b, void *request, struct store_result *result);
void apply_tombstone(struct store_batch *b, void *request, struct store_result *result);
void apply_session(struct store_batch *b, void *request, struct store_result *result);
void apply_txn(struct store_batch *b, void *request, struct store_result *result);
void apply_autopilot(struct store_batch *b, void *request, struct store_result *result);
bool apply_coordinates(struct store_batch *b, struct str body, struct store_result *result,
                       struct error *e);

/* ---- entry types: acl_apply.c, intention.c, connect_ca.c, query.c, federation.c ---- */

void apply_legacy_acl(struct store_batch *b, void *request, struct store_result *result);
void apply_acl_bootstrap(struct store_batch *b, void *request, struct store_result *result);
void apply_acl_token_set(struct store_batch *b, void *request, struct store_result *result);
void apply_acl_token_delete(struct store_batch *b, void *request, struct store_result *result);
void apply_acl_policy_set(struct store_batch *b, void *request, struct store_result *result);
void apply_acl_policy_delete(struct store_batch *b, void *request, struct store_result *result);
void apply_acl_role_set(struct store_batch *b, void *request, struct store_result *result);
void apply_acl_role_delete(struct store_batch *b, void *request, struct store_result *result);
void apply_acl_binding_rule_set(struct store_batch *b, void *request, struct store_result *result);
void apply_acl_binding_rule_delete(struct store_batch *b, void *request,
                                   struct store_result *result);
void apply_acl_auth_method_set(struct store_batch *b, void *request, struct store_result *result);
void apply_acl_auth_method_delete(struct store_batch *b, void *request,
                                  struct store_result *result);

void apply_intention(struct store_batch *b, void *request, struct store_result *result);
void apply_connect_ca(struct store_batch *b, void *request, struct store_result *result);
void apply_connect_ca_leaf(struct store_batch *b, void *request, struct store_result *result);
bool apply_config_entry(struct store_batch *b, struct str body, struct store_result *result,
                        struct error *e);
void apply_prepared_query(struct store_batch *b, void *request, struct store_result *result);
void apply_federation_state(struct store_batch *b, void *request, struct store_result *result);

/* ---- snapshot records of those: written (snapshot.c says where), and read back: record is of the
 * shape in restore.c's row ---- */

void acl_snapshot(struct snapshot_writer *w);
bool acl_token_restore(struct store_batch *b, void *record, struct error *e);
bool acl_policy_restore(struct store_batch *b, void *record, struct error *e);
bool acl_role_restore(struct store_batch *b, void *record, struct error *e);
bool acl_binding_rule_restore(struct store_batch *b, void *record, struct error *e);
bool acl_auth_method_restore(struct store_batch *b, void *record, struct error *e);
bool acl_legacy_restore(struct store_batch *b, void *record, struct error *e);
bool acl_bootstrap_restore(struct store_batch *b, void *record, struct error *e);
void intention_snapshot(struct snapshot_writer *w);
bool intention_restore(struct store_batch *b, void *record, struct error *e);
void connect_ca_snapshot(struct snapshot_writer *w);
bool ca_root_restore(struct store_batch *b, void *record, struct error *e);
bool ca_provider_state_restore(struct store_batch *b, void *record, struct error *e);
bool ca_config_restore(struct store_batch *b, void *record, struct error *e);
void config_entry_snapshot(struct snapshot_writer *w);
struct msgpack_reader;
bool config_entry_restore(struct store_batch *b, struct msgpack_reader *in, struct error *e);
void query_snapshot(struct snapshot_writer *w);
bool query_restore(struct store_batch *b, void *record, struct error *e);
void federation_snapshot(struct snapshot_writer *w);
bool federation_restore(struct store_batch *b, void *record, struct error *e);

/* Also called by txn.c for the Intention member; false with the text of fsm.md 5.3. intention.c. */
bool intention_apply(struct store_batch *b, const struct intention_request *request,
                     struct error *e);

/* ---- catalog_write.c: the rules of fsm.md 3.1 and 3.2 ----
 *
 * Writing changes the argument into what is stored then: indexes, and for services and checks what
 * the store fills in. In a restore (b->restoring) the indexes in the argument are kept and index
 * entries are raised to them. */

bool catalog_write_node(struct store_batch *b, struct node *node, struct error *e);
bool catalog_write_service(struct store_batch *b, struct str node, struct node_service *service,
                           struct error *e);
bool catalog_write_check(struct store_batch *b, struct health_check *check, struct error *e);
/* All of a registration; texts with the prefixes of fsm.md 3.1. */
bool catalog_register(struct store_batch *b, const struct register_request *r, struct error *e);
/* False: there was none. */
bool catalog_delete_node(struct store_batch *b, struct str node);
bool catalog_delete_service(struct store_batch *b, struct str node, struct str service_id);
bool catalog_delete_check(struct store_batch *b, struct str node, struct str check_id);

/* ---- records of the catalog, watching nothing: catalog.c ---- */

bool node_fetch(struct store_read *r, struct str name, struct node *node);
/* node_name: as it was spelled when the service was written; NULL allowed. */
bool service_fetch(struct store_read *r, struct str node, struct str service_id,
                   struct str *node_name, struct node_service *service);
/* From the bytes of a scan over TABLE_SERVICES. */
void service_decode(struct store_read *r, struct str value, struct str *node_name,
                    struct node_service *service);
bool check_fetch(struct store_read *r, struct str node, struct str check_id,
                 struct health_check *check);
/* Index of a read of a service's instances (fsm.md 6.1), and what it watches. exists: any was
 * found. checks: a health read. */
uint64_t service_read_index(struct store_read *r, struct str name, bool exists, bool checks);
/* The name under which connect finds an instance (a proxy's destination, a native's own), or
 * absent. */
struct str service_connect_name(const struct node_service *service);

/* ---- kv.c ---- */

bool kv_fetch(struct store_read *r, struct str key, struct dir_entry *entry); /* watches nothing */
/* The record and its lookups as given; old: what is stored, or NULL. No index is bumped. */
void kv_store(struct store_batch *b, const struct dir_entry *entry, const struct dir_entry *old);
/* The put rule of fsm.md 4.1; entry->create_index, modify_index and, unless new_session, session
 * are set to what is now stored. */
void kv_put(struct store_batch *b, struct dir_entry *entry, bool new_session);
bool kv_delete(struct store_batch *b, struct str key); /* with a tombstone; whether it was there */
void kv_delete_tree(struct store_batch *b, struct str prefix);
bool kv_cas(struct store_batch *b, struct dir_entry *entry);
bool kv_delete_cas(struct store_batch *b, struct str key, uint64_t index);
/* *done: the bool result. */
bool kv_lock(struct store_batch *b, struct dir_entry *entry, bool *done, struct error *e);
bool kv_unlock(struct store_batch *b, struct dir_entry *entry, bool *done, struct error *e);
/* A session ended: releases or deletes the keys that it held. */
void kv_session_ended(struct store_batch *b, struct str id, const struct session *session);

/* ---- session.c ---- */

/* False when there is none or id is no UUID (*malformed, may be NULL, is then set with `e`). */
bool session_fetch(struct store_read *r, struct str id, struct session *session, bool *malformed,
                   struct error *e);
/* The record and its lookups as given, without any rule or index. key: uuid_key of the ID. */
void session_store(struct store_batch *b, struct str key, struct session *session);
/* id: the key of the record. Missing: no-op. */
void session_destroy(struct store_batch *b, struct str id);
void session_destroy_of_check(struct store_batch *b, struct str node, struct str check_id);
void session_destroy_of_node(struct store_batch *b, struct str node);
/* The record alone: nothing is released (the Session member of transactions). */
bool session_remove_record(struct store_batch *b, struct str id, struct error *e);

/* ---- coordinate.c ---- */

void coordinate_delete_node(struct store_batch *b, struct str node);
/* Stores those of a list of struct coordinate * that are valid and whose node is known. */
void coordinate_update(struct store_batch *b, const struct list *updates);

/* ---- autopilot.c ---- */

void autopilot_store(struct store_batch *b, const struct autopilot_config *config);

#endif
