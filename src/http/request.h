// One HTTP request, parsed and bounded, as handlers see it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/body_budget.h"

namespace dray::http {

// ASCII only, as header names and tokens are compared.
bool EqualsIgnoreCase(std::string_view a, std::string_view b);

// Header fields in the order they came; names are compared without case.
class Headers {
 public:
  using Field = std::pair<std::string, std::string>;

  void Add(std::string name, std::string value) {
    fields_.emplace_back(std::move(name), std::move(value));
  }
  // The first field of that name, or null.
  const std::string* Find(std::string_view name) const;
  size_t Count(std::string_view name) const;
  const std::vector<Field>& fields() const { return fields_; }

 private:
  std::vector<Field> fields_;
};

struct Request {
  using Parameter = std::pair<std::string, std::string>;

  // Names the request in logs and answers; "" if the server gives requests no ids.
  std::string id;
  std::string method;
  // As sent, and its path part, still percent-encoded.
  std::string target;
  std::string path;
  // 0 or 1: HTTP/1.0 or HTTP/1.1.
  int minor_version = 1;
  Headers headers;
  // Decoded from ?name=value&..., in order.
  std::vector<Parameter> query;
  // What the route's {name} segments matched, decoded.
  std::vector<Parameter> path_parameters;
  std::string body;
  // The room that `body` takes of what the server has for all bodies.
  BodyLease body_lease;

  // Frees the body, for handlers that have parsed it and go on with the request. Returns the lease on the body's
  // room: a handler keeps it for what it has made of the body, or lets it go.
  BodyLease DropBody();
  // The first of that name, or null.
  const std::string* QueryParameter(std::string_view name) const;
  const std::string* PathParameter(std::string_view name) const;
};

// %XX decoded, and '+' to a space if `plus_is_space`; nothing if an escape is broken or the result
// has a NUL.
enum class PlusSign { kLiteral, kSpace };
std::optional<std::string> PercentDecode(std::string_view text, PlusSign plus);

// "a=1&b=%20x" in order; nothing if an escape is broken or there are more than `max_parameters`.
std::optional<std::vector<Request::Parameter>> ParseQuery(std::string_view query,
                                                          size_t max_parameters);

}  // namespace dray::http
