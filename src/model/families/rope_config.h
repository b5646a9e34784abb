// Reads rotary parameters in both spellings: rope_theta with rope_scaling {type | rope_type, ...},
// and rope_parameters {rope_theta, rope_type, partial_rotary_factor, ...}. All families that rotate
// use this.
#pragma once

#include <string_view>

#include "base/status.h"
#include "model/config/config_reader.h"
#include "model/config/stack_config.h"

namespace dray::model {

// The names that a family gives to the base and to the share of rotated dimensions outside the
// nested object.
struct RopeKeys {
  std::string_view base = "rope_theta";
  std::string_view fraction;  // empty: every dimension of a head is rotated
  double default_fraction = 1.0;
};

// Fills stack.rope from `reader`; stack.head_dim must be set. Sets stack.max_positions from
// max_position_embeddings (`default_max_positions` where absent) by these rules:
// - plain and llama3: max_position_embeddings;
// - linear and dynamic: factor times it, as it is the unscaled model's context;
// - yarn: the larger of it and factor * original_max_position_embeddings, since files hold
//   either the unscaled or the scaled context.
// Refuses types other than default, linear, dynamic, llama3 and yarn by name.
Status ReadRope(ConfigReader& reader, const RopeKeys& keys, int64_t default_max_positions,
                StackConfig& stack);

}  // namespace dray::model
