// Answers in JSON as DJLServing writes them, and what its requests say beside their bodies.
#pragma once

#include <string>
#include <string_view>

#include "api/djl/errors/djl_errors.h"
#include "base/parse/json.h"
#include "http/request.h"
#include "http/responder.h"

namespace dray::api {

void SendDjlError(const http::ResponderPtr& responder, const DjlError& error);
// Pretty, with a line feed at the end. Closes the connection if `status` is that of an error.
void SendDjlJson(const http::ResponderPtr& responder, int status, const Json& body);

// A property of the request as DJLServing sees it: a parameter of its query, a header, or a pair
// "name=value" among SageMaker's custom attributes. "" without it.
std::string FindDjlProperty(const http::Request& request, std::string_view name);

}  // namespace dray::api
