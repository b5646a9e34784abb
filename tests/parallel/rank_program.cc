// One rank of a group, as a process: what the tests of groups of processes start.
//
//   rank_program cases DESCRIPTOR RANK TIMEOUT_MS   runs the cases that every communicator must pass,
//                                                   and prints what is wrong
//   rank_program sums DESCRIPTOR RANK TIMEOUT_MS    adds until a sum fails; prints "adding" after the
//                                                   first one, and then why it failed
//   rank_program send DESCRIPTOR COUNT              sends messages over a link; prints "sending" after
//                                                   the first one, and why one failed
//   rank_program receive DESCRIPTOR COUNT           receives and compares them; prints "receiving"
//
// Ends with 0, with 1 if a result is wrong, with 3 if a call failed.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/parse/parse_number.h"
#include "parallel/link.h"
#include "parallel/rank_duties.h"
#include "parallel/shared_memory_group.h"

namespace dray::parallel {
namespace {

constexpr int64_t kMessageBytes = 5000;

int AddUntilFailure(Communicator& rank) {
  float x[64] = {};
  for (bool first = true;; first = false) {
    const Status status = rank.AddParts(x, 64);
    if (!status.ok()) {
      Print(status.message());
      return 3;
    }
    if (first) Print("adding");
  }
}

int RunRank(const std::vector<int64_t>& numbers, std::string_view command) {
  auto rank = JoinSharedMemoryGroup({.descriptor = static_cast<int>(numbers[0]),
                                     .rank = numbers[1],
                                     .timeout = std::chrono::milliseconds(numbers[2])});
  if (!rank.ok()) return Fail(rank.status());
  return command == "cases" ? RunCases(**rank) : AddUntilFailure(**rank);
}

int RunLink(const std::vector<int64_t>& numbers, std::string_view command) {
  const auto descriptor = static_cast<int>(numbers[0]);
  if (command == "send") {
    auto link = JoinAsSender(descriptor);
    return link.ok() ? SendMessages(**link, numbers[1], kMessageBytes) : Fail(link.status());
  }
  auto link = JoinAsReceiver(descriptor);
  return link.ok() ? ReceiveMessages(**link, numbers[1], kMessageBytes) : Fail(link.status());
}

int Run(const std::vector<std::string_view>& arguments) {
  std::vector<int64_t> numbers;
  for (size_t i = 2; i < arguments.size(); ++i) {
    if (const auto number = ParseInt64(arguments[i])) numbers.push_back(*number);
  }
  const std::string_view command = arguments.size() < 2 ? "" : arguments[1];
  if ((command == "cases" || command == "sums") && numbers.size() == 3) {
    return RunRank(numbers, command);
  }
  if ((command == "send" || command == "receive") && numbers.size() == 2) {
    return RunLink(numbers, command);
  }
  Print("usage: see the top of rank_program.cc");
  return 2;
}

}  // namespace
}  // namespace dray::parallel

int main(int argc, char** argv) { return dray::parallel::Run({argv, argv + argc}); }
