// Bodies that are forms: multipart/form-data (RFC 7578) and application/x-www-form-urlencoded.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "http/request.h"

namespace dray::http {

// Of one form.
inline constexpr size_t kMaxFormFields = 100;
inline constexpr size_t kMaxPartHeaderBytes = 4096;

struct FormField {
  std::string name;
  // Of a part of multipart/form-data; "" if it says none.
  std::string content_type;
  std::string value;
};

// The media type of a Content-Type such as "text/plain; charset=utf-8", without its parameters.
std::string_view MediaType(std::string_view content_type);

// Whether ParseForm reads bodies of this type.
bool IsForm(std::string_view content_type);

// The fields in their order. kInvalidArgument says what is wrong with the body.
Result<std::vector<FormField>> ParseForm(std::string_view content_type, std::string_view body);

}  // namespace dray::http
