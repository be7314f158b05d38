/* Transactions of several operations (fsm.md 5.1): reads here, writes through apply.
 */
#ifndef PRAETOR_STORE_TXN_H
#define PRAETOR_STORE_TXN_H

#include "schema/requests.h"
#include "store/store.h"

/* Whether all operations only read: KV get, get-tree and check-*, unknown KV verbs too; `get` of
 * the others (http-core.md 11.6). Such a transaction goes to txn_read and never into the log. */
bool txn_is_read_only(const struct list *ops);
/* ops: struct txn_op *. Fills errors (then results is nil) or results (never nil). Verbs that write
 * are answered "unknown … verb". */
void txn_read(struct store_read *r, const struct list *ops, struct list *errors,
              struct list *results);

#endif
