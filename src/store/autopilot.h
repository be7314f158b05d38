/* The one autopilot configuration record.
 */
#ifndef PRAETOR_STORE_AUTOPILOT_H
#define PRAETOR_STORE_AUTOPILOT_H

#include "schema/requests.h"
#include "store/store.h"

/* NULL when it was never set. Index: its ModifyIndex (at least 1). */
uint64_t autopilot_config_get(struct store_read *r, struct autopilot_config **config);

#endif
