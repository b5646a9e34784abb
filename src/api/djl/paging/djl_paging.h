// DJLServing's asynchronous requests: `x-synchronous: false` gives a token, `x-starting-token` fetches a page.
#pragma once

#include <memory>

#include "api/djl/errors/error_policy.h"
#include "api/paging/page_store.h"
#include "http/request.h"
#include "http/responder.h"

namespace dray::api {

// Answers a request for a page, or one that is to be answered later, and then returns the responder that its
// answer is to go to. Null: nothing is left to do. Any other request keeps its own responder.
http::ResponderPtr TakePaging(PageStore& store, ErrorPolicy& errors, const http::Request& request,
                              http::ResponderPtr responder);

}  // namespace dray::api
