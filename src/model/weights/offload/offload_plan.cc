#include "model/weights/offload/offload_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/checked_math.h"
#include "base/human.h"
#include "base/machine/huge_pages.h"
#include "model/weights/artifact_weights.h"
#include "parallel/shard.h"

namespace dray::model {
namespace {

using artifact::ByteRange;
using artifact::UnitStream;

constexpr auto kPage = static_cast<int64_t>(kPageBytes);

// [layer]: where its matrices lie, neighbours together.
using LayerRanges = std::vector<std::vector<ByteRange>>;

// Tensors are listed in the order of their bytes.
LayerRanges RangesOfLayers(const artifact::Manifest& manifest, int64_t num_layers) {
  LayerRanges layers(static_cast<size_t>(num_layers));
  for (const artifact::ArtifactTensor& tensor : manifest.tensors) {
    const auto layer = LayerOf(tensor.name);
    if (!layer || *layer < 0 || *layer >= num_layers || !tensor.matrix) continue;
    std::vector<ByteRange>& ranges = layers[static_cast<size_t>(*layer)];
    const bool is_next = !ranges.empty() && tensor.offset - ranges.back().end < kPage;
    if (!is_next) ranges.push_back({tensor.offset, tensor.offset});
    ranges.back().end = tensor.offset + tensor.size_bytes;
  }
  return layers;
}

// The whole pages at the begin of `range` that hold about `share` of it.
ByteRange StreamedPart(const ByteRange& range, double share) {
  const int64_t begin = RoundUp(range.begin, kPage);
  const auto wanted = static_cast<int64_t>(std::ceil(share * static_cast<double>(range.size())));
  const int64_t end = std::min(RoundUp(begin + wanted, kPage), range.end / kPage * kPage);
  return {begin, std::max(begin, end)};
}

int64_t SizeOf(const std::vector<ByteRange>& ranges) {
  int64_t size = 0;
  for (const ByteRange& range : ranges) size += range.size();
  return size;
}

// What a stage must have in memory at a time of its units.
int64_t BytesInMemory(const UnitStream::Units& units) {
  int64_t largest = 0;
  for (const auto& unit : units) largest = std::max(largest, SizeOf(unit));
  return UnitStream::kUnitsInMemory * largest;
}

class Planner {
 public:
  Planner(const artifact::Manifest& manifest, const OffloadRequest& request)
      : request_(request),
        file_bytes_(manifest.data.size_bytes),
        layers_(RangesOfLayers(manifest, request.num_layers)) {}

  bool has_all_layers() const {
    return std::none_of(layers_.begin(), layers_.end(), [](const auto& l) { return l.empty(); });
  }

  // Streams the share of each layer.
  OffloadPlan WithShare(double share) const {
    OffloadPlan plan;
    plan.memory_bytes = file_bytes_;
    for (int64_t stage = 0; stage < request_.num_stages; ++stage) {
      const auto of_stage = parallel::CutLayers(request_.num_layers, {stage, request_.num_stages});
      UnitStream::Units units;
      for (int64_t layer = of_stage.begin; layer < of_stage.end; ++layer) {
        units.push_back(UnitOf(layers_[static_cast<size_t>(layer)], share));
        plan.streamed_bytes += SizeOf(units.back());
      }
      plan.memory_bytes += BytesInMemory(units);
      plan.stages.push_back(std::move(units));
    }
    plan.memory_bytes -= plan.streamed_bytes;
    plan.resident_bytes = file_bytes_ - plan.streamed_bytes;
    return plan;
  }

  // The least share whose plan fits into the limit. Memory falls with the share but for the rounding to pages.
  OffloadPlan Fitting() const {
    constexpr int kHalvings = 20;  // to a millionth of a layer
    double too_small = 0, fits = 1;
    for (int i = 0; i < kHalvings; ++i) {
      const double middle = (too_small + fits) / 2;
      (WithShare(middle).memory_bytes <= request_.limit_bytes ? fits : too_small) = middle;
    }
    return WithShare(fits);
  }

 private:
  static std::vector<ByteRange> UnitOf(const std::vector<ByteRange>& ranges, double share) {
    std::vector<ByteRange> unit;
    for (const ByteRange& range : ranges) {
      const ByteRange part = StreamedPart(range, share);
      if (part.size() > 0) unit.push_back(part);
    }
    return unit;
  }

  const OffloadRequest& request_;
  const int64_t file_bytes_;
  const LayerRanges layers_;
};

// All bytes of the file that no unit has.
std::vector<ByteRange> OtherBytes(const OffloadPlan& plan, int64_t file_bytes) {
  std::vector<ByteRange> streamed;
  for (const UnitStream::Units& units : plan.stages) {
    for (const auto& unit : units) streamed.insert(streamed.end(), unit.begin(), unit.end());
  }
  std::sort(streamed.begin(), streamed.end(),
            [](const ByteRange& a, const ByteRange& b) { return a.begin < b.begin; });
  streamed.push_back({file_bytes, file_bytes});
  std::vector<ByteRange> others;
  int64_t begin = 0;
  for (const ByteRange& range : streamed) {
    if (begin < range.begin) others.push_back({begin, range.begin});
    begin = range.end;
  }
  return others;
}

// Whether every unit has a whole page, and no stage has all of its units in memory at a time.
bool CanStream(const OffloadPlan& plan) {
  return std::all_of(plan.stages.begin(), plan.stages.end(), [](const UnitStream::Units& units) {
    return static_cast<int64_t>(units.size()) > UnitStream::kUnitsInMemory &&
           std::none_of(units.begin(), units.end(), [](const auto& unit) { return unit.empty(); });
  });
}

}  // namespace

Result<OffloadPlan> PlanOffload(const artifact::Manifest& manifest, const OffloadRequest& request,
                                const std::string& where) {
  const Planner planner(manifest, request);
  if (!planner.has_all_layers()) {
    return Status(StatusCode::kCorrupt,
                  fmt::format("{}: it lacks a layer of the {} that config.json asks for", where,
                              request.num_layers));
  }
  const auto human = [](int64_t bytes) { return HumanBytes(static_cast<uint64_t>(bytes)); };
  const OffloadPlan all = planner.WithShare(1);
  const int64_t least = CanStream(all) ? all.memory_bytes : manifest.data.size_bytes;
  if (request.limit_bytes < least) {
    return Status(StatusCode::kResourceExhausted,
                  fmt::format("{}: the weights take {}, max_memory leaves {} for them, and even "
                              "with its layers read from "
                              "the disk one by one the model needs {}: set max_memory to this at "
                              "least, or write a smaller "
                              "artifact with another dtype or quantize",
                              where, human(manifest.data.size_bytes), human(request.limit_bytes),
                              human(least)));
  }
  OffloadPlan plan = planner.Fitting();
  plan.resident = OtherBytes(plan, manifest.data.size_bytes);
  return plan;
}

}  // namespace dray::model
