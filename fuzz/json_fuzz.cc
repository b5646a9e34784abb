// JSON: any bytes are parsed or refused. Parsed JSON stays the same when it is written and parsed
// again.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/parse/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto duplicates : {dray::JsonDuplicates::kLastWins, dray::JsonDuplicates::kRefuse}) {
    const auto value = dray::Json::Parse(text, {.duplicates = duplicates});
    if (!value.ok()) {
      DRAY_CHECK(!value.status().message().empty());
      continue;
    }
    const std::string written = value->Dump();
    const auto again = dray::Json::Parse(written, {.duplicates = duplicates});
    DRAY_CHECK(again.ok());
    DRAY_CHECK(again->Dump() == written);
  }
  return 0;
}
