#include "outliers/outliers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <random>
#include <string>
#include <utility>

#include "outliers/stream_rotation.h"

namespace dray::testing {
namespace {

struct KindName {
  OutlierKind kind;
  std::string_view name;
};
constexpr std::array<KindName, 6> kNames = {{{OutlierKind::kNorms, "norms"},
                                             {OutlierKind::kFeedForward, "ffn"},
                                             {OutlierKind::kValues, "values"},
                                             {OutlierKind::kKeys, "keys"},
                                             {OutlierKind::kStream, "stream"},
                                             {OutlierKind::kAll, "all"}}};

// Draws different channels of [0, count). Not by a standard distribution: the libraries' results
// differ.
class ChannelPicker {
 public:
  ChannelPicker(uint64_t seed, int64_t channels) : random_(seed), channels_(channels) {}

  std::vector<int64_t> Pick(int64_t count) {
    std::vector<int64_t> all(static_cast<size_t>(count));
    std::iota(all.begin(), all.end(), 0);
    for (size_t i = 0; i < static_cast<size_t>(channels_); ++i) {
      std::swap(all[i], all[i + random_() % (all.size() - i)]);
    }
    all.resize(static_cast<size_t>(channels_));
    return all;
  }

 private:
  std::mt19937_64 random_;
  int64_t channels_;
};

using Channels = std::vector<int64_t>;

// Multiplies channels of a norm's output, and divides the columns of the matrices that read it.
void ScaleNorms(FloatModel& model, float factor, ChannelPicker picker) {
  for (const NormAndReaders& at : model.Norms()) {
    for (const int64_t channel : picker.Pick(model.stack().hidden)) {
      at.norm.ScaleOutput(channel, factor);
      for (const Affine& reader : at.readers) reader.weight->ScaleColumn(channel, 1 / factor);
    }
  }
}

// Between the two matrices stands ReLU, or a product with the gates: both give factors above zero on.
bool GivesFactorsOn(const model::StackConfig& stack) {
  return stack.gated || stack.activation == kernels::Activation::kRelu;
}

void ScaleFeedForward(FloatModel& model, float factor, ChannelPicker picker) {
  for (int64_t l = 0; l < model.stack().num_layers; ++l) {
    const Affine up = model.LayerPart(l, model.layout().up);
    FloatTensor& down = model.LayerWeight(l, model.layout().down);
    for (const int64_t channel : picker.Pick(up.weight->rows())) {
      up.ScaleOutput(channel, factor);
      down.ScaleColumn(channel, 1 / factor);
    }
  }
}

// The channels of the query heads that read `channel` of the key/value heads.
Channels QueryChannels(const FloatModel& model, int64_t channel) {
  const int64_t head_dim = model.stack().head_dim, group = model.heads_per_kv_head();
  Channels channels;
  for (int64_t i = 0; i < group; ++i) {
    channels.push_back((channel / head_dim * group + i) * head_dim + channel % head_dim);
  }
  return channels;
}

void ScaleValues(FloatModel& model, float factor, ChannelPicker picker) {
  for (int64_t l = 0; l < model.stack().num_layers; ++l) {
    const Affine value = model.LayerPart(l, model.layout().value);
    FloatTensor& out = model.LayerWeight(l, model.layout().attention_out);
    for (const int64_t channel : picker.Pick(model.stack().kv_width())) {
      value.ScaleOutput(model.HeadRow(HeadPart::kValue, channel), factor);
      for (const int64_t query : QueryChannels(model, channel)) out.ScaleColumn(query, 1 / factor);
    }
  }
}

// The dimensions of a head in sets that must have one factor: those that are rotated together, and
// each of the others alone.
std::vector<Channels> RotatedSets(const model::StackConfig& stack) {
  const int64_t rotated = stack.position == model::PositionKind::kRotary ? stack.rope.dim : 0;
  std::vector<Channels> sets;
  for (int64_t i = 0; i < rotated / 2; ++i) {
    const bool halves = stack.rope.style == model::RopeStyle::kHalf;
    sets.push_back(halves ? Channels{i, i + rotated / 2} : Channels{2 * i, 2 * i + 1});
  }
  for (int64_t i = rotated; i < stack.head_dim; ++i) sets.push_back({i});
  return sets;
}

void ScaleKeys(FloatModel& model, float factor, ChannelPicker picker) {
  const model::StackConfig& stack = model.stack();
  const std::vector<Channels> sets = RotatedSets(stack);
  const auto per_head = static_cast<int64_t>(sets.size());
  for (int64_t l = 0; l < stack.num_layers; ++l) {
    const Affine key = model.LayerPart(l, model.layout().key);
    const Affine query = model.LayerPart(l, model.layout().query);
    for (const int64_t set : picker.Pick(stack.num_kv_heads * per_head)) {
      for (const int64_t dimension : sets[static_cast<size_t>(set % per_head)]) {
        const int64_t channel = set / per_head * stack.head_dim + dimension;
        key.ScaleOutput(model.HeadRow(HeadPart::kKey, channel), factor);
        for (const int64_t reader : QueryChannels(model, channel)) {
          query.ScaleOutput(model.HeadRow(HeadPart::kQuery, reader), 1 / factor);
        }
      }
    }
  }
}

Status Check(const FloatModel& model, const Outliers& outliers) {
  const model::StackConfig& stack = model.stack();
  if (!std::isfinite(outliers.factor) || outliers.factor <= 0) {
    return {StatusCode::kInvalidArgument,
            fmt::format("the factor is {}: it must be above zero", outliers.factor)};
  }
  if (!HasOutliers(model, outliers.kind)) {
    return {StatusCode::kInvalidArgument,
            fmt::format("\"{}\" cannot be made of {}: no rewriting computes the same function",
                        Name(outliers.kind), model.layout().model_type)};
  }
  const auto sets = static_cast<int64_t>(RotatedSets(stack).size());
  const int64_t most = std::min(stack.hidden, stack.num_kv_heads * sets);
  if (outliers.channels >= 1 && outliers.channels <= most) return OkStatus();
  return {StatusCode::kInvalidArgument,
          fmt::format("there are to be {} large channels: it must be 1 to {}", outliers.channels,
                      most)};
}

}  // namespace

std::string_view Name(OutlierKind kind) {
  for (const KindName& entry : kNames) {
    if (entry.kind == kind) return entry.name;
  }
  return "";
}

const std::vector<OutlierKind>& AllOutlierKinds() {
  static const std::vector<OutlierKind> kinds = [] {
    std::vector<OutlierKind> all;
    for (const KindName& entry : kNames) all.push_back(entry.kind);
    return all;
  }();
  return kinds;
}

Result<OutlierKind> ParseOutlierKind(std::string_view name) {
  for (const KindName& entry : kNames) {
    if (entry.name == name) return entry.kind;
  }
  return Status(
      StatusCode::kInvalidArgument,
      fmt::format("no outliers are called \"{}\": use norms, ffn, values, keys, stream or all",
                  name));
}

bool HasOutliers(const FloatModel& model, OutlierKind kind) {
  if (kind == OutlierKind::kFeedForward) return GivesFactorsOn(model.stack());
  if (kind == OutlierKind::kStream) return !model.stack().embedding_norm;
  return true;
}

Status AddOutliers(FloatModel& model, const Outliers& outliers) {
  DRAY_RETURN_IF_ERROR(Check(model, outliers));
  const auto has = [&](OutlierKind kind) {
    return outliers.kind == kind ||
           (outliers.kind == OutlierKind::kAll && HasOutliers(model, kind));
  };
  // The kinds of kAll draw different channels.
  const auto picker = [&](uint64_t stream) {
    return ChannelPicker(outliers.seed + (stream << 32), outliers.channels);
  };
  if (has(OutlierKind::kStream)) {
    DRAY_RETURN_IF_ERROR(RotateStream(model, picker(1).Pick(model.stack().hidden)));
  }
  if (has(OutlierKind::kNorms)) ScaleNorms(model, outliers.factor, picker(2));
  if (has(OutlierKind::kFeedForward)) ScaleFeedForward(model, outliers.factor, picker(3));
  if (has(OutlierKind::kValues)) ScaleValues(model, outliers.factor, picker(4));
  if (has(OutlierKind::kKeys)) ScaleKeys(model, outliers.factor, picker(5));
  return OkStatus();
}

}  // namespace dray::testing
