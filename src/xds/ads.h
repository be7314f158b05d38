/* One stream of aggregated discovery (connect.md 6.2), as what it makes of what comes: requests,
 * snapshots, rights, time. Pure: who calls does what ads_next says.
 *
 * Nothing is made in advance: ads_next makes an answer when it can be sent, of the newest snapshot.
 * So a client that does not read costs one answer.
 */
#ifndef PRAETOR_XDS_ADS_H
#define PRAETOR_XDS_ADS_H

#include "xds/discovery.h"
#include "xds/resources.h"
#include "xds/status.h"

#define ADS_CHECK_INTERVAL (300 * SECOND)

struct ads_type {
    bool subscribed;
    uint64_t sent;  /* version */
    uint64_t nonce; /* of the last answer; 0: none yet */
};
struct ads {
    struct arena arena; /* of the texts here */
    struct str token, proxy_id;
    bool has_node, safe_regex;
    struct proxy_snapshot *snapshot; /* the newest; NULL: none yet */
    uint64_t version;                /* counts snapshots */
    uint64_t nonce;                  /* counts answers */
    struct ads_type types[XDS_TYPES];
    bool check_due, checking;
    bool ended;
    enum grpc_status code;
    struct str text;
};

void ads_init(struct ads *a, struct str token);
void ads_free(struct ads *a);

/* A DiscoveryRequest came. From the first on proxy_id says whose snapshots are to come. */
void ads_request(struct ads *a, struct str bytes);
/* Takes the reference over. One that is not complete is not taken. */
void ads_snapshot(struct ads *a, struct proxy_snapshot *snapshot);
/* ADS_CHECK_INTERVAL has passed. */
void ads_check_again(struct ads *a);
/* The answer to ADS_AUTHORIZE. error: what the token is refused with, NULL: it is none; may: it has
 * the right. */
void ads_authorized(struct ads *a, const struct error *error, bool may);

enum ads_action {
    ADS_WAIT,
    ADS_AUTHORIZE, /* whether the token may write xds_service(a->snapshot) */
    ADS_SEND,      /* `out` has the DiscoveryResponse */
    ADS_END,       /* with code and text */
};
/* What is to be done now; to be called again after that, until it is to wait. ADS_SEND only when
 * may_send. out: empty. warnings: texts for the log, in the arena. */
enum ads_action ads_next(struct ads *a, bool may_send, struct buf *out, struct trees *warnings,
                         struct arena *arena);

/* "1.11.2", "1.16.0-dev". False: no version. */
bool ads_version_parse(struct str text, struct semantic_version *out);

#endif
