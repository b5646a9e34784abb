#include "api/management/logging.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>

#include "api/djl/djl_answers.h"
#include "base/log.h"
#include "base/parse/json.h"
#include "http/grammar.h"

namespace dray::api {
namespace {

struct NamedLevel {
  std::string_view name;
  LogLevel level;
};
// Nothing is logged below debug.
constexpr NamedLevel kLevels[] = {{"trace", LogLevel::kDebug}, {"debug", LogLevel::kDebug},
                                  {"info", LogLevel::kInfo},   {"warn", LogLevel::kWarning},
                                  {"error", LogLevel::kError}, {"off", LogLevel::kOff}};

void SetLevel(const http::Request& request, const http::ResponderPtr& responder) {
  const std::string* const given = request.QueryParameter("level");
  const std::string_view name = given == nullptr ? "info" : std::string_view(*given);
  const auto* const found = std::find_if(
      std::begin(kLevels), std::end(kLevels),
      [name](const NamedLevel& level) { return http::EqualsIgnoreCase(level.name, name); });
  if (found == std::end(kLevels)) {
    return SendDjlError(responder, {400, "BadRequestException",
                                    "level must be one of trace, debug, info, warn, error, off"});
  }
  SetLogLevel(found->level);
  SendDjlJson(responder, 200, Json::MakeObject({{"status", "OK"}}));
}

}  // namespace

void RegisterLogging(http::Router& router) {
  router.Add("*", "/server/logging", SetLevel, http::RouteKind::kManagement);
}

}  // namespace dray::api
