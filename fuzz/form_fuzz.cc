// Forms: the first line is the Content-Type, the rest the body.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "http/encoding/form.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find('\n'), input.size());
  const auto form =
      dray::http::ParseForm(input.substr(0, end), input.substr(std::min(end + 1, input.size())));
  if (!form.ok()) return 0;
  size_t bytes = 0;
  for (const auto& field : *form) bytes += field.name.size() + field.value.size();
  // No field has what the body has not.
  if (bytes > size) __builtin_trap();
  return 0;
}
