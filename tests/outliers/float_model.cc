#include "outliers/float_model.h"

#include <fmt/format.h>

#include <bit>
#include <cstddef>
#include <fstream>
#include <string_view>
#include <utility>

#include "base/file.h"
#include "model/describe/model_files.h"
#include "model/weights/source_rows.h"

namespace dray::testing {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxConfigBytes = 1 << 20;
static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

Result<FloatTensor> ReadTensor(const checkpoint::TensorSource& source) {
  if (source.blocks != nullptr || (!IsWeightType(source.dtype) && source.dtype != DType::kF64)) {
    return Status(StatusCode::kUnsupported,
                  fmt::format("tensor {} is stored as {}: outlier models are made of checkpoints "
                              "in floats",
                              checkpoint::Quoted(source.name), source.StorageName()));
  }
  if (!source.slices.empty()) {
    return Status(StatusCode::kUnsupported,
                  fmt::format("tensor {} is stored in {} slices: outlier models are made of "
                              "checkpoints whose tensors are whole",
                              checkpoint::Quoted(source.name), source.slices.size()));
  }
  const kernels::SourceRows rows = model::AsRows(source, model::Transform::kNone);
  const auto* data = static_cast<const std::byte*>(rows.data);
  const auto element_bytes = static_cast<int64_t>(SizeOf(source.dtype));
  FloatTensor tensor{source.shape, {}};
  tensor.values.reserve(static_cast<size_t>(source.shape.elements()));
  for (int64_t r = 0; r < rows.rows; ++r) {
    for (int64_t c = 0; c < rows.cols; ++c) {
      const int64_t at = (r * rows.row_stride + c * rows.col_stride) * element_bytes;
      tensor.values.push_back(model::ReadElement(source.dtype, data + at));
    }
  }
  return tensor;
}

Status WriteBytes(const fs::path& path, std::initializer_list<std::string_view> parts) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  for (const std::string_view part : parts) {
    file.write(part.data(), static_cast<std::streamsize>(part.size()));
  }
  file.flush();
  if (file.good()) return OkStatus();
  return {StatusCode::kIo, fmt::format("{} cannot be written", path.string())};
}

Status CopyJsonFiles(const fs::path& from, const fs::path& to) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(from, error)) {
    const fs::path& path = entry.path();
    // The index would name weight files that the new folder does not have.
    if (path.extension() != ".json" || path.string().ends_with(".index.json")) continue;
    fs::copy_file(path, to / path.filename(), fs::copy_options::overwrite_existing, error);
    if (error) break;
  }
  if (!error) return OkStatus();
  return {StatusCode::kIo, fmt::format("the files of {} cannot be copied to {}: {}", from.string(),
                                       to.string(), error.message())};
}

}  // namespace

void FloatTensor::ScaleRow(int64_t row, float factor) {
  for (int64_t c = 0; c < cols(); ++c) Row(row)[c] *= factor;
}

void FloatTensor::ScaleColumn(int64_t col, float factor) {
  for (int64_t r = 0; r < rows(); ++r) Row(r)[col] *= factor;
}

Result<FloatModel> FloatModel::Read(const fs::path& dir) {
  DRAY_ASSIGN_OR_RETURN(const model::ModelFiles files, model::OpenModelFiles(dir));
  const model::ModelConfig& config = files.description.config;
  const model::StackConfig& stack = config.stack;
  if (files.description.family->model_type != "llama" || stack.qkv_bias || stack.ffn_bias) {
    return Status(StatusCode::kUnsupported,
                  fmt::format("{}: outlier models are made of llama checkpoints without biases; "
                              "its model_type is {}",
                              dir.string(), files.description.family->model_type));
  }
  FloatModel model;
  model.source_dir_ = dir;
  DRAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(dir / "config.json", kMaxConfigBytes));
  DRAY_ASSIGN_OR_RETURN(model.config_, Json::Parse(text));
  model.config_.Set("tie_word_embeddings", config.tied_head);
  model.config_.Set("dtype", "float32");
  for (const checkpoint::TensorSource& source : files.checkpoint.tensors()) {
    if (config.tied_head && source.name == "lm_head.weight") continue;
    DRAY_ASSIGN_OR_RETURN(model.tensors_[source.name], ReadTensor(source));
  }
  DRAY_RETURN_IF_ERROR(files.checkpoint.CheckUnchanged());
  if (!model.tensors_.contains("model.embed_tokens.weight")) {
    return Status(StatusCode::kNotFound,
                  fmt::format("{} has no tensor model.embed_tokens.weight", dir.string()));
  }
  model.num_layers_ = stack.num_layers;
  model.hidden_ = stack.hidden;
  model.head_dim_ = stack.head_dim;
  model.heads_per_kv_head_ = stack.num_heads / stack.num_kv_heads;
  return model;
}

void FloatModel::UntieHead() {
  if (has_head()) return;
  tensors_["lm_head.weight"] = tensors_.at("model.embed_tokens.weight");
  config_.Set("tie_word_embeddings", false);
}

Status FloatModel::Write(const fs::path& dir) const {
  std::error_code error;
  fs::create_directories(dir, error);
  if (error) {
    return {StatusCode::kIo, fmt::format("{} cannot be made: {}", dir.string(), error.message())};
  }
  DRAY_RETURN_IF_ERROR(CopyJsonFiles(source_dir_, dir));
  DRAY_RETURN_IF_ERROR(WriteBytes(dir / "config.json", {config_.Dump(1)}));
  Json header = Json::MakeObject();
  std::string data;
  for (const auto& [name, tensor] : tensors_) {
    Json shape = Json::MakeArray(), offsets = Json::MakeArray();
    for (const int64_t size : tensor.shape.dims()) shape.Append(size);
    offsets.Append(static_cast<uint64_t>(data.size()));
    data.append(reinterpret_cast<const char*>(tensor.values.data()),
                tensor.values.size() * sizeof(float));
    offsets.Append(static_cast<uint64_t>(data.size()));
    header.Set(name, Json::MakeObject({{"dtype", "F32"},
                                       {"shape", std::move(shape)},
                                       {"data_offsets", std::move(offsets)}}));
  }
  // The header begins at byte 8, and padding by spaces lets the numbers begin at a multiple of 8.
  std::string text = header.Dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  const auto length = static_cast<uint64_t>(text.size());
  return WriteBytes(dir / "model.safetensors",
                    {{reinterpret_cast<const char*>(&length), sizeof(length)}, text, data});
}

}  // namespace dray::testing
