// serving.properties: any bytes parse or are refused with a message.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/parse/properties.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto parsed = dray::ParseProperties({reinterpret_cast<const char*>(data), size});
  DRAY_CHECK(parsed.ok() || !parsed.status().message().empty());
  return 0;
}
