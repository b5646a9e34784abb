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
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <string_view>
#include <vector>

#include "base/parse/parse_number.h"
#include "parallel/link.h"
#include "parallel/shared_memory_group.h"
#include "parallel/testing/conformance.h"

namespace dray::parallel {
namespace {

constexpr int64_t kMessageBytes = 5000;

void Print(std::string_view line) {
  fmt::print("{}\n", line);
  std::fflush(stdout);
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

// Message `index` of a link: its size and its bytes follow from the index.
std::vector<std::byte> Message(int64_t index) {
  return std::vector<std::byte>(static_cast<size_t>(index * 37 % kMessageBytes),
                                static_cast<std::byte>(index));
}

int Fail(const Status& status) {
  Print(status.message());
  return 3;
}

int Send(LinkSender& link, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    if (const Status status = link.Send(Message(i)); !status.ok()) return Fail(status);
    if (i == 0) Print("sending");
  }
  return 0;
}

int Receive(LinkReceiver& link, int64_t count) {
  std::vector<std::byte> into(kMessageBytes);
  for (int64_t i = 0; i < count; ++i) {
    const auto size = link.Receive(into);
    if (!size.ok()) return Fail(size.status());
    const std::vector<std::byte> want = Message(i);
    if (*size != static_cast<int64_t>(want.size()) ||
        !std::equal(want.begin(), want.end(), into.begin())) {
      Print(fmt::format("message {} is wrong", i));
      return 1;
    }
    if (i == 0) Print("receiving");
  }
  return 0;
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
    return link.ok() ? Send(**link, numbers[1]) : Fail(link.status());
  }
  auto link = JoinAsReceiver(descriptor);
  return link.ok() ? Receive(**link, numbers[1]) : Fail(link.status());
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
