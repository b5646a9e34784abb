#include "parallel/testing/conformance.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include "parallel/rank_order_sum.h"

namespace dray::parallel {
namespace {

// The numbers that `rank` contributes to call `call`; rank -1: x before the call. Sums of them
// depend on the order in which they are added.
std::vector<float> Numbers(int64_t rank, int64_t call, int64_t count) {
  std::minstd_rand generator(static_cast<uint32_t>(1 + (rank + 1) * 7919 + call * 104'729));
  std::uniform_real_distribution<float> mantissa(-1.0F, 1.0F);
  std::uniform_int_distribution<int> exponent(-12, 12);
  std::vector<float> numbers(static_cast<size_t>(count));
  for (float& number : numbers) number = std::ldexp(mantissa(generator), exponent(generator));
  return numbers;
}

std::string Compare(const float* got, const float* want, int64_t count, std::string_view what) {
  for (int64_t i = 0; i < count; ++i) {
    const bool both_nan = std::isnan(got[i]) && std::isnan(want[i]);
    if (!both_nan && std::bit_cast<uint32_t>(got[i]) != std::bit_cast<uint32_t>(want[i])) {
      return fmt::format("{}: number {} of {} is {} in place of {}", what, i, count, got[i],
                         want[i]);
    }
  }
  return {};
}

// One sum of `numbers(rank)` [count], compared with the sum in rank order.
template <typename NumbersOf>
std::string Sum(Communicator& rank, int64_t count, const NumbersOf& numbers) {
  const std::vector<float> mine = numbers(rank.rank().index);
  std::copy(mine.begin(), mine.end(), rank.part());
  std::vector<float> x = numbers(-1);
  std::vector<float> want = x;
  for (int64_t other = 0; other < rank.rank().world; ++other) {
    const std::vector<float> part = numbers(other);
    for (int64_t i = 0; i < count; ++i) want[i] += part[i];
  }
  if (const Status status = rank.AddParts(x.data(), count); !status.ok()) return status.ToString();
  return Compare(x.data(), want.data(), count, "sum");
}

std::string SumOf(Communicator& rank, int64_t call, int64_t count) {
  return Sum(rank, count, [&](int64_t of) { return Numbers(of, call, count); });
}

std::string Gather(Communicator& rank, int64_t call, int64_t count) {
  const auto [index, world] = rank.rank();
  const std::vector<float> mine = Numbers(index, call, count);
  std::vector<float> all(index == 0 ? static_cast<size_t>(world * count) : 0);
  const Status status = rank.Gather(mine.data(), count, index == 0 ? all.data() : nullptr);
  if (!status.ok()) return status.ToString();
  for (int64_t other = 0; index == 0 && other < world; ++other) {
    const std::vector<float> want = Numbers(other, call, count);
    std::string wrong = Compare(all.data() + other * count, want.data(), count,
                                fmt::format("gather of rank {}", other));
    if (!wrong.empty()) return wrong;
  }
  return {};
}

// Runs one(call, count) for all counts, until the first error.
template <typename One>
std::string ForCounts(std::initializer_list<int64_t> counts, const One& one) {
  int64_t call = 0;
  for (int round = 0; round < 3; ++round) {
    for (const int64_t count : counts) {
      std::string wrong = one(call++, count);
      if (!wrong.empty()) return wrong;
    }
  }
  return {};
}

std::string SumsOfManySizes(Communicator& rank) {
  return ForCounts({1, 0, 2, 3, 17, 64, 1000, 4097, 12'345, 50'000, kConformanceMaxCount},
                   [&](int64_t call, int64_t count) { return SumOf(rank, call, count); });
}

std::string GathersOfManySizes(Communicator& rank) {
  return ForCounts({1, 0, 2, 17, 1000, 12'345, kConformanceMaxCount},
                   [&](int64_t call, int64_t count) { return Gather(rank, call, count); });
}

// Infinities, NaN, denormal numbers, negative zero, and numbers whose sum depends on their order.
std::string SumsOfSpecialNumbers(Communicator& rank) {
  using Limits = std::numeric_limits<float>;
  const std::vector<float> values = {0.0F,
                                     -0.0F,
                                     1.0F,
                                     -1e8F,
                                     1e8F,
                                     Limits::infinity(),
                                     1e30F,
                                     3e38F,
                                     Limits::denorm_min(),
                                     -Limits::infinity(),
                                     0.5F};
  for (const int64_t count : {int64_t{128}, kConformanceMaxCount}) {
    std::string wrong = Sum(rank, count, [&](int64_t of) {
      std::vector<float> numbers(static_cast<size_t>(count));
      for (int64_t i = 0; i < count; ++i) {
        numbers[i] = values[static_cast<size_t>((i + (of + 1) * (1 + i / 11)) % 11)];
      }
      return numbers;
    });
    if (!wrong.empty()) return wrong;
  }
  return {};
}

// Each rank sleeps before some calls, so they come in all orders, and some of them asleep.
std::string MixedCallsWithDelays(Communicator& rank) {
  std::minstd_rand same(1);  // as at all ranks
  std::minstd_rand own(static_cast<uint32_t>(2 + rank.rank().index));
  for (int64_t call = 0; call < 400; ++call) {
    const auto count = static_cast<int64_t>(same() % (call % 20 == 0 ? 40'000 : 100));
    const bool gathers = same() % 4 == 0;
    if (own() % 16 == 0) std::this_thread::sleep_for(std::chrono::microseconds(own() % 1000));
    const std::string wrong = gathers ? Gather(rank, call, count) : SumOf(rank, call, count);
    if (!wrong.empty()) return fmt::format("call {}: {}", call, wrong);
  }
  return {};
}

// The last rank is slower than the others in each call.
std::string OneSlowRank(Communicator& rank) {
  for (int64_t call = 0; call < 50; ++call) {
    if (rank.rank().index == rank.rank().world - 1) {
      std::this_thread::sleep_for(std::chrono::microseconds(500));
    }
    const std::string wrong = call % 5 == 4 ? Gather(rank, call, 50) : SumOf(rank, call, 50);
    if (!wrong.empty()) return fmt::format("call {}: {}", call, wrong);
  }
  return {};
}

std::string GatherLeavesThePart(Communicator& rank) {
  for (int64_t call = 0; call < 10; ++call) {
    float* const part = rank.part();
    part[0] = static_cast<float>(rank.rank().index + call);
    std::string wrong = Gather(rank, call, 5);
    if (!wrong.empty()) return wrong;
    if (rank.part() != part) return "a gather moved the part";
    float x = 0.5F;
    if (const Status status = rank.AddParts(&x, 1); !status.ok()) return status.ToString();
    const auto world = static_cast<float>(rank.rank().world);
    const float want = 0.5F + world * (world - 1) / 2 + world * static_cast<float>(call);
    if (x != want) return fmt::format("the sum is {} in place of {}", x, want);
  }
  return {};
}

// What a rank gets from others in a sum and a gather of so many numbers (docs/communicators.md).
// Sums of less than a hundred numbers are added as a whole by every transport, those of 20,000 by
// shares if there are three ranks or more.
uint64_t ReceivedBytes(Rank rank, int64_t sum, int64_t gather) {
  const int64_t others = rank.world - 1;
  const int64_t share = ShareOf(sum, rank).count();
  const bool divides = sum >= 20'000 && rank.world > 2;
  const int64_t of_sum = divides ? share * others + sum - share : sum * others;
  const int64_t of_gather = rank.index == 0 ? gather * others : 0;
  return static_cast<uint64_t>(of_sum + of_gather) * sizeof(float);
}

std::string TrafficIsExact(Communicator& rank) {
  const Traffic before = rank.traffic();
  std::string wrong;
  uint64_t received_bytes = before.received_bytes;
  for (const int64_t count : {5, 0, 20'000}) {
    received_bytes += ReceivedBytes(rank.rank(), count, count + 1);
    if (wrong.empty()) wrong = SumOf(rank, count, count);
    if (wrong.empty()) wrong = Gather(rank, count, count + 1);
  }
  if (!wrong.empty()) return wrong;
  const Traffic after = rank.traffic();
  if (after.received_bytes != received_bytes) {
    return fmt::format("got {} bytes in place of {}", after.received_bytes, received_bytes);
  }
  const uint64_t sums = after.sums - before.sums;
  const uint64_t sum_numbers = after.sum_numbers - before.sum_numbers;
  const uint64_t gathers = after.gathers - before.gathers;
  const uint64_t gather_numbers = after.gather_numbers - before.gather_numbers;
  if (sums == 3 && sum_numbers == 20'005 && gathers == 3 && gather_numbers == 20'008) return {};
  return fmt::format("counted {} sums of {} numbers and {} gathers of {}", sums, sum_numbers,
                     gathers, gather_numbers);
}

constexpr ConformanceCase kCases[] = {
    {"sums_of_many_sizes", SumsOfManySizes},
    {"gathers_of_many_sizes", GathersOfManySizes},
    {"sums_of_special_numbers", SumsOfSpecialNumbers},
    {"mixed_calls_with_delays", MixedCallsWithDelays},
    {"one_slow_rank", OneSlowRank},
    {"gather_leaves_the_part", GatherLeavesThePart},
    {"traffic_is_exact", TrafficIsExact},
};

}  // namespace

std::span<const ConformanceCase> ConformanceCases() { return kCases; }

const ConformanceCase* FindConformanceCase(std::string_view name) {
  for (const ConformanceCase& one : kCases) {
    if (one.name == name) return &one;
  }
  return nullptr;
}

}  // namespace dray::parallel
