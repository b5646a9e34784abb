#include "outliers/outliers.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <initializer_list>
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

constexpr std::string_view kQuery = "self_attn.q_proj", kKey = "self_attn.k_proj",
                           kValue = "self_attn.v_proj", kOut = "self_attn.o_proj",
                           kGate = "mlp.gate_proj", kUp = "mlp.up_proj", kDown = "mlp.down_proj";

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

// Multiplies channels of a norm's output, and divides the columns of the matrices that read it.
void ScaleNorm(FloatTensor& norm, std::initializer_list<FloatTensor*> readers,
               const std::vector<int64_t>& channels, float factor) {
  for (const int64_t channel : channels) {
    norm.ScaleRow(channel, factor);
    for (FloatTensor* reader : readers) reader->ScaleColumn(channel, 1 / factor);
  }
}

FloatTensor& LayerTensor(FloatModel& model, int64_t layer, std::string_view name) {
  return model.LayerWeight(layer, std::string(name));
}

void ScaleNorms(FloatModel& model, float factor, ChannelPicker picker) {
  for (int64_t l = 0; l < model.num_layers(); ++l) {
    const auto tensor = [&](std::string_view name) { return &LayerTensor(model, l, name); };
    ScaleNorm(*tensor("input_layernorm"), {tensor(kQuery), tensor(kKey), tensor(kValue)},
              picker.Pick(model.hidden()), factor);
    ScaleNorm(*tensor("post_attention_layernorm"), {tensor(kGate), tensor(kUp)},
              picker.Pick(model.hidden()), factor);
  }
  if (!model.has_head()) return;
  ScaleNorm(model.Weight("model.norm"), {&model.Weight("lm_head")}, picker.Pick(model.hidden()),
            factor);
}

void ScaleFeedForward(FloatModel& model, float factor, ChannelPicker picker) {
  for (int64_t l = 0; l < model.num_layers(); ++l) {
    FloatTensor& up = LayerTensor(model, l, kUp);
    for (const int64_t channel : picker.Pick(up.rows())) {
      up.ScaleRow(channel, factor);
      LayerTensor(model, l, kDown).ScaleColumn(channel, 1 / factor);
    }
  }
}

void ScaleValues(FloatModel& model, float factor, ChannelPicker picker) {
  const int64_t head_dim = model.head_dim(), group = model.heads_per_kv_head();
  for (int64_t l = 0; l < model.num_layers(); ++l) {
    FloatTensor& value = LayerTensor(model, l, kValue);
    for (const int64_t channel : picker.Pick(value.rows())) {
      value.ScaleRow(channel, factor);
      for (int64_t i = 0; i < group; ++i) {
        const int64_t head = channel / head_dim * group + i;
        LayerTensor(model, l, kOut).ScaleColumn(head * head_dim + channel % head_dim, 1 / factor);
      }
    }
  }
}

void ScaleKeys(FloatModel& model, float factor, ChannelPicker picker) {
  const int64_t head_dim = model.head_dim(), half = head_dim / 2;
  for (int64_t l = 0; l < model.num_layers(); ++l) {
    FloatTensor& key = LayerTensor(model, l, kKey);
    for (const int64_t pair : picker.Pick(key.rows() / 2)) {
      const int64_t kv_head = pair / half;
      for (const int64_t dimension : {pair % half, pair % half + half}) {
        key.ScaleRow(kv_head * head_dim + dimension, factor);
        for (int64_t i = 0; i < model.heads_per_kv_head(); ++i) {
          const int64_t head = kv_head * model.heads_per_kv_head() + i;
          LayerTensor(model, l, kQuery).ScaleRow(head * head_dim + dimension, 1 / factor);
        }
      }
    }
  }
}

Status Check(FloatModel& model, const Outliers& outliers) {
  if (!std::isfinite(outliers.factor) || outliers.factor <= 0) {
    return {StatusCode::kInvalidArgument,
            fmt::format("the factor is {}: it must be above zero", outliers.factor)};
  }
  const int64_t most = std::min(model.hidden(), LayerTensor(model, 0, kKey).rows() / 2);
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

Status AddOutliers(FloatModel& model, const Outliers& outliers) {
  DRAY_RETURN_IF_ERROR(Check(model, outliers));
  const auto has = [&](OutlierKind kind) {
    return outliers.kind == kind || outliers.kind == OutlierKind::kAll;
  };
  // The kinds of kAll draw different channels.
  const auto picker = [&](uint64_t stream) {
    return ChannelPicker(outliers.seed + (stream << 32), outliers.channels);
  };
  if (has(OutlierKind::kStream)) RotateStream(model, picker(1).Pick(model.hidden()));
  if (has(OutlierKind::kNorms)) ScaleNorms(model, outliers.factor, picker(2));
  if (has(OutlierKind::kFeedForward)) ScaleFeedForward(model, outliers.factor, picker(3));
  if (has(OutlierKind::kValues)) ScaleValues(model, outliers.factor, picker(4));
  if (has(OutlierKind::kKeys)) ScaleKeys(model, outliers.factor, picker(5));
  return OkStatus();
}

}  // namespace dray::testing
