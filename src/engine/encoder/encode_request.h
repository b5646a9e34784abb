// What an encoder is asked for, and the events that answer it: token ids go in, vectors come out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/status.h"

namespace dray::engine {

struct EncodeText {
  std::vector<int32_t> ids;    // at least one
  std::vector<int32_t> types;  // [ids.size()]: the type of each token
};

// What a text becomes.
enum class EncodeOutput : uint8_t {
  kVector,   // one vector, as the model's sentence configuration says
  kStates,   // the state of each token, [tokens, hidden]
  kClasses,  // the classifier's number for each class, before they become probabilities
};

struct EncodeRequest {
  std::vector<EncodeText> texts;
  EncodeOutput output = EncodeOutput::kVector;
};

// Receives the events of one request, on the engine's thread; must return quickly.
class EncodeSink {
 public:
  virtual ~EncodeSink() = default;
  // The first pass with a text of the request begins. Called once, before the other events.
  virtual void OnStart() {}
  // The numbers of text `text_idx` of the request; texts come in their order.
  virtual void OnText(size_t text_idx, std::vector<float> numbers) = 0;
  // Always the last event, exactly one for each accepted request: ok after its last text, kCancelled
  // if it was cancelled.
  virtual void OnEnd(const Status& status) = 0;
};

}  // namespace dray::engine
