#include "api/djl/paging/djl_paging.h"

#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "api/djl/djl_answers.h"
#include "api/djl/errors/djl_errors.h"
#include "base/parse/parse_number.h"

namespace dray::api {
namespace {

// SageMaker passes on no header that it does not know, so the token stands among its own as well.
void AddToken(http::Headers& headers, const std::string& token) {
  headers.Add("x-next-token", token);
  headers.Add("X-Amzn-SageMaker-Custom-Attributes", "x-next-token=" + token);
}

void RefusePage(ErrorPolicy& errors, std::string message, const http::ResponderPtr& responder) {
  responder->Send(errors.Answer(
      DjlError{400, "BadRequestException", std::move(message), ErrorKind::kBadRequest}));
}

void SendPage(PageStore& store, ErrorPolicy& errors, const http::Request& request,
              const std::string& token, const http::ResponderPtr& responder) {
  size_t max_items = std::numeric_limits<size_t>::max();
  if (const std::string text = FindDjlProperty(request, "x-max-items"); !text.empty()) {
    const auto number = ParseInt64(text);
    if (!number || *number == 0) {
      return RefusePage(errors, "x-max-items must be a whole number from 1 up, or below 0 for all",
                        responder);
    }
    if (*number > 0) max_items = static_cast<size_t>(*number);
  }
  PageStore::Page page;
  switch (store.Fetch(token, max_items, page)) {
    case PageStore::FetchResult::kNoSuchToken:
      return RefusePage(
          errors, "Invalid x-starting-token: there is no such answer, or it has been forgotten",
          responder);
    case PageStore::FetchResult::kNothingYet:
      page.response = {};
      page.response.head.status = 202;
      page.response.head.reason = "The model result is not yet available";
      break;
    case PageStore::FetchResult::kPage:
      break;
  }
  if (!page.next_token.empty()) AddToken(page.response.head.headers, page.next_token);
  responder->Send(std::move(page.response));
}

}  // namespace

http::ResponderPtr TakePaging(PageStore& store, ErrorPolicy& errors, const http::Request& request,
                              http::ResponderPtr responder) {
  if (const std::string token = FindDjlProperty(request, "x-starting-token"); !token.empty()) {
    SendPage(store, errors, request, token, responder);
    return nullptr;
  }
  if (!http::EqualsIgnoreCase(FindDjlProperty(request, "x-synchronous"), "false")) return responder;
  auto begun = store.Begin();
  if (!begun) {
    SendDjlError(responder, MakeDjlError(503,
                                         "the server keeps as many answers as it may until "
                                         "they are fetched; try again"));
    return nullptr;
  }
  http::Response response;
  AddToken(response.head.headers, begun->token);
  responder->Send(std::move(response));
  return std::move(begun->responder);
}

}  // namespace dray::api
