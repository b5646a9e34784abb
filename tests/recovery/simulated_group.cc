#include "recovery/simulated_group.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/check.h"

namespace dray::testing {

using engine::RunnerStep;
using engine::StepPiece;

SimulatedGroup::SimulatedGroup(const Setup& setup, SimulatedNetwork& network,
                               scheduler::Random& random)
    : setup_(setup),
      network_(network),
      random_(random),
      ranks_(static_cast<size_t>(setup.model.num_ranks())) {
  const auto num_slots =
      static_cast<size_t>(setup_.spec.cache.num_blocks * setup_.spec.cache.block_size);
  for (Rank& rank : ranks_) {
    rank.cache.resize(num_slots);
    for (uint64_t& slot : rank.cache) slot = random_.Next();
  }
  network_.Connect(setup_.group, [this](const Message& message) { Receive(message); });
}

SimulatedGroup::~SimulatedGroup() { network_.Connect(setup_.group, {}); }

void SimulatedGroup::Submit(const RunnerStep& step) {
  DRAY_CHECK(in_flight_.size() < max_steps_in_flight());
  in_flight_.push_back({.step = num_submitted_, .logit_rows = step.logit_rows});
  const auto work = std::make_shared<const RunnerStep>(step);
  for (int64_t rank = 0; rank < setup_.model.num_ranks(); ++rank) {
    network_.Send({.kind = Message::Kind::kWork,
                   .group = setup_.group,
                   .to = rank,
                   .step = num_submitted_,
                   .work = work},
                  network_.NextFault() == Fault::kDelay ? Fault::kDelay : Fault::kNone);
  }
  ++num_submitted_;
}

void SimulatedGroup::Receive(const Message& message) {
  const bool at_front = message.to == Message::kFront;
  if (!at_front && (!At(message.to).alive || At(message.to).hangs)) return;
  if (message.checksum != message.Sum()) {
    Message lost = {.kind = Message::Kind::kLost, .group = setup_.group, .from = message.to};
    if (at_front) return ReceiveAtFront(lost);
    At(message.to).alive = false;
    return network_.Send(std::move(lost), Fault::kNone);
  }
  if (at_front) return ReceiveAtFront(message);
  Rank& rank = At(message.to);
  switch (message.kind) {
    case Message::Kind::kWork:
      rank.work[message.step] = message.work;
      break;
    case Message::Kind::kStream:
      rank.streams[message.step] = message.numbers;
      break;
    case Message::Kind::kPart:
      rank.parts[message.step][message.from] = message.numbers;
      break;
    case Message::Kind::kReply:
    case Message::Kind::kLost:
      break;
  }
  Work(message.to);
}

void SimulatedGroup::ReceiveAtFront(const Message& message) {
  if (message.kind == Message::Kind::kLost) {
    failure_ = message.from == Message::kFront ? "a rank sent garbage" : "a rank is lost";
    return;
  }
  for (InFlight& step : in_flight_) {
    if (step.step == message.step) step.replies[message.from] = message.numbers;
  }
}

void SimulatedGroup::Send(int64_t from, Message message) {
  Rank& rank = At(from);
  if (!rank.alive || rank.hangs) return;
  const Fault fault = network_.NextFault();
  if (fault == Fault::kDeath) return Die(from);
  if (fault == Fault::kHang) {
    rank.hangs = true;
    return;
  }
  message.group = setup_.group;
  message.from = from;
  network_.Send(std::move(message), fault);
}

void SimulatedGroup::Die(int64_t rank) {
  At(rank).alive = false;
  network_.Send({.kind = Message::Kind::kLost, .group = setup_.group, .from = rank}, Fault::kNone);
}

void SimulatedGroup::Work(int64_t rank) {
  Rank& self = At(rank);
  while (self.alive && !self.hangs) {
    const int64_t step = self.next_step;
    const auto work = self.work.find(step);
    if (work == self.work.end()) return;
    if (StageOf(rank) > 0 && !self.streams.contains(step)) return;
    const int64_t world = setup_.model.ranks_in_stage;
    if (!self.has_computed) {
      self.has_computed = true;
      const std::vector<uint64_t> part = ComputePart(rank, *work->second);
      if (!self.alive) return;
      self.parts[step][rank] = part;
      const int64_t first = StageOf(rank) * world;
      for (int64_t to = first; to < first + world; ++to) {
        if (to == rank) continue;
        Send(rank, {.kind = Message::Kind::kPart, .to = to, .step = step, .numbers = part});
      }
    }
    if (static_cast<int64_t>(self.parts[step].size()) < world) return;
    FinishStep(rank, *work->second);
    self.parts.erase(step);
    self.streams.erase(step);
    self.work.erase(step);
    self.has_computed = false;
    ++self.next_step;
  }
}

std::vector<uint64_t> SimulatedGroup::ComputePart(int64_t rank, const RunnerStep& step) {
  Rank& self = At(rank);
  const int64_t block_size = setup_.spec.cache.block_size;
  for (size_t i = 0; i < step.copy_from.size(); ++i) {
    const auto from = self.cache.begin() + step.copy_from[i] * block_size;
    std::copy(from, from + block_size, self.cache.begin() + step.copy_to[i] * block_size);
  }
  std::vector<uint64_t> part;
  for (const kernels::AttentionSequence& sequence : step.batch.sequences) {
    for (int32_t i = 0; i < sequence.num_rows; ++i) {
      const auto row = static_cast<size_t>(sequence.first_row + i);
      const int32_t token = step.batch.ids[row];
      if (token == SimulatedModel::kDeadlyToken) {
        Die(rank);
        return {};
      }
      const int64_t position = step.batch.positions[row];
      const uint64_t stream = StageOf(rank) == 0 ? SimulatedModel::Embed(token, position)
                                                 : self.streams[self.next_step][row];
      self.cache[static_cast<size_t>(step.batch.slots[row])] = SimulatedModel::Store(stream, rank);
      uint64_t sum = 0;
      for (int64_t q = 0; q <= position; ++q) {
        const auto entry = static_cast<size_t>(sequence.table_offset + q / block_size);
        const int64_t slot = step.batch.block_tables[entry] * block_size + q % block_size;
        sum = SimulatedModel::Attend(sum, self.cache[static_cast<size_t>(slot)]);
      }
      part.push_back(sum);
    }
  }
  return part;
}

void SimulatedGroup::FinishStep(int64_t rank, const RunnerStep& step) {
  Rank& self = At(rank);
  const auto& parts = self.parts[self.next_step];
  std::vector<uint64_t> stream(step.batch.ids.size());
  std::vector<uint64_t> of_row;
  for (size_t row = 0; row < stream.size(); ++row) {
    of_row.clear();
    for (const auto& [from, numbers] : parts) of_row.push_back(numbers[row]);
    stream[row] = SimulatedModel::Reduce(of_row);
  }
  if (!IsLastStage(rank)) {
    return Send(rank, {.kind = Message::Kind::kStream,
                       .to = rank + setup_.model.ranks_in_stage,
                       .step = self.next_step,
                       .numbers = std::move(stream)});
  }
  Message reply = {.kind = Message::Kind::kReply, .step = self.next_step};
  for (const int32_t row : step.logit_rows) {
    reply.numbers.push_back(stream[static_cast<size_t>(row)]);
  }
  Send(rank, std::move(reply));
}

void SimulatedGroup::AwaitOldest() {
  const int64_t deadline = network_.now() + SimulatedNetwork::kPatience;
  const auto num_replies = static_cast<size_t>(setup_.model.ranks_in_stage);
  while (failure_.empty() && in_flight_.front().replies.size() < num_replies) {
    if (network_.next_arrival() > deadline) {
      network_.WaitUntil(deadline);
      failure_ = "a step takes too long";
      return;
    }
    network_.Deliver();
  }
}

StepPiece SimulatedGroup::Collect() {
  DRAY_CHECK(!in_flight_.empty());
  if (in_flight_.front().num_rows_given == 0) {
    AwaitOldest();
  } else {
    // Time goes on between the pieces.
    for (int64_t i = random_.Between(0, 6); i > 0 && failure_.empty(); --i) {
      if (network_.next_arrival() <= network_.now() + SimulatedNetwork::kPatience) {
        network_.Deliver();
      }
    }
    // Logits of later pieces are computed and sent later.
    const Fault fault = network_.NextFault();
    if (fault == Fault::kGarbage) failure_ = "a rank sent garbage";
    if (fault == Fault::kDeath || fault == Fault::kHang) failure_ = "a rank is lost";
  }
  if (failure_.empty()) return TakePiece();
  return {.status = Status(StatusCode::kUnavailable, failure_),
          .scope = engine::FailureScope::kRunner,
          .is_last = true};
}

StepPiece SimulatedGroup::TakePiece() {
  InFlight& oldest = in_flight_.front();
  const std::vector<uint64_t>& streams = oldest.replies.begin()->second;
  for (const auto& [rank, other] : oldest.replies) DRAY_CHECK(other == streams);
  const auto total = static_cast<int64_t>(streams.size());
  const int64_t left = total - oldest.num_rows_given;
  const int64_t num_rows = left == 0 || random_.OneIn(2) ? left : random_.Between(1, left);
  constexpr size_t kVocab = SimulatedModel::kVocabSize;
  logits_.resize(static_cast<size_t>(num_rows) * kVocab);
  for (int64_t i = 0; i < num_rows; ++i) {
    SimulatedModel::Logits(streams[static_cast<size_t>(oldest.num_rows_given + i)],
                           std::span(logits_).subspan(static_cast<size_t>(i) * kVocab, kVocab));
  }
  StepPiece piece = {.first = oldest.num_rows_given,
                     .num_rows = num_rows,
                     .logits = logits_,
                     .is_last = num_rows == left};
  oldest.num_rows_given += num_rows;
  if (piece.is_last) in_flight_.pop_front();
  return piece;
}

}  // namespace dray::testing
