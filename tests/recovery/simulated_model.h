// The model of the recovery simulation: integers instead of tensors, divided over stages and ranks.
//
// At each stage every rank stores one number for a token, made from what the token's residual
// stream is there. What a rank adds to the stream is a hash of all numbers that it has stored for
// the sequence up to the token. So a token's logits depend on every place of every rank's cache
// that the sequence uses, and a wrong place gives wrong tokens and log-probabilities.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "scheduler/testing/simulation_support.h"

namespace dray::testing {

using scheduler::Mix;

struct SimulatedModel {
  static constexpr int64_t kVocabSize = 40;
  static constexpr int32_t kEndToken = 0;
  // A rank that computes this token dies. No logits ever favour it, so it comes from prompts only.
  static constexpr int32_t kDeadlyToken = kVocabSize - 1;

  int64_t num_stages = 1;
  int64_t ranks_in_stage = 1;

  int64_t num_ranks() const { return num_stages * ranks_in_stage; }

  // The stream of a token before the first stage.
  static uint64_t Embed(int32_t token, int64_t position) {
    return Mix(static_cast<uint64_t>(token), static_cast<uint64_t>(position));
  }
  // What rank `rank` of all ranks stores for a token.
  static uint64_t Store(uint64_t stream, int64_t rank) {
    return Mix(stream, 0x57C0 + static_cast<uint64_t>(rank));
  }
  // The hash of one more stored number.
  static uint64_t Attend(uint64_t sum, uint64_t stored) { return Mix(sum, stored); }
  // The stream behind a stage: `parts` are the hashes of its ranks.
  static uint64_t Reduce(std::span<const uint64_t> parts) {
    uint64_t stream = 0xADD;
    for (const uint64_t part : parts) stream = Mix(stream, part);
    return stream;
  }
  // The logits of the next token, [kVocabSize], from the stream behind the last stage.
  static void Logits(uint64_t stream, std::span<float> logits) {
    constexpr uint64_t kSteps = 4096;
    for (size_t i = 0; i < logits.size(); ++i) {
      logits[i] = static_cast<float>(Mix(stream, i) % kSteps) * (8.0F / kSteps);
    }
    logits[kDeadlyToken] = -1000;
  }
};

// Computes one sequence alone, without a cache: the truth.
class PlainSequence {
 public:
  explicit PlainSequence(const SimulatedModel& model)
      : model_(model),
        sums_(static_cast<size_t>(model.num_ranks())),
        parts_(static_cast<size_t>(model.ranks_in_stage)) {}

  // Appends a token and computes the logits of the next one, [kVocabSize].
  void Append(int32_t token, std::span<float> logits) {
    uint64_t stream = SimulatedModel::Embed(token, position_++);
    for (int64_t stage = 0; stage < model_.num_stages; ++stage) {
      for (int64_t i = 0; i < model_.ranks_in_stage; ++i) {
        const int64_t rank = stage * model_.ranks_in_stage + i;
        uint64_t& sum = sums_[static_cast<size_t>(rank)];
        sum = SimulatedModel::Attend(sum, SimulatedModel::Store(stream, rank));
        parts_[static_cast<size_t>(i)] = sum;
      }
      stream = SimulatedModel::Reduce(parts_);
    }
    SimulatedModel::Logits(stream, logits);
  }

 private:
  SimulatedModel model_;
  int64_t position_ = 0;
  std::vector<uint64_t> sums_;   // [rank]
  std::vector<uint64_t> parts_;  // [rank of the stage]
};

}  // namespace dray::testing
