#include "model/weights/loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "model/weights/row_runs.h"
#include "model/weights/smoothing.h"
#include "model/weights/source_rows.h"

namespace dray::model {
namespace {

using checkpoint::IntegerTensor;
using checkpoint::TensorSource;
using kernels::SourceRows;

// Rows are packed in pieces of about so many bytes before their pages are given back: large enough
// that the threads are busy, small against any model.
constexpr int64_t kPieceBytes = int64_t{16} << 20;

// Rows of `all` that `run` means.
SourceRows Slice(const SourceRows& all, const RowRun& run) {
  SourceRows part = all;
  part.data = static_cast<const std::byte*>(all.data) +
              static_cast<size_t>(run.source_row * all.row_stride) * SizeOf(all.dtype);
  part.rows = run.count;
  part.row_stride *= run.source_step;
  return part;
}

// The bytes that `rows` spans in its file.
std::span<const std::byte> Span(const SourceRows& rows) {
  const int64_t last = (rows.rows - 1) * rows.row_stride + (rows.cols - 1) * rows.col_stride;
  return {static_cast<const std::byte*>(rows.data),
          static_cast<size_t>(last + 1) * SizeOf(rows.dtype)};
}

// The bytes of its file that the tensor takes.
std::span<const std::byte> StoredBytes(const TensorSource& source) {
  return source.blocks != nullptr ? source.bytes() : Span(AsRows(source, Transform::kNone));
}

// Whole panels of 32 rows, of about kPieceBytes.
int64_t PieceRows(int64_t row_bytes) {
  return std::max<int64_t>(32, kPieceBytes / row_bytes / 32 * 32);
}

class Loader {
 public:
  Loader(const ModelDescription& model, kernels::Backend& backend, const LoadOptions& options)
      : config_(model.config),
        backend_(backend),
        options_(options),
        weights_(model.config.stack.num_layers) {}

  Result<Weights> Load(const LoadPlan& plan) {
    for (const PlannedSlot& slot : plan.slots) {
      for (const PlannedTensor& part : slot.parts) total_bytes_ += part.stored_bytes();
    }
    for (size_t i = 0; i < plan.slots.size(); ++i) {
      if (i + 1 < plan.slots.size()) Prefetch(plan.slots[i + 1]);
      const PlannedSlot& slot = plan.slots[i];
      const Status status =
          IsMatrixSlot(slot.slot) ? LoadMatrix(slot, plan.has_integers) : LoadVector(slot);
      const TensorSource& source = *slot.parts.front().source;
      DRAY_RETURN_IF_ERROR(
          status.WithPrefix(fmt::format("{}: {}", source.file->path().string(), source.name)));
    }
    return std::move(weights_);
  }

 private:
  static void Prefetch(const PlannedSlot& slot) {
    for (const PlannedTensor& part : slot.parts) {
      part.source->file->WillNeed(StoredBytes(*part.source));
    }
  }

  Status LoadMatrix(const PlannedSlot& slot, bool has_integers) {
    DRAY_ASSIGN_OR_RETURN(auto matrix,
                          backend_.packer().AllocateMatrix(SpecOf(slot, has_integers)));
    for (const PlannedTensor& part : slot.parts) {
      const std::vector<RowRun> runs = RowRuns(*part.row, config_);
      if (part.integers != nullptr) {
        DRAY_RETURN_IF_ERROR(PackIntegers(matrix, runs, *part.integers));
      } else {
        for (const RowRun& run : runs) {
          DRAY_RETURN_IF_ERROR(PackFloats(matrix, run, slot, part));
        }
        part.source->file->Release(StoredBytes(*part.source));
      }
      Advance(part);
    }
    weights_.SetMatrix(slot.slot, slot.layer, std::move(matrix));
    return OkStatus();
  }

  // Integers are kept in the form nearest to theirs, and floats beside them as floats: a matrix of
  // which some part is floats is one of floats.
  kernels::MatrixSpec SpecOf(const PlannedSlot& slot, bool has_integers) const {
    auto plain =
        kernels::MatrixSpec::Of(SlotRows(slot.row(), config_), ExtentOf(slot.row().cols, config_),
                                options_.FormatOf(slot.slot));
    if (options_.smoothing != nullptr) {
      plain.input_scale = options_.smoothing->InputScale(slot.slot, slot.layer);
    }
    const bool keep = options_.integers == StoredIntegers::kKeep;
    for (const PlannedTensor& part : slot.parts) {
      if (part.integers != nullptr) continue;
      if (keep && has_integers && !options_.table_format)
        plain.format = backend_.packer().NativeFormat(part.source->dtype);
      return plain;
    }
    const kernels::MatrixSpec stored = JoinedForm(slot, config_);
    const bool same_bits =
        stored.format == plain.format && plain.inputs == kernels::Inputs::kRounded;
    return keep || same_bits ? stored : plain;
  }

  // Pages whose rows share none with others are given back a piece at a time.
  Status PackIntegers(kernels::WeightMatrix& matrix, const std::vector<RowRun>& runs,
                      const IntegerTensor& source) {
    const std::vector<int64_t> rows = SourceRowsOf(runs);
    const auto piece = static_cast<size_t>(PieceRows(source.form().cols));
    for (size_t done = 0; done < rows.size(); done += piece) {
      const auto part = std::span(rows).subspan(done, std::min(piece, rows.size() - done));
      const int64_t slot_row = runs.front().slot_row + static_cast<int64_t>(done);
      DRAY_RETURN_IF_ERROR(backend_.packer().PackQuantizedRows(matrix, slot_row, source, part));
      const auto [first, last] = std::minmax_element(part.begin(), part.end());
      source.sources().front()->file->Release(source.BytesOfRows(*first, *last - *first + 1));
    }
    for (const TensorSource* stored : source.sources()) stored->file->Release(stored->bytes());
    return OkStatus();
  }

  // A transposed tensor's rows interleave over all of its pages, so it is packed in one piece.
  Status PackFloats(kernels::WeightMatrix& matrix, const RowRun& run, const PlannedSlot& slot,
                    const PlannedTensor& tensor) {
    const SourceRows all = AsRows(*tensor.source, tensor.row->transform);
    std::span<const float> factors;
    if (options_.smoothing != nullptr) {
      factors = options_.smoothing->ColumnFactors(slot.slot, slot.layer);
    }
    const bool interleaved = all.row_stride < all.col_stride;
    const int64_t row_bytes = all.cols * static_cast<int64_t>(SizeOf(all.dtype));
    const int64_t piece = interleaved ? run.count : PieceRows(row_bytes);
    for (int64_t done = 0; done < run.count; done += piece) {
      const RowRun part = {run.slot_row + done, run.source_row + done * run.source_step,
                           std::min(piece, run.count - done), run.source_step};
      const SourceRows rows = Slice(all, part);
      DRAY_RETURN_IF_ERROR(backend_.packer().PackRows(
          matrix, part.slot_row,
          factors.empty() ? rows : MultiplyColumns(rows, factors, smoothed_)));
      if (!interleaved && piece < run.count) tensor.source->file->Release(Span(rows));
    }
    return OkStatus();
  }

  // Its parts are gathered on the host, then copied to the device.
  Status LoadVector(const PlannedSlot& slot) {
    std::vector<float> vector(static_cast<size_t>(SlotRows(slot.row(), config_)));
    for (const PlannedTensor& part : slot.parts) {
      const TensorSource& source = *part.source;
      SourceRows all = AsRows(source, Transform::kNone);
      std::vector<float> decoded;
      if (source.blocks != nullptr) {
        decoded.resize(static_cast<size_t>(all.rows));
        checkpoint::DecodeBlocks(*source.blocks, source.data, all.rows, decoded.data());
        all.data = decoded.data();
      }
      for (const RowRun& run : RowRuns(*part.row, config_)) {
        for (int64_t i = 0; i < run.count; ++i) {
          const int64_t row = run.source_row + i * run.source_step;
          vector[static_cast<size_t>(run.slot_row + i)] = ReadElement(
              all.dtype, static_cast<const std::byte*>(all.data) +
                             static_cast<size_t>(row * all.row_stride) * SizeOf(all.dtype));
        }
      }
      Advance(part);
    }
    if (options_.smoothing != nullptr) {
      options_.smoothing->DivideNorm(slot.slot, slot.layer, vector);
    }
    DRAY_ASSIGN_OR_RETURN(auto tensor, Tensor::Make(backend_.memory().allocator(), DType::kF32,
                                                    {static_cast<int64_t>(vector.size())}));
    DRAY_RETURN_IF_ERROR(backend_.memory().CopyFromHost(tensor.as<float>(), vector.data(),
                                                        vector.size() * sizeof(float)));
    weights_.SetVector(slot.slot, slot.layer, std::move(tensor));
    return OkStatus();
  }

  void Advance(const PlannedTensor& part) {
    done_bytes_ += part.stored_bytes();
    if (options_.progress) options_.progress(done_bytes_, total_bytes_);
  }

  const ModelConfig& config_;
  kernels::Backend& backend_;
  const LoadOptions& options_;
  Weights weights_;
  std::vector<float> smoothed_;  // a piece of a tensor
  uint64_t done_bytes_ = 0;
  uint64_t total_bytes_ = 0;
};

}  // namespace

Result<Weights> LoadWeights(const ModelDescription& model, const LoadPlan& plan,
                            const checkpoint::Checkpoint& checkpoint, kernels::Backend& backend,
                            const LoadOptions& options) {
  DRAY_ASSIGN_OR_RETURN(Weights weights, Loader(model, backend, options).Load(plan));
  DRAY_RETURN_IF_ERROR(checkpoint.CheckUnchanged());
  return weights;
}

}  // namespace dray::model
