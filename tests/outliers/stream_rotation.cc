#include "outliers/stream_rotation.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>
#include <vector>

namespace dray::testing {
namespace {

using Direction = std::vector<double>;

// Steps of the power iteration. The direction need not be exact: any one makes the same function.
constexpr int kPowerSteps = 50;
// A reflection whose vector is shorter moves nothing.
constexpr double kShortest = 1e-12;

// Divides the biases by the weights, multiplies the columns of the readers by the weights, and sets
// the weights to one.
Status FoldNorm(const NormAndReaders& at) {
  std::vector<float>& weights = at.norm.weight->values;
  for (int64_t c = 0; c < at.norm.weight->rows(); ++c) {
    const float weight = weights[static_cast<size_t>(c)];
    for (const Affine& reader : at.readers) reader.weight->ScaleColumn(c, weight);
    if (at.norm.bias == nullptr) continue;
    if (weight == 0.0f) {
      return {
          StatusCode::kInvalidArgument,
          fmt::format("the stream cannot be rotated: weight {} of a norm with biases is zero", c)};
    }
    at.norm.bias->values[static_cast<size_t>(c)] /= weight;
  }
  weights.assign(weights.size(), 1.0f);
  return OkStatus();
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

// Takes away what lies along the directions, which have length 1 and are orthogonal to each other.
void Project(Direction& direction, const std::vector<Direction>& taken) {
  for (const Direction& other : taken) {
    double product = 0;
    for (size_t c = 0; c < other.size(); ++c) product += direction[c] * other[c];
    for (size_t c = 0; c < other.size(); ++c) direction[c] -= product * other[c];
  }
}

// The direction, of length 1 and orthogonal to those that are taken, along which the sum of the
// rows' squared products is largest. Found by power iteration.
Direction LargestDirection(FloatTensor& table, const std::vector<Direction>& taken) {
  Direction direction(static_cast<size_t>(table.cols()));
  for (size_t c = 0; c < direction.size(); ++c) direction[c] = c % 2 == 0 ? 1.0 : 0.5;
  for (int step = 0; step < kPowerSteps; ++step) {
    Project(direction, taken);
    Normalise(direction);
    Direction next(direction.size(), 0.0);
    for (int64_t r = 0; r < table.rows(); ++r) {
      const float* row = table.Row(r);
      const double product = Dot(row, direction);
      for (size_t c = 0; c < next.size(); ++c) next[c] += product * static_cast<double>(row[c]);
    }
    direction = std::move(next);
  }
  Project(direction, taken);
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

// Reflects a vector of the stream.
void ReflectVector(FloatTensor& vector, const Direction& mirror) {
  const double twice = 2 * Dot(vector.values.data(), mirror);
  for (size_t c = 0; c < mirror.size(); ++c) {
    float& x = vector.values[c];
    x = static_cast<float>(static_cast<double>(x) - twice * mirror[c]);
  }
}

void ReflectStream(FloatModel& model, const Direction& mirror) {
  const Layout& layout = model.layout();
  ReflectRows(model.Weight(layout.embedding), mirror);
  if (!layout.positions.empty()) ReflectRows(model.Weight(layout.positions), mirror);
  for (const NormAndReaders& at : model.Norms()) {
    if (at.norm.bias != nullptr) ReflectVector(*at.norm.bias, mirror);
    for (const Affine& reader : at.readers) ReflectRows(*reader.weight, mirror);
  }
  for (const Affine& writer : model.StreamWriters()) {
    ReflectColumns(*writer.weight, mirror);
    if (writer.bias != nullptr) ReflectVector(*writer.bias, mirror);
  }
}

// The axis of a channel, as far as it is orthogonal to the directions that are taken.
Direction Axis(int64_t hidden, int64_t channel, const std::vector<Direction>& taken) {
  Direction axis(static_cast<size_t>(hidden), 0.0);
  axis[static_cast<size_t>(channel)] = 1;
  Project(axis, taken);
  Normalise(axis);
  return axis;
}

}  // namespace

Status RotateStream(FloatModel& model, std::span<const int64_t> channels) {
  const int64_t hidden = model.stack().hidden;
  model.UntieHead();
  for (const NormAndReaders& at : model.Norms()) DRAY_RETURN_IF_ERROR(FoldNorm(at));
  // Directions that no reflection changes any more.
  std::vector<Direction> taken;
  if (model.stack().norm == kernels::NormKind::kLayerNorm) {
    taken.emplace_back(static_cast<size_t>(hidden), 1 / std::sqrt(static_cast<double>(hidden)));
  }
  for (const int64_t channel : channels) {
    // The mirror image of the direction is the channel's axis.
    Direction mirror = LargestDirection(model.Weight(model.layout().embedding), taken);
    const Direction axis = Axis(hidden, channel, taken);
    double squares = 0;
    for (size_t c = 0; c < mirror.size(); ++c) {
      mirror[c] -= axis[c];
      squares += mirror[c] * mirror[c];
    }
    taken.push_back(axis);
    if (squares < kShortest) continue;
    Normalise(mirror);
    ReflectStream(model, mirror);
  }
  return OkStatus();
}

}  // namespace dray::testing
