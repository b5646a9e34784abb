#include "model/weights/loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "base/machine/memory_info.h"
#include "model/weights/balance/balance.h"
#include "model/weights/fill_columns.h"
#include "model/weights/row_runs.h"
#include "model/weights/sliced_rows.h"
#include "model/weights/slot_slices.h"
#include "model/weights/slot_vector.h"
#include "model/weights/source_rows.h"

namespace dray::model {
namespace {

using checkpoint::ColumnRange;
using checkpoint::IntegerColumns;
using checkpoint::IntegerTensor;
using checkpoint::TensorSource;
using kernels::SourceRows;

// So much of the files is read ahead of packing, so that the disk is never idle: balance reads a layer before its first
// matrix is packed, and a layer of 13 B in 16 bits takes 0.6 GB. Less where memory is short: pages that the system must
// drop before they are used are read twice.
constexpr int64_t kAheadBytes = int64_t{768} << 20;
constexpr int64_t kPartOfMemory = 8;

// The bytes of its file that a tensor takes, which lies in one place.
std::span<const std::byte> StoredBytes(const TensorSource& source) {
  return source.blocks != nullptr ? source.bytes() : SpannedBytes(AsRows(source, Transform::kNone));
}

// Takes the tensor's pages out of this process.
void Release(const TensorSource& source) {
  if (source.slices.empty()) return source.file->Release(StoredBytes(source));
  for (const RowSlice& slice : RowSlicesOf(source, Transform::kNone)) {
    slice.file->Release(SpannedBytes(slice.rows));
  }
}

// An error if bytes of the tensor's files went away.
Status CheckUndamaged(const TensorSource& source) {
  if (source.file->damaged()) return source.file->CheckUnchanged();
  for (const checkpoint::TensorSlice& slice : source.slices) {
    if (slice.file->damaged()) return slice.file->CheckUnchanged();
  }
  return OkStatus();
}

// The bytes of its file that rows of `runs` need, and perhaps those of rows between them. All that
// the tensor takes, if rows share bytes. The tensor lies in one place.
std::span<const std::byte> NeededBytes(const PlannedTensor& tensor, std::span<const RowRun> runs) {
  const std::span<const std::byte> all = StoredBytes(*tensor.source);
  if (runs.empty()) return {};
  int64_t first = runs.front().source_row, end = first;
  for (const RowRun& run : runs) {
    first = std::min(first, run.source_row);
    end = std::max(end, run.source_row + (run.count - 1) * run.source_step + 1);
  }
  if (tensor.integers != nullptr) {
    const auto bytes = tensor.integers->BytesOfRows(first, end - first);
    return bytes.empty() ? all : bytes;
  }
  if (tensor.source->blocks != nullptr) return all;
  const SourceRows rows = AsRows(*tensor.source, tensor.row->transform);
  if (rows.row_stride < rows.col_stride) return all;
  return SpannedBytes(PartOf(rows, {.source_row = first, .count = end - first}, {0, rows.cols}));
}

// An error that is about `source`, with its file and its name.
Status About(const TensorSource& source, const Status& status) {
  return status.WithPrefix(fmt::format("{}: {}", source.file->path().string(), source.name));
}

// [row of the rank's slot]: its factor. Empty if the whole slot has none.
std::vector<float> LocalFactors(std::span<const float> whole, const parallel::Slice& rows) {
  if (whole.empty()) return {};
  std::vector<float> local(static_cast<size_t>(rows.local_size), 1.0f);
  for (const parallel::Piece& piece : rows.pieces) {
    std::copy_n(whole.begin() + piece.global, piece.count, local.begin() + piece.local);
  }
  return local;
}

class CheckpointLoader {
 public:
  CheckpointLoader(const ModelDescription& model, kernels::Backend& backend,
                   const LoadOptions& options)
      : config_(model.config),
        part_(model.part),
        backend_(backend),
        options_(options),
        layers_(parallel::CutLayers(model.config.stack.num_layers, options.stage)),
        ahead_bytes_(
            static_cast<uint64_t>(std::min(kAheadBytes, AvailableMemoryBytes() / kPartOfMemory))),
        weights_(layers_.size()) {}

  Result<Weights> Load(const LoadPlan& plan) {
    for (const PlannedSlot& slot : plan.slots) {
      if (StageHas(slot)) total_bytes_ += StoredBytesOf(slot);
    }
    for (const PlannedSlot& slot : plan.slots) {
      if (!StageHas(slot)) continue;
      ReadAhead(plan);
      DRAY_RETURN_IF_ERROR(options_.CheckStop());
      if (options_.before_slot) options_.before_slot();
      const TensorSource& source = *slot.parts.front().source;
      const Status status =
          IsMatrixSlot(slot.slot) ? LoadMatrix(slot, plan.has_integers) : LoadVector(slot);
      // What is left of a file that was cut short is not worth loading.
      DRAY_RETURN_IF_ERROR(CheckUndamaged(source));
      DRAY_RETURN_IF_ERROR(status);
    }
    return std::move(weights_);
  }

 private:
  std::vector<RowRun> RunsOf(const PlannedTensor& part, const SlotSlices& slices) const {
    return RowRuns(*part.row, config_, slices.rows);
  }

  bool StageHas(const PlannedSlot& slot) const {
    return model::StageHas(slot.slot, slot.layer, config_, options_.stage);
  }

  // The layer of the result that the slot is in.
  int64_t LocalLayer(const PlannedSlot& slot) const {
    return slot.layer == kNoLayer ? kNoLayer : slot.layer - layers_.begin;
  }

  static uint64_t StoredBytesOf(const PlannedSlot& slot) {
    uint64_t bytes = 0;
    for (const PlannedTensor& part : slot.parts) bytes += part.stored_bytes();
    return bytes;
  }

  // Asks for the slots behind those that are packed, as far as ahead_bytes_ go, and for one at least.
  void ReadAhead(const LoadPlan& plan) {
    for (; asked_ < plan.slots.size() && asked_bytes_ <= done_bytes_ + ahead_bytes_; ++asked_) {
      if (!StageHas(plan.slots[asked_])) continue;
      Prefetch(plan.slots[asked_]);
      asked_bytes_ += StoredBytesOf(plan.slots[asked_]);
    }
  }

  void Prefetch(const PlannedSlot& slot) const {
    const SlotSlices slices = SlicesOf(slot.row(), config_, options_.rank);
    for (const PlannedTensor& part : slot.parts) {
      if (part.source->slices.empty()) {
        part.source->file->WillNeed(NeededBytes(part, RunsOf(part, slices)));
        continue;
      }
      for (const RowSlice& slice : RowSlicesOf(*part.source, Transform::kNone)) {
        slice.file->WillNeed(SpannedBytes(slice.rows));
      }
    }
  }

  // A matrix that is being filled. Factors are for weights in floats; null: none.
  struct Target {
    kernels::WeightMatrix& matrix;
    ColumnRange columns;          // of the whole matrix, that this one has
    const float* row_factors;     // [rows of the matrix]
    const float* column_factors;  // [columns.count]
  };

  // What no part fills is padding: a new matrix is zero.
  Status LoadMatrix(const PlannedSlot& slot, bool has_integers) {
    const SlotSlices slices = SlicesOf(slot.row(), config_, options_.rank);
    const SlotFactors& factors = FactorsOf(slot);
    const std::vector<float> row_factors = LocalFactors(factors.rows, slices.rows);
    Status packed;
    const auto pack = [&](kernels::WeightMatrix& target, ColumnRange columns) {
      const Target to = {
          target, columns, row_factors.empty() ? nullptr : row_factors.data(),
          factors.columns.empty() ? nullptr : factors.columns.data() + columns.begin};
      for (size_t i = 0; i < slot.parts.size() && packed.ok(); ++i) {
        packed = Pack(to, slot.parts[i], RunsOf(slot.parts[i], slices));
      }
      return packed;
    };
    auto matrix = FillColumns(backend_.packer(), SpecOf(slot, slices, has_integers), slices, pack);
    DRAY_RETURN_IF_ERROR(packed);
    if (!matrix.ok()) return About(*slot.parts.front().source, matrix.status());
    for (const PlannedTensor& part : slot.parts) Advance(part);
    return Keep(slot, {.matrix = std::move(*matrix), .vector = {}});
  }

  Status Keep(const PlannedSlot& slot, Weight weight) {
    return KeepWeight(options_, {part_, slot.slot, LocalLayer(slot)}, std::move(weight), weights_);
  }

  const SlotFactors& FactorsOf(const PlannedSlot& slot) const {
    static const SlotFactors kNone;
    if (options_.balance == nullptr) return kNone;
    return options_.balance->Of(slot.slot, slot.layer, backend_.packer());
  }

  // The form of the slot with all columns. Integers are kept in the form that is closest to theirs,
  // and floats beside them as floats. A matrix with a part in floats is stored as floats.
  kernels::MatrixSpec SpecOf(const PlannedSlot& slot, const SlotSlices& slices,
                             bool has_integers) const {
    auto plain = kernels::MatrixSpec::Of(slices.rows.local_size, slices.cols.global_size,
                                         options_.FormatOf(slot.slot));
    plain.input_scale = FactorsOf(slot).input_scale;
    const bool keep = options_.integers == StoredIntegers::kKeep;
    for (const PlannedTensor& part : slot.parts) {
      if (part.integers != nullptr) continue;
      if (keep && has_integers && !options_.table_format)
        plain.format = backend_.packer().NativeFormat(part.source->dtype);
      return plain;
    }
    const kernels::MatrixSpec stored = JoinedForm(slot, slices.rows.local_size);
    const bool same_bits =
        stored.format == plain.format && plain.inputs == kernels::Inputs::kRounded;
    return keep || same_bits ? stored : plain;
  }

  Status Pack(const Target& target, const PlannedTensor& tensor, std::span<const RowRun> runs) {
    if (tensor.integers == nullptr) {
      const std::vector<RowSlice> slices = RowSlicesOf(*tensor.source, tensor.row->transform);
      for (RowRun rest : runs) {
        while (rest.count > 0) {
          const RowRun run = TakeFirstInSlices(rest, slices);
          DRAY_RETURN_IF_ERROR(PackFloats(target, tensor, slices, run));
        }
      }
      Release(*tensor.source);
      return OkStatus();
    }
    while (!runs.empty()) {
      const std::span<const RowRun> gapless = FirstWithoutGap(runs);
      DRAY_RETURN_IF_ERROR(PackIntegers(target, *tensor.integers, gapless));
      runs = runs.subspan(gapless.size());
    }
    for (const TensorSource* source : tensor.integers->sources()) Release(*source);
    return OkStatus();
  }

  // Pages whose rows share none with others are given back a piece at a time.
  Status PackIntegers(const Target& target, const IntegerTensor& tensor,
                      std::span<const RowRun> runs) {
    const std::vector<int64_t> rows = SourceRowsOf(runs);
    const IntegerColumns source(tensor, target.columns);
    const auto piece = static_cast<size_t>(PieceRows(target.columns.count));
    for (size_t done = 0; done < rows.size(); done += piece) {
      const auto part = std::span(rows).subspan(done, std::min(piece, rows.size() - done));
      const int64_t slot_row = runs.front().slot_row + static_cast<int64_t>(done);
      const Status packed =
          backend_.packer().PackQuantizedRows(target.matrix, slot_row, source, part);
      DRAY_RETURN_IF_ERROR(About(tensor.scales(), packed));
      const auto [first, last] = std::minmax_element(part.begin(), part.end());
      tensor.sources().front()->file->Release(tensor.BytesOfRows(*first, *last - *first + 1));
    }
    return OkStatus();
  }

  // A transposed tensor's rows interleave over all of its pages, so their pages are given back when
  // all are packed. If they lie in one slice, they are packed in one piece. `run` lies in the same
  // slices from its first row to its last.
  Status PackFloats(const Target& target, const PlannedTensor& tensor,
                    const std::vector<RowSlice>& slices, const RowRun& run) {
    const SourceRows& first = slices.front().rows;
    const bool interleaved = first.row_stride < first.col_stride;
    const int64_t row_bytes = target.columns.count * static_cast<int64_t>(SizeOf(first.dtype));
    const int64_t piece = interleaved && slices.size() == 1 ? run.count : PieceRows(row_bytes);
    for (int64_t done = 0; done < run.count; done += piece) {
      const RowRun part = {run.slot_row + done, run.source_row + done * run.source_step,
                           std::min(piece, run.count - done), run.source_step};
      SourceRows rows = GatherRows(slices, part, target.columns, gathered_);
      rows.column_factors = target.column_factors;
      if (target.row_factors != nullptr) rows.row_factors = target.row_factors + part.slot_row;
      const Status packed = backend_.packer().PackRows(target.matrix, part.slot_row, rows);
      DRAY_RETURN_IF_ERROR(About(*tensor.source, packed));
      const bool is_view = slices.size() == 1;
      if (!interleaved && is_view && piece < run.count) {
        tensor.source->file->Release(SpannedBytes(rows));
      }
    }
    return OkStatus();
  }

  // Its parts are gathered on the host, then copied to the device.
  Status LoadVector(const PlannedSlot& slot) {
    const SlotSlices slices = SlicesOf(slot.row(), config_, options_.rank);
    std::vector<float> vector = GatherSlot(slot, config_, slices);
    for (const PlannedTensor& part : slot.parts) Advance(part);
    const std::vector<float> factors = LocalFactors(FactorsOf(slot).rows, slices.rows);
    for (size_t i = 0; i < factors.size(); ++i) vector[i] *= factors[i];
    auto allocated = Tensor::Make(backend_.memory().allocator(), DType::kF32,
                                  {static_cast<int64_t>(vector.size())});
    if (!allocated.ok()) return About(*slot.parts.front().source, allocated.status());
    Tensor tensor = std::move(*allocated);
    const Status copied = backend_.memory().CopyFromHost(tensor.as<float>(), vector.data(),
                                                         vector.size() * sizeof(float));
    DRAY_RETURN_IF_ERROR(About(*slot.parts.front().source, copied));
    return Keep(slot, {.matrix = {}, .vector = std::move(tensor)});
  }

  void Advance(const PlannedTensor& part) {
    done_bytes_ += part.stored_bytes();
    if (options_.progress) options_.progress(done_bytes_, total_bytes_);
  }

  const ModelConfig& config_;
  const ModelPart part_;
  kernels::Backend& backend_;
  const LoadOptions& options_;
  const parallel::LayerRange layers_;
  const uint64_t ahead_bytes_;
  Weights weights_;
  std::vector<std::byte> gathered_;  // a piece of a tensor that lies in several slices
  size_t asked_ = 0;                 // the first slot that was not asked for
  uint64_t asked_bytes_ = 0;         // of those that were
  uint64_t done_bytes_ = 0;
  uint64_t total_bytes_ = 0;
};

}  // namespace

Result<Weights> LoadWeights(const ModelDescription& model, const LoadPlan& plan,
                            const checkpoint::Checkpoint& checkpoint, kernels::Backend& backend,
                            const LoadOptions& options) {
  DRAY_ASSIGN_OR_RETURN(Weights weights, CheckpointLoader(model, backend, options).Load(plan));
  DRAY_RETURN_IF_ERROR(checkpoint.CheckUnchanged());
  return weights;
}

}  // namespace dray::model
