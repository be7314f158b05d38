/* Field tables of the certificate authority's requests and replies. */
#include "schema/requests_connect.h"

#include "schema/table.h"

#define OF struct ca_sign_request
static const struct field ca_sign_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("CSR", csr),
    F_FLAT(write, write_options),
};
#undef OF
SHAPE(ca_sign_request, "CASignRequest");

#define OF struct indexed_ca_roots
static const struct field indexed_ca_roots_fields[] = {
    F_STR("ActiveRootID", active_root_id),
    F_STR("TrustDomain", trust_domain),
    F_LIST("Roots", roots, OF_PTR(ca_root)),
    F_FLAT(meta, query_meta, FIELD_NO_JSON),
};
#undef OF
SHAPE(indexed_ca_roots, "IndexedCARoots");

#define OF struct auto_encrypt_reply
static const struct field auto_encrypt_reply_fields[] = {
    F_STRUCT("IssuedCert", issued_cert, issued_cert),
    F_STRUCT("ConnectCARoots", connect_ca_roots, indexed_ca_roots),
    F_LIST("ManualCARoots", manual_ca_roots, OF_STR),
    F_STR("GossipKey", gossip_key),
    F_BOOL("VerifyServerHostname", verify_server_hostname),
};
#undef OF
SHAPE(auto_encrypt_reply, "SignedResponse");

#define OF struct connect_authorize_request
static const struct field connect_authorize_request_fields[] = {
    F_STR("Target", target),
    F_STR("ClientCertURI", client_cert_uri),
    F_STR("ClientCertSerial", client_cert_serial),
};
#undef OF
SHAPE(connect_authorize_request, "ConnectAuthorizeRequest");
