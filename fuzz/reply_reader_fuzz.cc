// Answers of servers under load: any bytes, in any pieces, are read or refused. The first byte
// chooses the API, the delivery and the places where the bytes are cut.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "bench/load/reply_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using dray::bench::Api;
  using dray::bench::Delivery;
  if (size == 0) return 0;
  const auto api = static_cast<Api>(data[0] % 4);
  const auto delivery = (data[0] & 4) != 0 ? Delivery::kWhole : Delivery::kStreamed;
  const size_t piece = 1 + data[0] / 8;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  dray::bench::ReplyReader reader(api, delivery);
  double seconds = 0;
  while (!text.empty()) {
    const size_t count = std::min(piece, text.size());
    if (!reader.Feed(text.substr(0, count), seconds++).ok()) return 0;
    text.remove_prefix(count);
  }
  if (!reader.Finish(seconds).ok()) return 0;
  const auto& times = reader.token_times();
  DRAY_CHECK(!times.empty() && std::is_sorted(times.begin(), times.end()));
  DRAY_CHECK(reader.num_tokens() >= 0);
  return 0;
}
