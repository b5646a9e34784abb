#include "settings/rank_settings.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "settings/setting_values.h"

namespace dray::settings {

Status SetDegree(int64_t& out, std::string_view text) {
  constexpr int64_t kMostRanks = 1024;
  if (text == "max") {
    out = engine::LoadModelOptions::kMaxDegree;
    return OkStatus();
  }
  if (SetCount(out, text, 1, kMostRanks).ok()) return OkStatus();
  return MustBe(fmt::format("it must be a whole number from 1 to {}, or max", kMostRanks));
}

Status SetRankTransport(engine::RankTransport& out, std::string_view text) {
  using engine::RankTransport;
  constexpr std::array<std::pair<std::string_view, RankTransport>, 3> kTransports = {
      {{"threads", RankTransport::kThreads},
       {"processes", RankTransport::kProcesses},
       {"mpi", RankTransport::kMpi}}};
  for (const auto& [name, transport] : kTransports) {
    if (text != name) continue;
    out = transport;
    return OkStatus();
  }
  return MustBe("it must be threads, processes or mpi");
}

}  // namespace dray::settings
