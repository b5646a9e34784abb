// Answers with the headers that DJLServing sends with every answer.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "api/djl/djl_errors.h"
#include "base/parse/json.h"
#include "http/request.h"
#include "http/responder.h"

namespace dray::api {

class DjlAnswers {
 public:
  // `request_id_header`: the request's header that carries its id; the answer's is always
  // x-request-id.
  explicit DjlAnswers(std::string request_id_header)
      : request_id_header_(std::move(request_id_header)) {}

  // `request` is null if it could not be read.
  http::Headers CommonHeaders(const http::Request* request) const;
  // An error, without the request that it belongs to being answered yet.
  http::Response MakeError(const http::Request* request, const DjlError& error) const;

  void SendError(const http::Request& request, const http::ResponderPtr& responder,
                 const DjlError& error) const;
  void SendJson(const http::Request& request, const http::ResponderPtr& responder, int status,
                const Json& body) const;

 private:
  std::string request_id_header_;
};

// A property of the request as DJLServing sees it: a parameter of its query, a header, or a pair
// "name=value" among SageMaker's custom attributes. "" without it.
std::string FindDjlProperty(const http::Request& request, std::string_view name);

}  // namespace dray::api
