#include "model/families/rope_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "model/families/family_config.h"

namespace dray::model {
namespace {

constexpr double kMaxFactor = 1e6;
constexpr double kMaxBase = 1e15;

constexpr std::array<std::pair<std::string_view, RopeScaling>, 5> kScalings = {{
    {"default", RopeScaling::kNone},
    {"linear", RopeScaling::kLinear},
    {"dynamic", RopeScaling::kDynamic},
    {"llama3", RopeScaling::kLlama3},
    {"yarn", RopeScaling::kYarn},
}};

Result<RopeScaling> ReadScaling(ConfigReader& rope) {
  const std::string_view key = rope.Has("rope_type") ? "rope_type" : "type";
  DRAY_ASSIGN_OR_RETURN(const std::string type, rope.String(key, "default"));
  (void)rope.Find("type");  // transformers writes both keys and reads rope_type
  for (const auto& [name, scaling] : kScalings) {
    if (type == name) return scaling;
  }
  return rope.RefuseUnsupported(
      key,
      "dray knows default, linear, dynamic, llama3 and yarn; use a checkpoint with one of them");
}

Status ReadBase(ConfigReader& reader, ConfigReader& rope, const RopeKeys& keys, RopeConfig& out) {
  ConfigReader* owner = &rope;
  std::string_view key = "rope_theta";
  if (!rope.Has(key)) {
    owner = &reader;
    key = reader.Has(keys.base) ? keys.base : "rope_theta";
  }
  (void)reader.Find("rope_theta");
  (void)reader.Find(keys.base);
  if (!owner->Has(key)) return OkStatus();  // the default, 10000, stays
  DRAY_ASSIGN_OR_RETURN(out.base, owner->Double(key, 1.0, kMaxBase));
  if (out.base <= 1.0) return owner->Refuse(key, "it must be above 1");
  return OkStatus();
}

Status ReadDimensions(ConfigReader& reader, ConfigReader& rope, const RopeKeys& keys,
                      StackConfig& stack) {
  double fraction = keys.default_fraction;
  std::string_view key = "partial_rotary_factor";
  ConfigReader* owner = rope.Has(key) ? &rope : &reader;
  if (owner == &reader && !keys.fraction.empty() && reader.Has(keys.fraction)) key = keys.fraction;
  (void)reader.Find("partial_rotary_factor");
  if (owner->Has(key)) {
    DRAY_ASSIGN_OR_RETURN(fraction, owner->Double(key, 0.0, 1.0));
  }
  if (keys.fraction.empty() && fraction != 1.0) {
    return owner->Refuse(key, "heads of this family are rotated whole: it must be 1 or absent");
  }
  const auto dims = static_cast<int64_t>(static_cast<double>(stack.head_dim) * fraction);
  stack.rope.exponent_dim = dims;
  stack.rope.dim = dims + dims % 2;
  if (dims < 1 || stack.rope.dim > stack.head_dim) {
    return owner->Refuse(key, fmt::format("of heads of {} dimensions it rotates {}; it must rotate "
                                          "at least one pair, and a whole head must be even",
                                          stack.head_dim, dims));
  }
  return OkStatus();
}

// The unscaled model's context stands beside the nested object or in it; otherwise it is
// `max_positions`.
Status ReadOriginalContext(ConfigReader& reader, ConfigReader& rope, int64_t max_positions,
                           RopeConfig& out) {
  constexpr std::string_view kKey = "original_max_position_embeddings";
  out.original_max_positions = max_positions;
  if (out.scaling != RopeScaling::kLlama3 && out.scaling != RopeScaling::kYarn) return OkStatus();
  ConfigReader& owner = reader.Has(kKey) ? reader : rope;
  (void)rope.Find(kKey);
  DRAY_ASSIGN_OR_RETURN(out.original_max_positions,
                        owner.Int(kKey, 1, kMaxPositions, max_positions));
  return OkStatus();
}

Status ReadLlama3(ConfigReader& rope, RopeConfig& out) {
  DRAY_ASSIGN_OR_RETURN(out.low_freq_factor, rope.Double("low_freq_factor", 1e-6, kMaxFactor));
  DRAY_ASSIGN_OR_RETURN(out.high_freq_factor, rope.Double("high_freq_factor", 1e-6, kMaxFactor));
  if (out.high_freq_factor <= out.low_freq_factor) {
    return rope.Refuse("high_freq_factor",
                       fmt::format("it must be above low_freq_factor, {}", out.low_freq_factor));
  }
  return OkStatus();
}

// The factor by which YaRN's paper sharpens attention for a stretch of `factor`.
double YarnScale(double factor, double weight) {
  return factor <= 1.0 ? 1.0 : 0.1 * weight * std::log(factor) + 1.0;
}

// Zero means the default, as in transformers.
Result<double> ReadBeta(ConfigReader& rope, std::string_view key, double default_value) {
  if (!rope.Has(key)) return default_value;
  DRAY_ASSIGN_OR_RETURN(const double beta, rope.Double(key, 0.0, kMaxFactor));
  return beta == 0.0 ? default_value : beta;
}

Status ReadYarn(ConfigReader& rope, RopeConfig& out) {
  DRAY_ASSIGN_OR_RETURN(out.beta_fast, ReadBeta(rope, "beta_fast", 32.0));
  DRAY_ASSIGN_OR_RETURN(out.beta_slow, ReadBeta(rope, "beta_slow", 1.0));
  if (out.beta_fast < out.beta_slow) {
    return rope.Refuse("beta_fast",
                       fmt::format("it must not be below beta_slow, {}", out.beta_slow));
  }
  DRAY_ASSIGN_OR_RETURN(out.truncate, rope.Bool("truncate", true));
  DRAY_ASSIGN_OR_RETURN(const double mscale, rope.Double("mscale", 0.0));
  DRAY_ASSIGN_OR_RETURN(const double mscale_all_dim, rope.Double("mscale_all_dim", 0.0));
  const bool both = mscale != 0.0 && mscale_all_dim != 0.0;
  out.attention_factor = both
                             ? YarnScale(out.factor, mscale) / YarnScale(out.factor, mscale_all_dim)
                             : YarnScale(out.factor, 1.0);
  if (rope.Has("attention_factor")) {
    DRAY_ASSIGN_OR_RETURN(out.attention_factor, rope.Double("attention_factor", 0.0, kMaxFactor));
  }
  if (!std::isfinite(out.attention_factor) || out.attention_factor < 0.0) {
    return rope.Refuse("mscale_all_dim", "with mscale it makes no usable attention factor");
  }
  return OkStatus();
}

Status ReadFactor(ConfigReader& rope, int64_t max_positions, RopeConfig& out) {
  if (out.scaling == RopeScaling::kYarn && rope.IsNull("factor")) {
    out.factor =
        static_cast<double>(max_positions) / static_cast<double>(out.original_max_positions);
    return OkStatus();
  }
  DRAY_ASSIGN_OR_RETURN(out.factor, rope.Double("factor", 1e-6, kMaxFactor));
  return OkStatus();
}

Status ReadScalingParameters(ConfigReader& reader, ConfigReader& rope, int64_t max_positions,
                             RopeConfig& out) {
  DRAY_ASSIGN_OR_RETURN(out.scaling, ReadScaling(rope));
  DRAY_RETURN_IF_ERROR(ReadOriginalContext(reader, rope, max_positions, out));
  if (out.scaling == RopeScaling::kNone) return OkStatus();
  DRAY_RETURN_IF_ERROR(ReadFactor(rope, max_positions, out));
  if (out.scaling == RopeScaling::kLlama3) return ReadLlama3(rope, out);
  if (out.scaling == RopeScaling::kYarn) return ReadYarn(rope, out);
  if (out.scaling == RopeScaling::kDynamic && out.factor < 1.0) {
    return rope.Refuse("factor", "dynamic scaling only stretches: it must be at least 1");
  }
  if (out.scaling == RopeScaling::kDynamic && out.exponent_dim <= 2) {
    return rope.Refuse("rope_type", "dynamic scaling needs more than two rotated dimensions");
  }
  return OkStatus();
}

int64_t UsableContext(const RopeConfig& rope, int64_t max_positions) {
  const auto times_factor = [&](int64_t context) {
    const double stretched = std::floor(static_cast<double>(context) * rope.factor);
    return static_cast<int64_t>(std::min(stretched, static_cast<double>(kMaxPositions)));
  };
  switch (rope.scaling) {
    case RopeScaling::kLinear:
    case RopeScaling::kDynamic:
      return std::max(max_positions, times_factor(max_positions));
    case RopeScaling::kYarn:
      return std::max(max_positions, times_factor(rope.original_max_positions));
    default:
      return max_positions;
  }
}

}  // namespace

Status ReadRope(ConfigReader& reader, const RopeKeys& keys, int64_t default_max_positions,
                StackConfig& stack) {
  DRAY_ASSIGN_OR_RETURN(
      const int64_t max_positions,
      reader.Int("max_position_embeddings", 1, kMaxPositions, default_max_positions));
  // If both spellings are present, the older one wins, as in transformers.
  const std::string_view key = reader.Has("rope_scaling") ? "rope_scaling" : "rope_parameters";
  (void)reader.Find("rope_parameters");
  static const Json kEmpty = Json::MakeObject();
  const Json* object = reader.Has(key) ? reader.Find(key) : &kEmpty;
  if (!object->is_object()) return reader.Refuse(key, "it must be an object");
  for (const auto& [name, value] : *object->AsObject()) {
    if (value.is_object()) {
      return reader.Refuse(key,
                           fmt::format("{} is an object: parameters for each kind of layer are "
                                       "not supported",
                                       name));
    }
  }
  ConfigReader rope(fmt::format("{}: {}", reader.where(), key), *object);
  DRAY_RETURN_IF_ERROR(ReadBase(reader, rope, keys, stack.rope));
  DRAY_RETURN_IF_ERROR(ReadDimensions(reader, rope, keys, stack));
  DRAY_RETURN_IF_ERROR(rope.RefuseUnless("mrope_section", nullptr));
  DRAY_RETURN_IF_ERROR(ReadScalingParameters(reader, rope, max_positions, stack.rope));
  reader.AddUnreadKeysOf(key, rope);
  stack.position = PositionKind::kRotary;
  stack.rope.style = RopeStyle::kHalf;
  stack.max_positions = UsableContext(stack.rope, max_positions);
  return OkStatus();
}

}  // namespace dray::model
