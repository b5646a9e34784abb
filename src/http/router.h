// Which handler answers which method and path.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "http/request.h"
#include "http/responder.h"

namespace dray::http {

// What a route is for. Health checks are answered even to connections above the server's limit, and need no
// key. Management is what operators do, with keys of their own.
enum class RouteKind { kOrdinary, kHealthCheck, kManagement };

class Router {
 public:
  // `pattern` is a path whose segments are text or {name}, which matches one segment that is not
  // empty; slashes at a path's end count for nothing. `method` is one method, or "*" for all that no other route of
  // the pattern names. Earlier patterns go first.
  void Add(std::string_view method, std::string_view pattern, Handler handler,
           RouteKind kind = RouteKind::kOrdinary);
  // The routes of `other`, after those that are there.
  void AddAll(Router other);

  struct Match {
    // Null: nothing matches, see `allow`.
    const Handler* handler = nullptr;
    RouteKind kind = RouteKind::kOrdinary;
    std::vector<Request::Parameter> parameters;
    // The methods that the path would take, separated by ", "; empty if there is no such path.
    std::string allow;
  };
  // `path` is percent-encoded, as it came.
  Match Find(std::string_view method, std::string_view path) const;

 private:
  struct Route {
    std::string method;
    std::vector<std::string> segments;
    Handler handler;
    RouteKind kind = RouteKind::kOrdinary;
  };
  std::vector<Route> routes_;
};

}  // namespace dray::http
