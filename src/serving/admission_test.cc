#include "serving/admission.h"

#include <gtest/gtest.h>

#include <optional>
#include <thread>
#include <vector>

namespace dray::serving {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// A ticket, or nothing if it was refused.
std::optional<Admission::Ticket> Enter(Admission& admission) {
  auto entered = admission.Enter();
  if (auto* ticket = std::get_if<Admission::Ticket>(&entered)) return std::move(*ticket);
  return std::nullopt;
}

TEST(AdmissionTest, TakesAsManyAsItMay) {
  Admission admission(2);
  auto first = Enter(admission);
  auto second = Enter(admission);
  EXPECT_TRUE(first && second);
  EXPECT_EQ(std::get<Admission::Refusal>(admission.Enter()), Admission::Refusal::kFull);
  first.reset();
  EXPECT_EQ(admission.count(), 1);
  EXPECT_TRUE(Enter(admission));
}

TEST(AdmissionTest, DrainingRefusesAndWaits) {
  Admission admission(2);
  auto ticket = Enter(admission);
  admission.BeginDrain();
  EXPECT_TRUE(admission.draining());
  EXPECT_EQ(std::get<Admission::Refusal>(admission.Enter()), Admission::Refusal::kDraining);
  EXPECT_FALSE(admission.WaitUntilEmpty(Clock::now() + milliseconds(5)));
  std::thread leaver([&] { ticket.reset(); });
  EXPECT_TRUE(admission.WaitUntilEmpty(Clock::now() + std::chrono::seconds(60)));
  leaver.join();
}

TEST(AdmissionTest, ManyThreadsNeverPassTheLimit) {
  Admission admission(3);
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 2000; ++round) {
        const auto ticket = Enter(admission);
        EXPECT_LE(admission.count(), 3);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(admission.count(), 0);
}

TEST(AdmissionTest, ATicketMayOutliveIt) {
  std::optional<Admission::Ticket> ticket;
  {
    Admission admission(1);
    ticket = Enter(admission);
  }
  ticket.reset();
}

}  // namespace
}  // namespace dray::serving
