#include "model/packed_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace dray::model {
namespace {

using checkpoint::PackedLinear;
using kernels::MatrixSpec;
using kernels::WeightFormat;
using kernels::ZeroPoint;

constexpr std::string_view kWeight = ".weight";

// The largest group of the kernels that `part` can be cut into; 0: none.
int64_t GroupFor(const PackedLinear& part) {
  if (!part.is_ordered()) return 0;
  for (const int64_t group : {128, 64, 32}) {
    if (part.group() >= part.cols() || part.group() % group == 0) return group;
  }
  return 0;
}

}  // namespace

Result<PackedTensor> FindPacked(const ModelDescription& model,
                                const std::vector<std::string>& names,
                                const checkpoint::Checkpoint& checkpoint) {
  if (!model.packed) return PackedTensor();
  for (const std::string& name : names) {
    if (!name.ends_with(kWeight)) continue;
    const std::string module = name.substr(0, name.size() - kWeight.size());
    if (!checkpoint.Contains(module + ".qweight")) continue;
    DRAY_ASSIGN_OR_RETURN(auto linear, PackedLinear::Open(checkpoint, module, *model.packed));
    return std::make_shared<const PackedLinear>(std::move(linear));
  }
  return PackedTensor();
}

Status CheckPackedCheckpoint(const ModelDescription& model,
                             const checkpoint::Checkpoint& checkpoint) {
  if (!model.packed) return OkStatus();
  for (const auto& tensor : checkpoint.tensors()) {
    if (!tensor.name.ends_with(".act.scales")) continue;
    return {StatusCode::kUnsupported,
            fmt::format("{}: tensor {} scales an activation function, which dray does not compute; "
                        "use a checkpoint that was quantised with GPTQ, or the float one",
                        tensor.file->path().string(), checkpoint::Quoted(tensor.name))};
  }
  return OkStatus();
}

MatrixSpec PackedSpec(MatrixSpec sizes, std::span<const PackedTensor> parts) {
  sizes.format = WeightFormat::kI8;  // rows, unless a better form is found
  const bool all_packed = std::all_of(parts.begin(), parts.end(), [&](const PackedTensor& part) {
    return part != nullptr && part->bits() == parts.front()->bits() && GroupFor(*part) != 0;
  });
  if (!all_packed) return sizes;
  const auto all = [&](const auto& predicate) {
    return std::all_of(parts.begin(), parts.end(), predicate);
  };
  const bool symmetric = all([](const PackedTensor& part) { return part->is_symmetric(); });
  const bool whole_rows = all([](const auto& part) { return part->group() >= part->cols(); });
  const bool is_int8 = parts.front()->bits() == 8;
  if (is_int8 && symmetric && whole_rows) return sizes;
  sizes.format = is_int8 ? WeightFormat::kI8 : WeightFormat::kI4;
  sizes.zero = symmetric ? ZeroPoint::kNone : ZeroPoint::kPerGroup;
  sizes.group = kernels::kLargestGroup;
  for (const PackedTensor& part : parts) sizes.group = std::min(sizes.group, GroupFor(*part));
  return sizes;
}

}  // namespace dray::model
