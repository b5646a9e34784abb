// Why a request was refused or has failed, as facts. Each API words them in its own way; ToStatus has
// neutral words, for logs and the command line.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>

#include "base/status.h"
#include "sampling/param_problem.h"
#include "serving/model_info.h"

namespace dray::serving {

struct ModelUnknown {
  std::string name;
  std::string version;  // "": any
};

struct ModelNotReady {
  std::string name;
  ModelState state = ModelState::kPending;
};

// The operator has left the model no workers.
struct NoWorkers {
  std::string model;
};

// There is a model of that name and version already.
struct ModelExists {
  std::string name;
  std::string version;
};

// The model refuses new requests, since it or the server is ending.
struct ModelDraining {
  std::string name;
};

struct QueueFull {
  std::string model;
  int64_t max_requests = 0;  // that may run or wait
};

struct PromptEmpty {};

// Too long to be worth tokenizing.
struct PromptTooLarge {
  size_t bytes = 0;
  size_t max_bytes = 0;
  int64_t context_tokens = 0;
};

// No room is left for a new token.
struct PromptTooLong {
  int64_t prompt_tokens = 0;
  int64_t context_tokens = 0;
};

struct NewTokensTooMany {
  int64_t prompt_tokens = 0;
  int64_t max_new_tokens = 0;
  int64_t context_tokens = 0;
};

struct MaxLengthTooShort {
  int64_t max_length = 0;
  int64_t tokens_before = 0;  // that count before the first new one
  // Whether they are the prompt's; otherwise they are what an encoder-decoder begins an answer with.
  bool are_of_prompt = true;
};

// A text for an encoder.
struct TextTooLong {
  int64_t tokens = 0;
  int64_t max_tokens = 0;
};

// No token came for so long.
struct TimedOut {
  std::chrono::milliseconds limit{0};
};

// A Status stands for everything that no caller treats apart: errors of the tokenizer and of the
// engine, and what cancelled the request.
using Reason =
    std::variant<Status, ModelUnknown, ModelNotReady, ModelExists, ModelDraining, NoWorkers,
                 QueueFull, PromptEmpty, PromptTooLarge, PromptTooLong, NewTokensTooMany,
                 MaxLengthTooShort, TextTooLong, TimedOut, sampling::ParamProblem>;

// The reason in neutral words, with parameters spelt by `spell`.
Status ToStatus(const Reason& reason, sampling::SpellParam spell = sampling::QuoteParam);

// A value of type T, or the reason why there is none.
template <typename T>
class [[nodiscard]] OrReason {
 public:
  OrReason(T value) : content_(std::move(value)) {}         // NOLINT(google-explicit-constructor)
  OrReason(Reason reason) : content_(std::move(reason)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return std::holds_alternative<T>(content_); }
  // The reason; there must be one.
  const Reason& reason() const { return std::get<Reason>(content_); }
  Status status() const { return ok() ? OkStatus() : ToStatus(reason()); }

  // The value; there must be one.
  T& operator*() { return std::get<T>(content_); }
  const T& operator*() const { return std::get<T>(content_); }
  T* operator->() { return &std::get<T>(content_); }
  const T* operator->() const { return &std::get<T>(content_); }

 private:
  std::variant<T, Reason> content_;
};

}  // namespace dray::serving
