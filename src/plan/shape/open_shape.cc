#include "plan/shape/open_shape.h"

#include <fmt/format.h>

#include "artifact/manifest.h"
#include "base/file.h"
#include "checkpoint/weight_files.h"
#include "model/describe/model_description.h"
#include "model/describe/model_files.h"
#include "plan/shape/decoder_shape.h"
#include "plan/shape/shipped_shapes.h"
#include "plan/shape/stored_forms.h"
#include "plan/shape/t5_shape.h"

namespace dray::plan {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxConfigBytes = uint64_t{16} << 20;

std::string ModelTypeOf(const Json& config) {
  const Json* type = config.Find("model_type");
  const std::string* text = type == nullptr ? nullptr : type->AsString();
  return text == nullptr ? "" : *text;
}

Result<Json> ReadJson(const fs::path& path) {
  DRAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  auto json = Json::Parse(text);
  if (!json.ok()) return json.status().WithPrefix(path.string());
  return json;
}

// Refuses models that are encoders alone: plans are for the steps of generation.
Result<std::unique_ptr<ModelShape>> MakeShape(model::ModelDescription description) {
  DRAY_RETURN_IF_ERROR(CheckKind(description.config, model::ModelKind::kDecoder));
  return MakeDecoderShape(std::move(description));
}

// A folder, an artifact or a GGUF file of a decoder, or a folder of an encoder-decoder model.
Result<std::unique_ptr<ModelShape>> OpenPath(const fs::path& path) {
  if (path.extension() == ".json") {
    DRAY_ASSIGN_OR_RETURN(const Json config, ReadJson(path));
    return ReadShape(path.string(), config);
  }
  std::error_code ignored;
  if (fs::exists(path / "config.json", ignored)) {
    DRAY_ASSIGN_OR_RETURN(const Json config, ReadJson(path / "config.json"));
    if (IsT5(ModelTypeOf(config))) return ReadShape((path / "config.json").string(), config);
  }
  if (artifact::IsArtifact(path)) {
    DRAY_ASSIGN_OR_RETURN(auto stored, FormsOfArtifact(path));
    DRAY_RETURN_IF_ERROR(CheckKind(stored->facts().description.config, model::ModelKind::kDecoder));
    return MakeDecoderShape(std::move(stored));
  }
  if (!checkpoint::FindWeightFiles(path).ok()) {
    DRAY_ASSIGN_OR_RETURN(auto description, model::DescribeModelFiles(path));
    return MakeShape(std::move(description));
  }
  DRAY_ASSIGN_OR_RETURN(auto files, model::OpenModelFiles(path));
  DRAY_RETURN_IF_ERROR(CheckKind(files.description.config, model::ModelKind::kDecoder));
  DRAY_ASSIGN_OR_RETURN(auto stored, FormsOfCheckpoint(std::move(files)));
  return MakeDecoderShape(std::move(stored));
}

// The last part of the path that says something.
std::string NameOf(const fs::path& path) {
  const fs::path whole = fs::absolute(path).lexically_normal();
  const fs::path file = whole.has_filename() ? whole : whole.parent_path();
  if (file.filename() == "config.json") return file.parent_path().filename().string();
  if (file.extension() == ".json" || file.extension() == ".gguf") return file.stem().string();
  return file.filename().string();
}

std::string KnownShapes() {
  std::string names;
  for (const ShippedShape& shape : ShippedShapes()) {
    names.append(names.empty() ? "" : ", ").append(shape.name);
  }
  return names;
}

}  // namespace

Result<std::unique_ptr<ModelShape>> ReadShape(const std::string& where, const Json& config) {
  const std::string type = ModelTypeOf(config);
  if (IsT5(type)) return ReadT5Shape(where, config);
  // Errors name "config.json" behind the place.
  const std::string folder = where.ends_with("config.json")
                                 ? where.substr(0, where.size() - std::string("config.json").size())
                                 : where + ": ";
  DRAY_ASSIGN_OR_RETURN(auto description, model::DescribeModel(folder, config, Json()));
  return MakeShape(std::move(description));
}

Result<std::unique_ptr<ModelShape>> OpenShape(const std::string& model) {
  std::error_code ignored;
  if (fs::exists(model, ignored)) {
    DRAY_ASSIGN_OR_RETURN(auto shape, OpenPath(model));
    shape->SetName(NameOf(model));
    return shape;
  }
  const ShippedShape* const shipped = FindShippedShape(model);
  if (shipped == nullptr) {
    return Status(
        StatusCode::kNotFound,
        fmt::format("{}: there is no such file or folder, and no shape of that name; give a "
                    "config.json, a model's folder, a .gguf file, or one of {}",
                    model, KnownShapes()));
  }
  DRAY_ASSIGN_OR_RETURN(const Json config, Json::Parse(shipped->config));
  DRAY_ASSIGN_OR_RETURN(auto shape, ReadShape(std::string(shipped->name), config));
  shape->SetName(std::string(shipped->name));
  return shape;
}

}  // namespace dray::plan
