// The hosts' network of the recovery simulation, with a clock of its own: messages arrive after
// random times, and so in another order than they were sent in, or too late.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "engine/runner/model_runner.h"
#include "scheduler/testing/simulation_support.h"

namespace dray::testing {

// What may go wrong whenever a rank computes or sends something.
enum class Fault { kNone, kDeath, kHang, kDelay, kGarbage };
inline constexpr size_t kNumFaults = 5;

struct Message {
  enum class Kind {
    kWork,    // a step, from the front to a rank
    kPart,    // what a rank adds to the stream of its stage, to all ranks of the stage
    kStream,  // the stream behind a stage, to a rank of the next one
    kReply,   // the stream of the wanted rows, from the last stage to the front
    kLost,    // to the front: a rank has died, or has received garbage
  };
  static constexpr int64_t kFront = -1;

  Kind kind = Kind::kWork;
  int64_t group = 0;  // of the sender and the receiver; groups follow each other
  int64_t from = kFront;
  int64_t to = kFront;
  int64_t step = 0;
  std::shared_ptr<const engine::RunnerStep> work = {};
  std::vector<uint64_t> numbers = {};
  uint64_t checksum = 0;

  uint64_t Sum() const {
    uint64_t sum = static_cast<uint64_t>(step);
    for (const uint64_t number : numbers) sum = scheduler::Mix(sum, number);
    return sum;
  }
};

class SimulatedNetwork {
 public:
  // Units of the clock: a usual message takes up to kUsualTime, a delayed one up to kLongestTime,
  // and the front waits kPatience for the results of a step.
  static constexpr int64_t kUsualTime = 20;
  static constexpr int64_t kPatience = 1000;
  static constexpr int64_t kLongestTime = 2 * kPatience;

  explicit SimulatedNetwork(scheduler::Random& random) : random_(random) {}

  // While faults are off, NextFault returns kNone. `one_in` is how many chances there are for one
  // fault.
  void SetFaults(bool on) { faults_on_ = on; }
  void SetRate(int64_t one_in) { one_in_ = one_in; }
  Fault NextFault() {
    if (!faults_on_ || !random_.OneIn(one_in_)) return Fault::kNone;
    const auto fault = static_cast<Fault>(random_.Between(1, kNumFaults - 1));
    ++num_faults_[static_cast<size_t>(fault)];
    return fault;
  }
  // [fault]: how many there were.
  const std::array<int64_t, kNumFaults>& num_faults() const { return num_faults_; }
  // Messages that arrived before one that was sent earlier, and those of groups that had ended.
  int64_t num_reordered() const { return num_reordered_; }
  int64_t num_stale() const { return num_stale_; }

  // The group that gets the messages from now on; null if there is none.
  using Receiver = std::function<void(const Message&)>;
  void Connect(int64_t group, Receiver receiver) {
    group_ = group;
    receiver_ = std::move(receiver);
  }

  void Send(Message message, Fault fault) {
    message.checksum = message.Sum();
    if (fault == Fault::kGarbage) {
      if (message.numbers.empty()) {
        ++message.checksum;
      } else {
        message.numbers.back() ^= uint64_t{1} << random_.Between(0, 63);
      }
    }
    const int64_t most = fault == Fault::kDelay ? kLongestTime : kUsualTime;
    const int64_t arrival = now_ + random_.Between(1, most);
    const uint64_t number = num_sent_++;
    under_way_.emplace(std::pair(arrival, number), std::move(message));
  }

  int64_t now() const { return now_; }
  // When the next message arrives.
  int64_t next_arrival() const {
    return under_way_.empty() ? std::numeric_limits<int64_t>::max()
                              : under_way_.begin()->first.first;
  }
  void WaitUntil(int64_t time) { now_ = std::max(now_, time); }
  // Delivers the message that arrives next; there must be one.
  void Deliver() {
    const auto first = under_way_.begin();
    now_ = std::max(now_, first->first.first);
    const uint64_t number = first->first.second;
    if (number < latest_) ++num_reordered_;
    latest_ = std::max(latest_, number);
    const Message message = std::move(first->second);
    under_way_.erase(first);
    if (message.group != group_) {
      ++num_stale_;
    } else if (receiver_) {
      receiver_(message);
    }
  }

 private:
  scheduler::Random& random_;
  int64_t now_ = 0;
  uint64_t num_sent_ = 0;
  uint64_t latest_ = 0;
  std::map<std::pair<int64_t, uint64_t>, Message> under_way_;  // by arrival, then number
  int64_t group_ = 0;
  Receiver receiver_;
  bool faults_on_ = true;
  int64_t one_in_ = 1;
  std::array<int64_t, kNumFaults> num_faults_{};
  int64_t num_reordered_ = 0;
  int64_t num_stale_ = 0;
};

}  // namespace dray::testing
