#include "model/weights/artifact_weights.h"

#include <fmt/format.h>

#include <set>
#include <utility>
#include <vector>

#include "artifact/fields.h"
#include "base/parse/parse_number.h"
#include "model/families/family_config.h"
#include "model/weights/fill_columns.h"
#include "model/weights/slot_slices.h"

namespace dray::model {
namespace {

using artifact::ArtifactTensor;
using artifact::MappedArtifact;

constexpr std::string_view kLayerPrefix = "layers.";

class ArtifactLoader {
 public:
  ArtifactLoader(const ModelDescription& model, std::shared_ptr<const MappedArtifact> artifact,
                 kernels::Backend& backend, const LoadOptions& options)
      : model_(model),
        artifact_(std::move(artifact)),
        backend_(backend),
        options_(options),
        layers_(parallel::CutLayers(model.config.stack.num_layers, options.stage)),
        weights_(layers_.size()) {}

  Result<Weights> Load() {
    DRAY_RETURN_IF_ERROR(CheckLayout());
    // Several rows may fill one slot together.
    std::set<Slot> seen;
    for (const WeightRow& row : model_.weights) {
      if (!IsPresent(row, model_.config) || !seen.insert(row.slot).second) continue;
      const bool in_layers = row.slot >= kFirstLayerSlot;
      for (int64_t layer = in_layers ? layers_.begin : kNoLayer;
           layer < (in_layers ? layers_.end : 0); ++layer) {
        if (!StageHas(row.slot, layer, model_.config, options_.stage)) continue;
        DRAY_RETURN_IF_ERROR(options_.CheckStop());
        if (options_.before_slot) options_.before_slot();
        DRAY_RETURN_IF_ERROR(LoadSlot(row, layer));
      }
    }
    return std::move(weights_);
  }

 private:
  Status CheckLayout() const {
    const artifact::Manifest& manifest = artifact_->manifest();
    const std::string_view layout = backend_.packer().layout();
    if (manifest.layout == layout) return OkStatus();
    return {StatusCode::kUnsupported,
            fmt::format("{}: its weights are packed as \"{}\" (on {}), but {} reads \"{}\"; write "
                        "an artifact for it with dray partition",
                        artifact_->folder().string(), manifest.layout, manifest.packed_on,
                        backend_.Describe(), layout)};
  }

  Status Unfit(const std::string& name, std::string_view what) const {
    return {StatusCode::kCorrupt,
            fmt::format("{}: {} {}; write the artifact again with dray partition",
                        artifact_->DataPath(), name, what)};
  }

  Status LoadSlot(const WeightRow& row, int64_t layer) {
    const std::string name = ArtifactName({model_.part, row.slot, layer});
    const ArtifactTensor* tensor = artifact_->Find(name);
    if (tensor == nullptr) return Unfit(name, "is missing");
    const SlotSlices slices = SlicesOf(row, model_.config, options_.rank);
    const int64_t local_layer = layer == kNoLayer ? kNoLayer : layer - layers_.begin;
    const int64_t rows = slices.rows.global_size, cols = slices.cols.global_size;
    if (!IsMatrixSlot(row.slot)) {
      if (tensor->matrix || tensor->elements != rows) {
        return Unfit(
            name, fmt::format("is not the vector of {} numbers that config.json asks for", rows));
      }
      return LoadVector(*tensor, slices, row.slot, local_layer);
    }
    if (!tensor->matrix || tensor->matrix->rows != rows || tensor->matrix->cols != cols) {
      return Unfit(
          name, fmt::format("is not the matrix of {} x {} that config.json asks for", rows, cols));
    }
    DRAY_ASSIGN_OR_RETURN(auto matrix, LoadMatrix(*tensor, slices));
    weights_.SetMatrix(row.slot, local_layer, std::move(matrix));
    return OkStatus();
  }

  Result<kernels::WeightMatrix> LoadMatrix(const ArtifactTensor& tensor, const SlotSlices& slices) {
    kernels::Packer& packer = backend_.packer();
    auto whole = packer.Adopt(*tensor.matrix, {artifact_->Bytes(tensor), artifact_});
    if (!whole.ok()) return whole.status().WithPrefix(Where(tensor));
    if (options_.rank.world == 1) return whole;
    auto part = TakeRankPart(packer, *whole, slices);
    return part.ok() ? std::move(part) : part.status().WithPrefix(Where(tensor));
  }

  std::string Where(const ArtifactTensor& tensor) const {
    return fmt::format("{}: {}", artifact_->DataPath(), tensor.name);
  }

  Status LoadVector(const ArtifactTensor& tensor, const SlotSlices& slices, Slot slot,
                    int64_t layer) {
    const auto* whole = reinterpret_cast<const float*>(artifact_->Bytes(tensor).data());
    std::vector<float> vector(static_cast<size_t>(slices.rows.local_size));
    for (const parallel::Piece& piece : slices.rows.pieces) {
      std::copy_n(whole + piece.global, piece.count, vector.begin() + piece.local);
    }
    DRAY_ASSIGN_OR_RETURN(Tensor copy, Tensor::Make(backend_.memory().allocator(), DType::kF32,
                                                    {static_cast<int64_t>(vector.size())}));
    DRAY_RETURN_IF_ERROR(backend_.memory().CopyFromHost(copy.as<float>(), vector.data(),
                                                        vector.size() * sizeof(float)));
    weights_.SetVector(slot, layer, std::move(copy));
    return OkStatus();
  }

  const ModelDescription& model_;
  std::shared_ptr<const MappedArtifact> artifact_;
  kernels::Backend& backend_;
  const LoadOptions& options_;
  const parallel::LayerRange layers_;
  Weights weights_;
};

}  // namespace

Json FactsJson(const ArtifactFacts& facts) {
  Json divisors = Json::MakeArray();
  for (const float divisor : facts.rope_frequency_divisors) divisors.Append(divisor);
  Json json = Json::MakeObject({{"family", facts.family},
                                {"source_checksum", facts.source_checksum},
                                {"checkpoint_format", facts.checkpoint_format},
                                {"checkpoint_bytes", facts.checkpoint_bytes},
                                {"form", artifact::FormJson(facts.format)},
                                {"table_form", artifact::FormJson(facts.table_format)},
                                {"smoothed", facts.is_smoothed},
                                {"tied_head", facts.tied_head},
                                {"attention_out_bias", facts.attention_out_bias},
                                {"rope_frequency_divisors", std::move(divisors)}});
  if (facts.embed_dim) json.Set("embed_dim", *facts.embed_dim);
  return json;
}

Result<ArtifactFacts> ParseFacts(const Json& json, const std::string& where) {
  const artifact::Fields fields(json, where + ": model");
  ArtifactFacts facts;
  DRAY_ASSIGN_OR_RETURN(facts.family, fields.Text("family"));
  DRAY_ASSIGN_OR_RETURN(facts.source_checksum, fields.Text("source_checksum"));
  DRAY_ASSIGN_OR_RETURN(facts.checkpoint_format, fields.Text("checkpoint_format"));
  DRAY_ASSIGN_OR_RETURN(const int64_t bytes, fields.Integer("checkpoint_bytes", 0, INT64_MAX));
  facts.checkpoint_bytes = static_cast<uint64_t>(bytes);
  DRAY_ASSIGN_OR_RETURN(const Json* form, fields.Object("form"));
  DRAY_ASSIGN_OR_RETURN(facts.format, artifact::ParseForm(*form, fields.where() + ".form"));
  DRAY_ASSIGN_OR_RETURN(const Json* table_form, fields.Object("table_form"));
  DRAY_ASSIGN_OR_RETURN(facts.table_format,
                        artifact::ParseForm(*table_form, fields.where() + ".table_form"));
  DRAY_ASSIGN_OR_RETURN(facts.is_smoothed, fields.Flag("smoothed"));
  DRAY_ASSIGN_OR_RETURN(facts.tied_head, fields.Flag("tied_head"));
  DRAY_ASSIGN_OR_RETURN(facts.attention_out_bias, fields.Flag("attention_out_bias"));
  if (fields.Has("embed_dim")) {
    DRAY_ASSIGN_OR_RETURN(facts.embed_dim, fields.Integer("embed_dim", 1, kMaxHidden));
  }
  DRAY_ASSIGN_OR_RETURN(const Json::Array* divisors, fields.List("rope_frequency_divisors"));
  for (const Json& divisor : *divisors) {
    const auto number = divisor.AsDouble();
    if (!number || !(*number > 0) || !(*number < 1e9)) {
      return fields.Refuse("rope_frequency_divisors", "a list of numbers between 0 and 1e9");
    }
    facts.rope_frequency_divisors.push_back(static_cast<float>(*number));
  }
  return facts;
}

void SetFactsOf(const ModelConfig& config, ArtifactFacts& facts) {
  facts.family = config.family;
  facts.tied_head = config.tied_head;
  facts.attention_out_bias = config.stack.attention_out_bias;
  facts.embed_dim = config.embed_dim;
  facts.rope_frequency_divisors = config.stack.rope.frequency_divisors;
}

void ApplyFacts(const ArtifactFacts& facts, ModelConfig& config) {
  config.tied_head = facts.tied_head;
  config.stack.attention_out_bias = facts.attention_out_bias;
  config.embed_dim = facts.embed_dim.value_or(config.embed_dim);
  config.stack.rope.frequency_divisors = facts.rope_frequency_divisors;
}

std::string ArtifactName(const WeightPlace& place) {
  const std::string_view part = place.part == ModelPart::kEncoder ? "encoder." : "";
  if (place.layer == kNoLayer) return fmt::format("{}{}", part, Name(place.slot));
  return fmt::format("{}{}{}.{}", part, kLayerPrefix, place.layer, Name(place.slot));
}

std::optional<int64_t> LayerOf(std::string_view tensor_name) {
  if (!tensor_name.starts_with(kLayerPrefix)) return std::nullopt;
  const std::string_view rest = tensor_name.substr(kLayerPrefix.size());
  return ParseInt64(rest.substr(0, rest.find('.')));
}

Status WriteWeight(artifact::ArtifactWriter& writer, kernels::Memory& memory,
                   const WeightPlace& place, const Weight& weight) {
  ArtifactTensor tensor;
  tensor.name = ArtifactName(place);
  const std::byte* bytes = weight.matrix.bytes();
  if (weight.matrix.rows() > 0) {
    tensor.matrix = weight.matrix.spec();
    tensor.size_bytes = static_cast<int64_t>(weight.matrix.size_bytes());
  } else {
    bytes = weight.vector.as<const std::byte>();
    tensor.elements = weight.vector.shape().elements();
    tensor.size_bytes = static_cast<int64_t>(weight.vector.size_bytes());
  }
  return writer.Append(std::move(tensor), [&](int64_t offset, std::span<std::byte> out) {
    return memory.CopyToHost(out.data(), bytes + offset, out.size());
  });
}

Result<Weights> LoadArtifactWeights(const ModelDescription& model,
                                    const std::shared_ptr<const MappedArtifact>& artifact,
                                    kernels::Backend& backend, const LoadOptions& options) {
  return ArtifactLoader(model, artifact, backend, options).Load();
}

}  // namespace dray::model
