#include "model/loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "model/block_rows.h"
#include "model/tensor_names.h"

namespace dray::model {
namespace {

using checkpoint::Checkpoint;
using checkpoint::TensorSource;
using kernels::SourceRows;

// Rows are packed in pieces of about so many bytes before their pages are given back: large enough
// that the threads are busy, small against any model.
constexpr int64_t kPieceBytes = int64_t{16} << 20;

// A run of a slot's rows and the rows of a tensor that fill it.
struct RowRun {
  int64_t slot_row = 0;
  int64_t source_row = 0;
  int64_t count = 0;
  int64_t source_step = 1;  // from one row of the tensor to the next that is meant
};

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

Shape ExpectedShape(const WeightRow& row, const DecoderConfig& config) {
  const int64_t rows = ExtentOf(row.rows, config);
  if (row.cols == Extent::kNone) return {rows};
  const int64_t cols = ExtentOf(row.cols, config);
  return row.transform == Transform::kTranspose ? Shape{cols, rows} : Shape{rows, cols};
}

std::string FileOf(const TensorSource& source) { return source.file->path().string(); }

Status CheckTensor(const WeightRow& row, const TensorSource& source, const DecoderConfig& config) {
  const Shape expected = ExpectedShape(row, config);
  if (!(source.shape == expected)) {
    return {StatusCode::kInvalidArgument,
            fmt::format("{}: tensor {} has shape {}, but config.json makes it {}", FileOf(source),
                        source.name, source.shape.ToString(), expected.ToString())};
  }
  if (!IsWeightType(source.dtype) && source.dtype != DType::kF64) {
    return {StatusCode::kUnsupported,
            fmt::format("{}: tensor {} is stored as {}: weights must be f32, f16, bf16 or f64",
                        FileOf(source), source.name, Name(source.dtype))};
  }
  return OkStatus();
}

// The packed layer that the row wants, or null if the checkpoint holds it as floats or not at all.
Result<PackedTensor> FindPackedTensor(const ModelDescription& model, const WeightRow& row,
                                      int64_t layer, const Checkpoint& checkpoint) {
  const std::vector<std::string> names = CandidateNames(model, row, layer);
  if (FindName(names, checkpoint) != nullptr) return PackedTensor();
  DRAY_ASSIGN_OR_RETURN(PackedTensor packed, FindPacked(model, names, checkpoint));
  if (packed == nullptr) return packed;
  const int64_t rows = ExtentOf(row.rows, model.config), cols = ExtentOf(row.cols, model.config);
  if (packed->rows() == rows && packed->cols() == cols) return packed;
  const TensorSource& source = *packed->sources().front();
  return Status(
      StatusCode::kInvalidArgument,
      fmt::format("{}: tensor {} has shape {}, which packs {} x {} weights, but config.json makes "
                  "it {} x {}",
                  FileOf(source), source.name, source.shape.ToString(), packed->rows(),
                  packed->cols(), rows, cols));
}

// Where the first row of a part lies in its slot.
int64_t FirstSlotRow(Part part, const DecoderConfig& config) {
  switch (part) {
    case Part::kKey:
      return config.query_width();
    case Part::kValue:
      return config.query_width() + config.kv_width();
    case Part::kUp:
      return config.ffn;
    default:
      return 0;
  }
}

// Which rows of the tensor go where: one run, or for per-head storage three for each head.
std::vector<RowRun> RowRuns(const WeightRow& row, const DecoderConfig& config) {
  const int64_t first = FirstSlotRow(row.part, config);
  std::vector<RowRun> runs;
  if (row.transform == Transform::kInterleavedHalves) {
    const int64_t half = config.head_dim / 2;
    for (int64_t at = 0; at < ExtentOf(row.rows, config); at += config.head_dim) {
      runs.push_back({first + at, at, half, 2});
      runs.push_back({first + at + half, at + 1, half, 2});
    }
    return runs;
  }
  if (row.transform != Transform::kPerHeadQkv) return {{first, 0, ExtentOf(row.rows, config)}};
  for (int64_t part = 0; part < 3; ++part) {
    for (int64_t head = 0; head < config.num_heads; ++head) {
      runs.push_back({(part * config.num_heads + head) * config.head_dim,
                      (head * 3 + part) * config.head_dim, config.head_dim});
    }
  }
  return runs;
}

// The tensor seen as [rows, cols] of the slot, whatever its storage.
SourceRows AsRows(const TensorSource& source, Transform transform) {
  SourceRows rows;
  rows.data = source.data;
  rows.dtype = source.dtype;
  const bool is_vector = source.shape.rank() == 1;
  const int row_axis = transform == Transform::kTranspose ? 1 : 0;
  rows.rows = source.shape[row_axis];
  rows.row_stride = source.strides[row_axis];
  rows.cols = is_vector ? 1 : source.shape[1 - row_axis];
  rows.col_stride = is_vector ? 1 : source.strides[1 - row_axis];
  return rows;
}

// Rows of `all` that `run` means.
SourceRows Slice(const SourceRows& all, const RowRun& run) {
  SourceRows part = all;
  part.data = static_cast<const std::byte*>(all.data) +
              static_cast<size_t>(run.source_row * all.row_stride) * SizeOf(all.dtype);
  part.rows = run.count;
  part.row_stride *= run.source_step;
  return part;
}

// The same of a tensor in blocks, decoded into `buffer`.
SourceRows Decode(const TensorSource& source, const RowRun& run, std::vector<float>& buffer) {
  const int64_t cols = source.shape[source.shape.rank() - 1];
  buffer.resize(static_cast<size_t>(run.count * cols));
  for (int64_t i = 0; i < run.count; ++i) {
    const int64_t row = run.source_row + i * run.source_step;
    checkpoint::DecodeBlocks(*source.blocks, source.data + source.BytesOf(row * cols), cols,
                             buffer.data() + i * cols);
  }
  return {.data = buffer.data(), .rows = run.count, .cols = cols, .row_stride = cols};
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

template <typename T>
T ReadUnaligned(const SourceRows& rows, int64_t row) {
  T value;
  std::memcpy(&value,
              static_cast<const std::byte*>(rows.data) +
                  static_cast<size_t>(row * rows.row_stride) * sizeof(T),
              sizeof(T));
  return value;
}

float ReadElement(const SourceRows& rows, int64_t row) {
  switch (rows.dtype) {
    case DType::kF16:
      return F16ToF32(ReadUnaligned<uint16_t>(rows, row));
    case DType::kBF16:
      return BF16ToF32(ReadUnaligned<uint16_t>(rows, row));
    case DType::kF64:
      return static_cast<float>(ReadUnaligned<double>(rows, row));
    default:
      return ReadUnaligned<float>(rows, row);
  }
}

class Loader {
 public:
  Loader(const ModelDescription& model, kernels::Backend& backend, const LoadOptions& options)
      : config_(model.config),
        backend_(backend),
        options_(options),
        weights_(model.config.num_layers) {}

  Result<Weights> Load(const std::vector<PlannedTensor>& plan) {
    for (const PlannedTensor& tensor : plan) {
      total_bytes_ += tensor.stored_bytes();
      has_blocks_ = has_blocks_ || tensor.source->blocks != nullptr;
    }
    for (size_t i = 0; i < plan.size(); ++i) {
      const PlannedTensor& tensor = plan[i];
      if (i + 1 < plan.size()) Prefetch(*plan[i + 1].source);
      Status status =
          IsMatrixSlot(tensor.row->slot) ? LoadMatrix(plan, tensor) : LoadVectorPart(tensor);
      const TensorSource& source = *tensor.source;
      DRAY_RETURN_IF_ERROR(status.WithPrefix(fmt::format("{}: {}", FileOf(source), source.name)));
      done_bytes_ += tensor.stored_bytes();
      if (options_.progress) options_.progress(done_bytes_, total_bytes_);
    }
    DRAY_RETURN_IF_ERROR(FlushVector());
    return std::move(weights_);
  }

 private:
  static void Prefetch(const TensorSource& source) { source.file->WillNeed(StoredBytes(source)); }

  Status LoadMatrix(const std::vector<PlannedTensor>& plan, const PlannedTensor& tensor) {
    DRAY_RETURN_IF_ERROR(FlushVector());
    const WeightRow& row = *tensor.row;
    kernels::WeightMatrix* matrix = weights_.MutableMatrix(row.slot, tensor.layer);
    if (matrix == nullptr) {
      DRAY_ASSIGN_OR_RETURN(auto made, backend_.AllocateMatrix(SpecOf(plan, tensor)));
      weights_.SetMatrix(row.slot, tensor.layer, std::move(made));
      matrix = weights_.MutableMatrix(row.slot, tensor.layer);
    }
    if (tensor.packed != nullptr) {
      for (const RowRun& run : RowRuns(row, config_)) UnpackRun(*matrix, run, *tensor.packed);
      for (const TensorSource* part : tensor.packed->sources()) part->file->Release(part->bytes());
      return OkStatus();
    }
    for (const RowRun& run : RowRuns(row, config_)) {
      if (tensor.source->blocks != nullptr) {
        PackBlocks(*matrix, run, *tensor.source);
      } else {
        PackInPieces(*matrix, run, AsRows(*tensor.source, row.transform), *tensor.source);
      }
    }
    tensor.source->file->Release(StoredBytes(*tensor.source));
    return OkStatus();
  }

  // The form of the matrix that `tensor` is a part of, whose parts may be floats, blocks or packed
  // layers.
  kernels::MatrixSpec SpecOf(const std::vector<PlannedTensor>& plan,
                             const PlannedTensor& tensor) const {
    kernels::MatrixSpec plain = {SlotRows(*tensor.row, config_),
                                 ExtentOf(tensor.row->cols, config_), options_.format};
    std::vector<PackedTensor> packed;
    std::vector<const checkpoint::BlockFormat*> blocks;
    const TensorSource* floats = nullptr;
    for (const PlannedTensor& other : plan) {
      if (other.row->slot != tensor.row->slot || other.layer != tensor.layer) continue;
      packed.push_back(other.packed);
      if (other.packed != nullptr) continue;
      if (other.source->blocks != nullptr) blocks.push_back(other.source->blocks);
      if (other.source->blocks == nullptr) floats = other.source;
    }
    const bool keep = options_.packed == PackedWeights::kKeep;
    const auto chosen = [&](const kernels::MatrixSpec& stored) {
      return keep || stored.format == plain.format ? stored : plain;
    };
    const auto is_packed = [](const PackedTensor& part) { return part != nullptr; };
    if (std::any_of(packed.begin(), packed.end(), is_packed)) {
      return chosen(PackedSpec(plain, packed));
    }
    if (!has_blocks_) return plain;
    if (keep && floats != nullptr) plain.format = backend_.NativeFormat(floats->dtype);
    return floats != nullptr ? plain : chosen(BlockSpec(plain, blocks));
  }

  // Blocks that the matrix holds as they are stay so; others are decoded to floats, a piece at a
  // time.
  void PackBlocks(kernels::WeightMatrix& matrix, const RowRun& run, const TensorSource& source) {
    const bool holds = HoldsBlocks(matrix.spec(), *source.blocks);
    const auto row_bytes = static_cast<int64_t>(sizeof(float)) * source.shape[1];
    const int64_t piece = PieceRows(row_bytes);
    for (int64_t done = 0; done < run.count; done += piece) {
      const RowRun part = {run.slot_row + done, run.source_row + done * run.source_step,
                           std::min(piece, run.count - done), run.source_step};
      if (holds) {
        const RowRange rows = {part.source_row, part.count, part.source_step};
        backend_.PackQuantizedRows(matrix, part.slot_row,
                                   UnpackRows(source, rows, block_integers_));
      } else {
        backend_.PackRows(matrix, part.slot_row, Decode(source, part, decoded_));
      }
    }
  }

  // Whole panels of 32 rows, of about kPieceBytes.
  static int64_t PieceRows(int64_t row_bytes) {
    return std::max<int64_t>(32, kPieceBytes / row_bytes / 32 * 32);
  }

  // Every word of a packed tensor's pages belongs to many rows, so its pages stay until all is
  // read.
  void UnpackRun(kernels::WeightMatrix& matrix, const RowRun& run,
                 const checkpoint::PackedLinear& packed) {
    // Unpacked, a weight takes a byte, or nine where each has its own scale.
    const int64_t piece = std::max<int64_t>(32, kPieceBytes / packed.cols() / 8 / 32 * 32);
    for (int64_t done = 0; done < run.count; done += piece) {
      const int64_t count = std::min(piece, run.count - done);
      backend_.PackQuantizedRows(matrix, run.slot_row + done,
                                 packed.Unpack(run.source_row + done, count, unpacked_));
    }
  }

  // A transposed tensor's rows interleave over all of its pages, so it is packed in one piece.
  void PackInPieces(kernels::WeightMatrix& matrix, const RowRun& run, const SourceRows& all,
                    const TensorSource& source) {
    const bool interleaved = all.row_stride < all.col_stride;
    const int64_t row_bytes = all.cols * static_cast<int64_t>(SizeOf(all.dtype));
    const int64_t piece = interleaved ? run.count : PieceRows(row_bytes);
    for (int64_t done = 0; done < run.count; done += piece) {
      const RowRun part = {run.slot_row + done, run.source_row + done * run.source_step,
                           std::min(piece, run.count - done), run.source_step};
      const SourceRows rows = Slice(all, part);
      backend_.PackRows(matrix, part.slot_row, rows);
      if (!interleaved && piece < run.count) source.file->Release(Span(rows));
    }
  }

  // Vectors are gathered on the host until all parts of a slot are there, then copied to the
  // device.
  Status LoadVectorPart(const PlannedTensor& tensor) {
    if (tensor.row->slot != vector_slot_ || tensor.layer != vector_layer_) {
      DRAY_RETURN_IF_ERROR(FlushVector());
      vector_slot_ = tensor.row->slot;
      vector_layer_ = tensor.layer;
      vector_.assign(static_cast<size_t>(SlotRows(*tensor.row, config_)), 0.0f);
    }
    const TensorSource& source = *tensor.source;
    SourceRows all = AsRows(source, Transform::kNone);
    if (source.blocks != nullptr) all.data = Decode(source, {.count = 1}, decoded_).data;
    for (const RowRun& run : RowRuns(*tensor.row, config_)) {
      for (int64_t i = 0; i < run.count; ++i) {
        vector_[static_cast<size_t>(run.slot_row + i)] =
            ReadElement(all, run.source_row + i * run.source_step);
      }
    }
    return OkStatus();
  }

  Status FlushVector() {
    if (vector_.empty()) return OkStatus();
    DRAY_ASSIGN_OR_RETURN(auto tensor, Tensor::Make(backend_.allocator(), DType::kF32,
                                                    {static_cast<int64_t>(vector_.size())}));
    backend_.CopyFromHost(tensor.as<float>(), vector_.data(), vector_.size() * sizeof(float));
    weights_.SetVector(vector_slot_, vector_layer_, std::move(tensor));
    vector_.clear();
    vector_layer_ = kNoLayer - 1;
    return OkStatus();
  }

  const DecoderConfig& config_;
  kernels::Backend& backend_;
  const LoadOptions& options_;
  Weights weights_;
  Slot vector_slot_{};
  int64_t vector_layer_ = kNoLayer - 1;
  std::vector<float> vector_;
  std::vector<float> decoded_;  // a piece of a tensor in blocks, as floats
  BlockMemory block_integers_;  // or as integers
  bool has_blocks_ = false;
  checkpoint::PackedLinear::Memory unpacked_;
  uint64_t done_bytes_ = 0;
  uint64_t total_bytes_ = 0;
};

}  // namespace

int64_t PlannedTensor::elements() const {
  return packed != nullptr ? packed->rows() * packed->cols() : source->shape.elements();
}

uint64_t PlannedTensor::stored_bytes() const {
  if (packed != nullptr) return packed->stored_bytes();
  return StoredBytes(*source).size();
}

Result<std::vector<PlannedTensor>> PlanTensors(const ModelDescription& model,
                                               const Checkpoint& checkpoint) {
  std::vector<PlannedTensor> plan;
  DRAY_RETURN_IF_ERROR(CheckPackedCheckpoint(model, checkpoint));
  const auto add = [&](const WeightRow& row, int64_t layer) -> Status {
    if (!IsPresent(row, model.config)) return OkStatus();
    if (model.packed && IsMatrixSlot(row.slot)) {
      DRAY_ASSIGN_OR_RETURN(auto packed, FindPackedTensor(model, row, layer, checkpoint));
      if (packed != nullptr) {
        plan.push_back({&row, layer, packed->sources().front(), packed});
        return OkStatus();
      }
    }
    DRAY_ASSIGN_OR_RETURN(const TensorSource* source, FindTensor(model, row, layer, checkpoint));
    DRAY_RETURN_IF_ERROR(CheckTensor(row, *source, model.config));
    plan.push_back({&row, layer, source});
    return OkStatus();
  };
  for (const WeightRow& row : model.weights) {
    if (row.slot < kFirstLayerSlot) DRAY_RETURN_IF_ERROR(add(row, kNoLayer));
  }
  for (int64_t layer = 0; layer < model.config.num_layers; ++layer) {
    for (const WeightRow& row : model.weights) {
      if (row.slot >= kFirstLayerSlot) DRAY_RETURN_IF_ERROR(add(row, layer));
    }
  }
  return plan;
}

kernels::WeightFormat AutomaticFormat(const std::vector<PlannedTensor>& plan,
                                      const kernels::Backend& backend) {
  std::array<int64_t, 16> elements{};
  std::array<int64_t, 8> in_blocks{};
  for (const PlannedTensor& tensor : plan) {
    if (!IsMatrixSlot(tensor.row->slot) || tensor.packed != nullptr) continue;
    const int64_t count = tensor.source->shape.elements();
    if (tensor.source->blocks != nullptr) {
      in_blocks[static_cast<size_t>(NearestFormat(*tensor.source->blocks))] += count;
    } else {
      elements[static_cast<size_t>(tensor.source->dtype)] += count;
    }
  }
  const auto most = std::max_element(elements.begin(), elements.end());
  const auto most_blocks = std::max_element(in_blocks.begin(), in_blocks.end());
  if (*most_blocks > *most) {
    return static_cast<kernels::WeightFormat>(most_blocks - in_blocks.begin());
  }
  return backend.NativeFormat(static_cast<DType>(most - elements.begin()));
}

Result<Weights> LoadWeights(const ModelDescription& model, const std::vector<PlannedTensor>& plan,
                            const Checkpoint& checkpoint, kernels::Backend& backend,
                            const LoadOptions& options) {
  DRAY_ASSIGN_OR_RETURN(Weights weights, Loader(model, backend, options).Load(plan));
  DRAY_RETURN_IF_ERROR(checkpoint.CheckUnchanged());
  return weights;
}

}  // namespace dray::model
