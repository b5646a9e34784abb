// The choices that a model's configuration makes about its operations: light enough for any header.
#pragma once

#include <cstdint>

namespace dray::kernels {

// Element-wise functions of the feed-forward layer and of the heads behind a stack. kGelu is the
// exact form (erf), kGeluTanh the tanh approximation.
enum class Activation : uint8_t { kNone, kRelu, kGelu, kGeluTanh, kSilu, kTanh };

// Which tokens of its sequence a token attends to.
enum class AttentionMask : uint8_t {
  kCausal,  // those up to itself
  kFull,    // all of them
};

enum class NormKind : uint8_t {
  kLayerNorm,  // (x - mean) / sqrt(variance + eps) * weight + bias
  kRmsNorm,    // x / sqrt(mean(x^2) + eps) * weight
};

// Which dimensions of a head are rotated together: (i, i + rotary_dim / 2), or (2i, 2i + 1).
enum class RopeStyle : uint8_t { kHalf, kInterleaved };

// Whether an operation replaces its output or adds to it.
enum class WriteMode : uint8_t { kOverwrite, kAdd };

}  // namespace dray::kernels
