#include "outliers/stream_rotation.h"

#include <cmath>
#include <string>
#include <vector>

namespace dray::testing {
namespace {

using Direction = std::vector<double>;

// Steps of the power iteration. The direction need not be exact: any one makes the same function.
constexpr int kPowerSteps = 50;
// A reflection whose vector is shorter moves nothing.
constexpr double kShortest = 1e-12;

constexpr const char* kAttentionReaders[] = {"self_attn.q_proj", "self_attn.k_proj",
                                             "self_attn.v_proj"};
constexpr const char* kFeedForwardReaders[] = {"mlp.gate_proj", "mlp.up_proj"};
constexpr const char* kWriters[] = {"self_attn.o_proj", "mlp.down_proj"};

void FoldNorm(FloatTensor& norm, FloatTensor& reader) {
  for (int64_t c = 0; c < norm.rows(); ++c) {
    reader.ScaleColumn(c, norm.values[static_cast<size_t>(c)]);
  }
}

void SetToOne(FloatTensor& norm) { norm.values.assign(norm.values.size(), 1.0f); }

void FoldNorms(FloatModel& model) {
  for (int64_t l = 0; l < model.num_layers(); ++l) {
    FloatTensor& attention = model.LayerWeight(l, "input_layernorm");
    FloatTensor& feed_forward = model.LayerWeight(l, "post_attention_layernorm");
    for (const char* name : kAttentionReaders) FoldNorm(attention, model.LayerWeight(l, name));
    for (const char* name : kFeedForwardReaders) FoldNorm(feed_forward, model.LayerWeight(l, name));
    SetToOne(attention);
    SetToOne(feed_forward);
  }
  FoldNorm(model.Weight("model.norm"), model.Weight("lm_head"));
  SetToOne(model.Weight("model.norm"));
}

double Dot(const float* row, const Direction& direction) {
  double sum = 0;
  for (size_t c = 0; c < direction.size(); ++c) sum += static_cast<double>(row[c]) * direction[c];
  return sum;
}

void Normalise(Direction& direction) {
  double squares = 0;
  for (const double x : direction) squares += x * x;
  if (squares == 0) return;
  for (double& x : direction) x /= std::sqrt(squares);
}

// The direction, of length 1 and zero in `taken` channels, along which the sum of the rows' squared
// products is largest. Found by power iteration.
Direction LargestDirection(FloatTensor& table, std::span<const int64_t> taken) {
  Direction direction(static_cast<size_t>(table.cols()), 1.0);
  for (int step = 0; step < kPowerSteps; ++step) {
    for (const int64_t channel : taken) direction[static_cast<size_t>(channel)] = 0;
    Normalise(direction);
    Direction next(direction.size(), 0.0);
    for (int64_t r = 0; r < table.rows(); ++r) {
      const float* row = table.Row(r);
      const double product = Dot(row, direction);
      for (size_t c = 0; c < next.size(); ++c) next[c] += product * static_cast<double>(row[c]);
    }
    direction = std::move(next);
  }
  for (const int64_t channel : taken) direction[static_cast<size_t>(channel)] = 0;
  Normalise(direction);
  return direction;
}

// Reflects every row: row - 2 (row . mirror) mirror.
void ReflectRows(FloatTensor& matrix, const Direction& mirror) {
  for (int64_t r = 0; r < matrix.rows(); ++r) {
    float* row = matrix.Row(r);
    const double twice = 2 * Dot(row, mirror);
    for (size_t c = 0; c < mirror.size(); ++c) {
      row[c] = static_cast<float>(static_cast<double>(row[c]) - twice * mirror[c]);
    }
  }
}

// Reflects every column.
void ReflectColumns(FloatTensor& matrix, const Direction& mirror) {
  Direction products(static_cast<size_t>(matrix.cols()), 0.0);
  for (int64_t r = 0; r < matrix.rows(); ++r) {
    const double at_row = mirror[static_cast<size_t>(r)];
    for (size_t c = 0; c < products.size(); ++c) {
      products[c] += at_row * static_cast<double>(matrix.Row(r)[c]);
    }
  }
  for (int64_t r = 0; r < matrix.rows(); ++r) {
    const double twice = 2 * mirror[static_cast<size_t>(r)];
    for (size_t c = 0; c < products.size(); ++c) {
      float& x = matrix.Row(r)[c];
      x = static_cast<float>(static_cast<double>(x) - twice * products[c]);
    }
  }
}

void ReflectStream(FloatModel& model, const Direction& mirror) {
  ReflectRows(model.Weight("model.embed_tokens"), mirror);
  ReflectRows(model.Weight("lm_head"), mirror);
  for (int64_t l = 0; l < model.num_layers(); ++l) {
    for (const char* name : kAttentionReaders) ReflectRows(model.LayerWeight(l, name), mirror);
    for (const char* name : kFeedForwardReaders) ReflectRows(model.LayerWeight(l, name), mirror);
    for (const char* name : kWriters) ReflectColumns(model.LayerWeight(l, name), mirror);
  }
}

}  // namespace

void RotateStream(FloatModel& model, std::span<const int64_t> channels) {
  model.UntieHead();
  FoldNorms(model);
  for (size_t i = 0; i < channels.size(); ++i) {
    // The mirror image of the direction is the channel's axis. Both are zero in the channels that
    // were set before, so these stay as they are.
    Direction mirror = LargestDirection(model.Weight("model.embed_tokens"), channels.first(i));
    mirror[static_cast<size_t>(channels[i])] -= 1;
    double squares = 0;
    for (const double x : mirror) squares += x * x;
    if (squares < kShortest) continue;
    Normalise(mirror);
    ReflectStream(model, mirror);
  }
}

}  // namespace dray::testing
