// Routes are few, so they are tried in turn.
#include "http/router.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

namespace dray::http {
namespace {

// Slashes at the end count for nothing.
std::vector<std::string> SplitPath(std::string_view path) {
  std::vector<std::string> segments;
  if (path.starts_with('/')) path.remove_prefix(1);
  while (true) {
    const size_t slash = path.find('/');
    segments.emplace_back(path.substr(0, slash));
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  while (segments.size() > 1 && segments.back().empty()) segments.pop_back();
  return segments;
}

bool IsParameter(std::string_view segment) {
  return segment.starts_with('{') && segment.ends_with('}');
}

std::optional<std::vector<Request::Parameter>> MatchSegments(
    const std::vector<std::string>& pattern, const std::vector<std::string>& path) {
  if (pattern.size() != path.size()) return std::nullopt;
  std::vector<Request::Parameter> parameters;
  for (size_t i = 0; i < pattern.size(); ++i) {
    // Decoded after the split, so that an encoded slash stays inside its segment.
    auto segment = PercentDecode(path[i], PlusSign::kLiteral);
    if (!segment) return std::nullopt;
    if (IsParameter(pattern[i])) {
      if (segment->empty()) return std::nullopt;
      parameters.emplace_back(pattern[i].substr(1, pattern[i].size() - 2), *std::move(segment));
    } else if (*segment != pattern[i]) {
      return std::nullopt;
    }
  }
  return parameters;
}

}  // namespace

void Router::Add(std::string_view method, std::string_view pattern, Handler handler,
                 RouteKind kind) {
  routes_.push_back({std::string(method), SplitPath(pattern), std::move(handler), kind});
}

void Router::AddAll(Router other) {
  std::move(other.routes_.begin(), other.routes_.end(), std::back_inserter(routes_));
}

Router::Match Router::Find(std::string_view method, std::string_view path) const {
  const std::vector<std::string> segments = SplitPath(path);
  Match match;
  bool exact = false;
  for (const Route& route : routes_) {
    auto parameters = MatchSegments(route.segments, segments);
    if (!parameters || exact) continue;
    exact = route.method == method;
    if (exact || (route.method == "*" && match.handler == nullptr)) {
      match.handler = &route.handler;
      match.kind = route.kind;
      match.parameters = *std::move(parameters);
    }
    if (route.method == "*") continue;
    if (!match.allow.empty()) match.allow += ", ";
    match.allow += route.method;
  }
  return match;
}

}  // namespace dray::http
