// One sequence of random numbers is drawn for the whole model. Each row of a matrix reads it
// through a window; windows overlap, and those of a matrix begin at its own offset. So the numbers
// stay in the processor's cache, and packing costs little more than writing the packed bytes.
#include "model/weights/dummy_weights.h"

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "model/weights/fill_columns.h"
#include "model/weights/slot_slices.h"
#include "tensor/dtype.h"

namespace dray::model {
namespace {

// Numbers beyond one row: 2 MiB as bf16, which a core's own cache holds.
constexpr int64_t kSpread = int64_t{1} << 20;
// Half of it is for where a matrix begins, half for where its rows do.
constexpr int64_t kReach = kSpread / 2;
// Even distribution from -b to b has a standard deviation of b / sqrt(3).
constexpr float kBound = 0.02f * 1.7320508f;
// Rows are this far apart unless they must be closer. The number is odd, so that the windows of
// neighbouring rows never begin at the same place of a cache line or of a group of columns.
constexpr int64_t kMaxStride = 4099;

bool IsNormWeight(Slot slot) {
  switch (slot) {
    case Slot::kEmbeddingNormWeight:
    case Slot::kFinalNormWeight:
    case Slot::kAttentionNormWeight:
    case Slot::kCrossNormWeight:
    case Slot::kFfnNormWeight:
    case Slot::kQueryNorm:
    case Slot::kKeyNorm:
      return true;
    default:
      return false;
  }
}

// Whether the row has the first rows of its slot.
bool IsFirstPart(const WeightRow& row) {
  const bool has_no_queries = row.slot == Slot::kCrossKeyValue;
  return row.part == Part::kWhole || row.part == Part::kQuery || row.part == Part::kGate ||
         (row.part == Part::kKey && has_no_queries);
}

class Generator {
 public:
  Generator(const ModelDescription& model, kernels::Backend& backend, const LoadOptions& options,
            uint64_t seed)
      : config_(model.config),
        part_(model.part),
        rows_(model.weights),
        backend_(backend),
        options_(options),
        random_(seed),
        layers_(parallel::CutLayers(model.config.stack.num_layers, options.stage)),
        weights_(layers_.size()) {}

  Result<Weights> Make() {
    DrawNumbers();
    for (const WeightRow& row : rows_) {
      if (row.slot < kFirstLayerSlot) DRAY_RETURN_IF_ERROR(Fill(row, kNoLayer));
    }
    for (int64_t layer = 0; layer < config_.stack.num_layers; ++layer) {
      DRAY_RETURN_IF_ERROR(options_.CheckStop());
      for (const WeightRow& row : rows_) {
        if (row.slot >= kFirstLayerSlot) DRAY_RETURN_IF_ERROR(Fill(row, layer));
      }
      if (options_.progress) {
        options_.progress(static_cast<uint64_t>(layer + 1),
                          static_cast<uint64_t>(config_.stack.num_layers));
      }
    }
    return std::move(weights_);
  }

 private:
  void DrawNumbers() {
    int64_t most_cols = 1;
    for (const WeightRow& row : rows_) {
      if (IsPresent(row, config_)) most_cols = std::max(most_cols, ExtentOf(row.cols, config_));
    }
    numbers_.resize(static_cast<size_t>(most_cols + kSpread));
    constexpr float kStep = 2.0f * kBound / 65535.0f;
    // Four numbers of sixteen bits from each draw.
    uint64_t bits = 0;
    for (size_t i = 0; i < numbers_.size(); ++i) {
      bits = i % 4 == 0 ? random_() : bits >> 16;
      numbers_[i] = F32ToBF16(static_cast<float>(bits & 0xFFFF) * kStep - kBound);
    }
  }

  // Fills the slot of a row. Parts of one slot are one matrix: the first part fills all of it.
  Status Fill(const WeightRow& row, int64_t layer) {
    if (!IsPresent(row, config_) || !IsFirstPart(row)) return OkStatus();
    const bool is_matrix = IsMatrixSlot(row.slot);
    if (!StageHas(row.slot, layer, config_, options_.stage)) {
      if (is_matrix) SkipMatrix(row);
      return OkStatus();
    }
    const int64_t local = layer == kNoLayer ? kNoLayer : layer - layers_.begin;
    return is_matrix ? FillMatrix(row, local) : FillVector(row, local);
  }

  // Draws what the matrix of another stage begins with, so that every stage has its part of the same
  // model.
  void SkipMatrix(const WeightRow& row) {
    const int64_t rows = SlicesOf(row, config_, options_.rank).rows.global_size;
    for (int64_t first = 0; first < rows; first += kReach) static_cast<void>(random_());
  }

  // The numbers are drawn for the whole matrix, so that every rank has its part of the same one.
  Status FillMatrix(const WeightRow& row, int64_t layer) {
    const SlotSlices slices = SlicesOf(row, config_, options_.rank);
    const int64_t rows = slices.rows.global_size;
    const int64_t row_stride =
        std::clamp<int64_t>(kReach / std::max<int64_t>(rows, 1), 1, kMaxStride);
    std::vector<Window> windows;
    for (int64_t first = 0; first < rows; first += kReach) {
      windows.push_back({.first_row = first,
                         .rows = std::min(rows - first, kReach),
                         .row_stride = row_stride,
                         .numbers = numbers_.data() + random_() % kReach});
    }
    const auto spec = kernels::MatrixSpec::Of(slices.rows.local_size, slices.cols.global_size,
                                              options_.FormatOf(row.slot));
    DRAY_ASSIGN_OR_RETURN(
        auto matrix,
        FillColumns(backend_.packer(), spec, slices,
                    [&](kernels::WeightMatrix& target, checkpoint::ColumnRange columns) -> Status {
                      for (const Window& window : windows) {
                        DRAY_RETURN_IF_ERROR(PackWindow(target, slices.rows, columns, window));
                      }
                      return OkStatus();
                    }));
    return KeepWeight(options_, {part_, row.slot, layer},
                      {.matrix = std::move(matrix), .vector = {}}, weights_);
  }

  // Some rows of a whole matrix, and where their numbers are: row r's begin at
  // numbers[(r - first_row) * row_stride].
  struct Window {
    int64_t first_row;
    int64_t rows;
    int64_t row_stride;
    const uint16_t* numbers;
  };

  Status PackWindow(kernels::WeightMatrix& matrix, const parallel::Slice& rows,
                    checkpoint::ColumnRange columns, const Window& window) {
    for (const parallel::Piece& piece : rows.pieces) {
      const int64_t begin = std::max(piece.global, window.first_row);
      const int64_t end = std::min(piece.global + piece.count, window.first_row + window.rows);
      if (begin >= end) continue;
      DRAY_RETURN_IF_ERROR(backend_.packer().PackRows(
          matrix, piece.local + begin - piece.global,
          {.data = window.numbers + (begin - window.first_row) * window.row_stride + columns.begin,
           .dtype = DType::kBF16,
           .rows = end - begin,
           .cols = columns.count,
           .row_stride = window.row_stride}));
    }
    return OkStatus();
  }

  Status FillVector(const WeightRow& row, int64_t layer) {
    const SlotSlices slices = SlicesOf(row, config_, options_.rank);
    const std::vector<float> values(static_cast<size_t>(slices.rows.local_size),
                                    IsNormWeight(row.slot) ? 1.0f : 0.0f);
    DRAY_ASSIGN_OR_RETURN(auto tensor, Tensor::Make(backend_.memory().allocator(), DType::kF32,
                                                    {static_cast<int64_t>(values.size())}));
    DRAY_RETURN_IF_ERROR(backend_.memory().CopyFromHost(tensor.as<float>(), values.data(),
                                                        values.size() * sizeof(float)));
    return KeepWeight(options_, {part_, row.slot, layer},
                      {.matrix = {}, .vector = std::move(tensor)}, weights_);
  }

  const ModelConfig& config_;
  const ModelPart part_;
  const std::vector<WeightRow>& rows_;
  kernels::Backend& backend_;
  const LoadOptions& options_;
  std::mt19937_64 random_;
  std::vector<uint16_t> numbers_;
  const parallel::LayerRange layers_;
  Weights weights_;
};

}  // namespace

Result<Weights> MakeDummyWeights(const ModelDescription& model, kernels::Backend& backend,
                                 const LoadOptions& options, uint64_t seed) {
  return Generator(model, backend, options, seed).Make();
}

kernels::WeightFormat AutomaticFormat(const ModelConfig& config, const kernels::Packer& packer) {
  return packer.NativeFormat(config.dtype.value_or(DType::kF32));
}

}  // namespace dray::model
