#include "model/weights/load_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "checkpoint/integers/block_tensor.h"
#include "checkpoint/integers/packed_linear.h"
#include "checkpoint/integers/scaled_rows.h"
#include "checkpoint/torch/torch_state_dict.h"
#include "model/describe/tensor_names.h"

namespace dray::model {
namespace {

using checkpoint::BlockTensor;
using checkpoint::Checkpoint;
using checkpoint::kScaleSuffix;
using checkpoint::PackedLinear;
using checkpoint::ScaledRows;
using checkpoint::TensorSource;
using kernels::MatrixSpec;
using kernels::WeightFormat;

// The first candidate that exists, or an error that lists them all.
Result<const TensorSource*> FindTensor(const ModelDescription& model, const WeightRow& row,
                                       int64_t layer, const Checkpoint& checkpoint) {
  const std::vector<std::string> names = CandidateNames(model, row, layer);
  if (const std::string* name = FindName(names, checkpoint)) return checkpoint.Require(*name);
  return Status(
      StatusCode::kNotFound,
      fmt::format("{}: no tensor is called {}, which a {} model of this config.json "
                  "needs: check that config.json and the weight files belong together",
                  checkpoint.DescribeFiles(), fmt::join(names, " or "), model.family->model_type));
}

Shape ExpectedShape(const WeightRow& row, const ModelConfig& config) {
  const int64_t rows = ExtentOf(row.rows, config);
  if (row.cols == Extent::kNone) return {rows};
  const int64_t cols = ExtentOf(row.cols, config);
  return row.transform == Transform::kTranspose ? Shape{cols, rows} : Shape{rows, cols};
}

Status CheckShape(const WeightRow& row, const TensorSource& source, const ModelConfig& config) {
  const Shape expected = ExpectedShape(row, config);
  if (source.shape == expected) return OkStatus();
  return {StatusCode::kInvalidArgument,
          fmt::format("{}: tensor {} has shape {}, but config.json makes it {}",
                      source.file->path().string(), source.name, source.shape.ToString(),
                      expected.ToString())};
}

Status CheckTensor(const WeightRow& row, const TensorSource& source, const ModelConfig& config) {
  DRAY_RETURN_IF_ERROR(CheckShape(row, source, config));
  if (!IsWeightType(source.dtype) && source.dtype != DType::kF64) {
    return {StatusCode::kUnsupported,
            fmt::format("{}: tensor {} is stored as {}: weights must be f32, f16, bf16 or f64",
                        source.file->path().string(), source.name, Name(source.dtype))};
  }
  return OkStatus();
}

// A matrix of bytes whose scales are a tensor of their own.
Result<std::shared_ptr<const checkpoint::IntegerTensor>> FindScaledRows(
    const WeightRow& row, const TensorSource& values, const Checkpoint& checkpoint,
    const ModelConfig& config) {
  const TensorSource* scales = checkpoint.Find(values.name + std::string(kScaleSuffix));
  if (scales == nullptr) return CheckTensor(row, values, config);  // refuses bytes without scales
  DRAY_RETURN_IF_ERROR(CheckShape(row, values, config));
  DRAY_ASSIGN_OR_RETURN(auto matrix, ScaledRows::Open(values, *scales));
  return std::shared_ptr<const checkpoint::IntegerTensor>(
      std::make_shared<const ScaledRows>(std::move(matrix)));
}

Status CheckPacked(const WeightRow& row, const PackedLinear& packed, const ModelConfig& config) {
  const MatrixSpec form = packed.form();
  const int64_t rows = ExtentOf(row.rows, config), cols = ExtentOf(row.cols, config);
  if (form.rows == rows && form.cols == cols) return OkStatus();
  const TensorSource& source = *packed.sources().front();
  return {StatusCode::kInvalidArgument,
          fmt::format("{}: tensor {} has shape {}, which packs {} x {} weights, but config.json "
                      "makes it {} x {}",
                      source.file->path().string(), source.name, source.shape.ToString(), form.rows,
                      form.cols, rows, cols)};
}

// The packed layer that the row wants, as its one part; nothing if the checkpoint holds the row as
// one tensor or not at all.
Result<std::optional<PlannedTensor>> FindPacked(const ModelDescription& model, const WeightRow& row,
                                                int64_t layer, const Checkpoint& checkpoint) {
  constexpr std::string_view kWeight = ".weight";
  if (!model.packed || !IsMatrixSlot(row.slot)) return std::optional<PlannedTensor>();
  const std::vector<std::string> names = CandidateNames(model, row, layer);
  if (FindName(names, checkpoint) != nullptr) return std::optional<PlannedTensor>();
  for (const std::string& name : names) {
    if (!name.ends_with(kWeight)) continue;
    const std::string module = name.substr(0, name.size() - kWeight.size());
    if (!checkpoint.Contains(module + ".qweight")) continue;
    DRAY_ASSIGN_OR_RETURN(auto linear, PackedLinear::Open(checkpoint, module, *model.packed));
    auto packed = std::make_shared<const PackedLinear>(std::move(linear));
    DRAY_RETURN_IF_ERROR(CheckPacked(row, *packed, model.config));
    const TensorSource* source = packed->sources().front();
    return std::optional(PlannedTensor{&row, source, std::move(packed)});
  }
  return std::optional<PlannedTensor>();
}

Result<PlannedTensor> PlanTensor(const ModelDescription& model, const WeightRow& row, int64_t layer,
                                 const Checkpoint& checkpoint) {
  DRAY_ASSIGN_OR_RETURN(auto packed, FindPacked(model, row, layer, checkpoint));
  if (packed) return *std::move(packed);
  DRAY_ASSIGN_OR_RETURN(const TensorSource* source, FindTensor(model, row, layer, checkpoint));
  PlannedTensor planned = {&row, source};
  if (source->dtype == DType::kI8 && IsMatrixSlot(row.slot)) {
    DRAY_ASSIGN_OR_RETURN(planned.integers, FindScaledRows(row, *source, checkpoint, model.config));
    return planned;
  }
  DRAY_RETURN_IF_ERROR(CheckTensor(row, *source, model.config));
  if (source->blocks != nullptr && IsMatrixSlot(row.slot)) {
    planned.integers = std::make_shared<const BlockTensor>(*source);
  }
  return planned;
}

Status CheckActivationScales(const Checkpoint& checkpoint) {
  for (const auto& tensor : checkpoint.tensors()) {
    if (!tensor.name.ends_with(".act.scales")) continue;
    return {StatusCode::kUnsupported,
            fmt::format("{}: tensor {} scales an activation function, which dray does not compute; "
                        "use a checkpoint that was quantised with GPTQ, or the float one",
                        tensor.file->path().string(), checkpoint::Quoted(tensor.name))};
  }
  return OkStatus();
}

// Adds the tensors of the rows that lie in a layer, or of those that do not.
Status PlanLayer(const ModelDescription& model, int64_t layer, const Checkpoint& checkpoint,
                 LoadPlan& plan) {
  const size_t first = plan.slots.size();
  for (const WeightRow& row : model.weights) {
    if ((row.slot < kFirstLayerSlot) != (layer == kNoLayer)) continue;
    if (!IsPresent(row, model.config)) continue;
    DRAY_ASSIGN_OR_RETURN(PlannedTensor tensor, PlanTensor(model, row, layer, checkpoint));
    plan.has_integers = plan.has_integers || tensor.integers != nullptr;
    const auto begin = plan.slots.begin() + static_cast<std::ptrdiff_t>(first);
    auto slot = std::find_if(begin, plan.slots.end(),
                             [&](const PlannedSlot& other) { return other.slot == row.slot; });
    if (slot == plan.slots.end()) slot = plan.slots.insert(slot, {row.slot, layer, {}});
    slot->parts.push_back(std::move(tensor));
  }
  return OkStatus();
}

}  // namespace

int64_t PlannedTensor::elements() const {
  return integers != nullptr ? integers->elements() : source->shape.elements();
}

uint64_t PlannedTensor::stored_bytes() const {
  return integers != nullptr ? integers->stored_bytes() : source->BytesOf(source->shape.elements());
}

Result<LoadPlan> PlanTensors(const ModelDescription& model, const Checkpoint& checkpoint) {
  if (model.packed) DRAY_RETURN_IF_ERROR(CheckActivationScales(checkpoint));
  LoadPlan plan;
  for (int64_t layer = kNoLayer; layer < model.config.stack.num_layers; ++layer) {
    DRAY_RETURN_IF_ERROR(PlanLayer(model, layer, checkpoint, plan));
  }
  return plan;
}

WeightFormat AutomaticFormat(const LoadPlan& plan, const kernels::Packer& packer) {
  std::array<int64_t, static_cast<size_t>(WeightFormat::kI4) + 1> elements{};
  for (const PlannedSlot& slot : plan.slots) {
    if (!IsMatrixSlot(slot.slot)) continue;
    for (const PlannedTensor& part : slot.parts) {
      const auto format = part.integers != nullptr ? part.integers->form().format
                                                   : packer.NativeFormat(part.source->dtype);
      elements[static_cast<size_t>(format)] += part.elements();
    }
  }
  const auto most = std::max_element(elements.begin(), elements.end());
  return static_cast<WeightFormat>(most - elements.begin());
}

MatrixSpec JoinedForm(const PlannedSlot& slot, int64_t rows) {
  MatrixSpec joined = slot.parts.front().integers->form();
  joined = {rows, joined.cols, joined.format};
  const MatrixSpec int8_rows = {joined.rows, joined.cols, WeightFormat::kI8};
  for (const PlannedTensor& part : slot.parts) {
    const MatrixSpec form = part.integers->form();
    if (form.format != joined.format) return int8_rows;
    // None is a whole row, which can be cut into groups of any size.
    const bool is_smaller = joined.group == 0 || form.group < joined.group;
    if (form.group > 0 && is_smaller) joined.group = form.group;
    if (form.zero == kernels::ZeroPoint::kPerGroup) joined.zero = form.zero;
  }
  return joined;
}

}  // namespace dray::model
