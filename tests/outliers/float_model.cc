#include "outliers/float_model.h"

#include <fmt/format.h>

#include <bit>
#include <cstddef>
#include <fstream>
#include <string_view>
#include <utility>

#include "base/file.h"
#include "model/describe/model_files.h"
#include "model/weights/load_plan.h"
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

// Of what is read here, only these forms are known to be rewritten exactly.
Status CheckForm(const fs::path& dir, const model::ModelConfig& config) {
  const model::StackConfig& stack = config.stack;
  std::string_view reason;
  if (stack.norm_placement != model::NormPlacement::kPre) {
    reason = "norms stand behind attention and feed-forward";
  } else if (stack.residual_after_norm) {
    reason = "the residual stream is the output of norms";
  } else if (stack.qk_norm) {
    reason = "queries and keys have norms";
  } else if (!stack.norm_affine || !stack.final_norm) {
    reason = "norms have no weights";
  } else if (config.embed_dim != stack.hidden) {
    reason = "the token table is projected";
  }
  if (reason.empty()) return OkStatus();
  return {StatusCode::kUnsupported,
          fmt::format("{}: no outlier models are made where {}", dir.string(), reason)};
}

Result<const Layout*> RequireLayout(const fs::path& dir, std::string_view model_type) {
  if (const Layout* layout = FindLayout(model_type)) return layout;
  return Status(StatusCode::kUnsupported,
                fmt::format("{}: outlier models are made of {} checkpoints; its model_type is {}",
                            dir.string(), KnownLayouts(), model_type));
}

// Checkpoints of the network without its head have names without the prefix.
std::string FullName(const Layout& layout, std::string_view name) {
  if (name.starts_with(layout.prefix) || name.starts_with(layout.head)) return std::string(name);
  return fmt::format("{}{}", layout.prefix, name);
}

std::string InLayer(const Layout& layout, int64_t layer, std::string_view name) {
  return fmt::format("{}{}.{}", layout.layers, layer, name);
}

}  // namespace

void FloatTensor::ScaleRow(int64_t row, float factor) {
  for (int64_t c = 0; c < cols(); ++c) Row(row)[c] *= factor;
}

void FloatTensor::ScaleColumn(int64_t col, float factor) {
  for (int64_t r = 0; r < rows(); ++r) Row(r)[col] *= factor;
}

void Affine::ScaleOutput(int64_t row, float factor) const {
  weight->ScaleRow(row, factor);
  if (bias != nullptr) bias->ScaleRow(row, factor);
}

Result<FloatModel> FloatModel::Read(const fs::path& dir) {
  DRAY_ASSIGN_OR_RETURN(const model::ModelFiles files, model::OpenModelFiles(dir));
  const model::ModelConfig& config = files.description.config;
  FloatModel model;
  DRAY_ASSIGN_OR_RETURN(model.layout_, RequireLayout(dir, files.description.family->model_type));
  DRAY_RETURN_IF_ERROR(CheckForm(dir, config));
  model.source_dir_ = dir;
  model.stack_ = config.stack;
  DRAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(dir / "config.json", kMaxConfigBytes));
  DRAY_ASSIGN_OR_RETURN(model.config_, Json::Parse(text));
  model.config_.Set("tie_word_embeddings", config.tied_head);
  model.config_.Set("dtype", "float32");
  DRAY_ASSIGN_OR_RETURN(const model::LoadPlan plan,
                        model::PlanTensors(files.description, files.checkpoint));
  for (const model::PlannedSlot& slot : plan.slots) {
    for (const model::PlannedTensor& part : slot.parts) {
      const std::string name = FullName(*model.layout_, part.source->name);
      DRAY_ASSIGN_OR_RETURN(model.tensors_[name], ReadTensor(*part.source));
    }
  }
  DRAY_RETURN_IF_ERROR(files.checkpoint.CheckUnchanged());
  return model;
}

Affine FloatModel::Part(std::string_view name) {
  const std::string stem(name);
  const auto bias = tensors_.find(stem + ".bias");
  return {&tensors_.at(stem + ".weight"), bias == tensors_.end() ? nullptr : &bias->second};
}

Affine FloatModel::LayerPart(int64_t layer, std::string_view name) {
  return Part(InLayer(*layout_, layer, name));
}

std::vector<NormAndReaders> FloatModel::Norms() {
  std::vector<NormAndReaders> norms;
  for (int64_t l = 0; l < stack_.num_layers; ++l) {
    const auto part = [&](std::string_view name) { return LayerPart(l, name); };
    NormAndReaders attention = {part(layout_->attention_norm), {part(layout_->query)}};
    if (!layout_->has_joined_heads()) {
      attention.readers.push_back(part(layout_->key));
      attention.readers.push_back(part(layout_->value));
    }
    std::vector<Affine> ffn;
    if (!layout_->gate.empty()) ffn.push_back(part(layout_->gate));
    ffn.push_back(part(layout_->up));
    if (layout_->ffn_norm.empty()) {
      attention.readers.insert(attention.readers.end(), ffn.begin(), ffn.end());
    }
    norms.push_back(std::move(attention));
    if (!layout_->ffn_norm.empty()) norms.push_back({part(layout_->ffn_norm), std::move(ffn)});
  }
  if (has_head()) norms.push_back({Part(layout_->final_norm), {Part(layout_->head)}});
  return norms;
}

std::vector<Affine> FloatModel::StreamWriters() {
  std::vector<Affine> writers;
  for (int64_t l = 0; l < stack_.num_layers; ++l) {
    writers.push_back(LayerPart(l, layout_->attention_out));
    writers.push_back(LayerPart(l, layout_->down));
  }
  return writers;
}

int64_t FloatModel::HeadRow(HeadPart part, int64_t channel) const {
  if (!layout_->has_joined_heads()) return channel;
  const int64_t head = channel / stack_.head_dim, dimension = channel % stack_.head_dim;
  return (head * 3 + static_cast<int64_t>(part)) * stack_.head_dim + dimension;
}

bool FloatModel::has_head() const {
  return tensors_.contains(std::string(layout_->head) + ".weight");
}

void FloatModel::UntieHead() {
  if (has_head()) return;
  tensors_[std::string(layout_->head) + ".weight"] = Weight(layout_->embedding);
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
