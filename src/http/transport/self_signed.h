// A certificate that a server signs itself, for tests and for networks in which nobody can listen in.
#pragma once

#include "base/status.h"

struct ssl_ctx_st;

namespace dray::http {

// Makes a key (P-256) and a certificate for "localhost" that is valid for a year, and has `context` use them.
Status UseSelfSignedCertificate(ssl_ctx_st* context);

}  // namespace dray::http
