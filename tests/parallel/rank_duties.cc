#include "parallel/rank_duties.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

#include "parallel/testing/conformance.h"

namespace dray::parallel {
namespace {

std::vector<std::byte> Message(int64_t index, int64_t max_bytes) {
  return std::vector<std::byte>(static_cast<size_t>(index * 1237 % max_bytes),
                                static_cast<std::byte>(index));
}

}  // namespace

void Print(std::string_view line) {
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

int Fail(const Status& status) {
  Print(status.ToString());
  return 3;
}

int RunCases(Communicator& rank) {
  int num_wrong = 0;
  for (const ConformanceCase& one : ConformanceCases()) {
    const std::string wrong = one.run(rank);
    if (wrong.empty()) continue;
    Print(fmt::format("{}, rank {}: {}", one.name, rank.rank().index, wrong));
    ++num_wrong;
  }
  return num_wrong == 0 ? 0 : 1;
}

int SendMessages(LinkSender& link, int64_t count, int64_t max_bytes) {
  for (int64_t i = 0; i < count; ++i) {
    if (const Status status = link.Send(Message(i, max_bytes)); !status.ok()) return Fail(status);
    if (i == 0) Print("sending");
  }
  return 0;
}

int ReceiveMessages(LinkReceiver& link, int64_t count, int64_t max_bytes) {
  std::vector<std::byte> into(static_cast<size_t>(max_bytes));
  for (int64_t i = 0; i < count; ++i) {
    const auto size = link.Receive(into);
    if (!size.ok()) return Fail(size.status());
    const std::vector<std::byte> want = Message(i, max_bytes);
    if (*size != static_cast<int64_t>(want.size()) ||
        !std::equal(want.begin(), want.end(), into.begin())) {
      Print(fmt::format("message {} is wrong", i));
      return 1;
    }
    if (i == 0) Print("receiving");
  }
  return 0;
}

}  // namespace dray::parallel
