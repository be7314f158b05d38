/* What each log entry type does to the tables (fsm.md 3 to 5): the functions in apply.c's table, and those
 * that entry types share. For src/store/ only. How to add one: store/tables.h.
 *
 * Functions that return bool set `e` to the text of fsm.md and return false when they refuse; they may
 * have written by then (the entry is undone as a whole).
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
/* engineer C's entry types: declare them here. */

/* Called by txn.c for the Intention member (C: connect.c); false with the text of fsm.md 5.3. */
bool intention_apply(struct store_batch *b, const struct intention_request *request, struct error *e);

/* ---- catalog_write.c ---- */

/* node: request values; create_index and modify_index are used in restores only, otherwise set here. */
bool catalog_write_node(struct store_batch *b, struct node *node, struct error *e);
bool catalog_write_service(struct store_batch *b, struct str node, struct node_service *service,
                           struct error *e);
bool catalog_write_check(struct store_batch *b, struct health_check *check, struct error *e);
/* False: there was none. */
bool catalog_delete_node(struct store_batch *b, struct str node);
bool catalog_delete_service(struct store_batch *b, struct str node, struct str service_id);
bool catalog_delete_check(struct store_batch *b, struct str node, struct str check_id);

/* ---- kv.c ---- */

bool kv_fetch(struct store_read *r, struct str key, struct dir_entry *entry); /* watches nothing */
/* The put rule of fsm.md 4.1; entry->create_index, modify_index and, unless new_session, session are
 * set to what is now stored. */
void kv_put(struct store_batch *b, struct dir_entry *entry, bool new_session);
bool kv_delete(struct store_batch *b, struct str key); /* with a tombstone; whether it was there */
void kv_delete_tree(struct store_batch *b, struct str prefix);
bool kv_cas(struct store_batch *b, struct dir_entry *entry);
bool kv_delete_cas(struct store_batch *b, struct str key, uint64_t index);
/* *done: the bool result. */
bool kv_lock(struct store_batch *b, struct dir_entry *entry, bool *done, struct error *e);
bool kv_unlock(struct store_batch *b, struct dir_entry *entry, bool *done, struct error *e);
/* A session ended: releases or deletes the keys that it held. */
void kv_session_ended(struct store_batch *b, const uint8_t id[16], const struct session *session);

/* ---- session.c ---- */

/* False when there is none or id is no UUID (*malformed, may be NULL, is then set with `e`). */
bool session_fetch(struct store_read *r, struct str id, struct session *session, bool *malformed,
                   struct error *e);
void session_destroy(struct store_batch *b, const uint8_t id[16]); /* missing: no-op */
void session_destroy_of_check(struct store_batch *b, struct str node, struct str check_id);
void session_destroy_of_node(struct store_batch *b, struct str node);

/* ---- coordinate.c ---- */

void coordinate_delete_node(struct store_batch *b, struct str node);

#endif
