#include "artifact/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "artifact/checksum.h"
#include "artifact/fields.h"
#include "base/checked_math.h"
#include "base/file.h"

namespace dray::artifact {
namespace {

using kernels::MatrixSpec;
using kernels::WeightForm;
using kernels::WeightFormat;

constexpr std::string_view kFormatName = "dray artifact";
constexpr int64_t kVersion = 1;
// A model of 350 GB has about 85,000 chunks, each a line of 22 bytes.
constexpr uint64_t kMaxManifestBytes = uint64_t{256} << 20;
constexpr int64_t kMost = int64_t{1} << 50;  // bytes of a file, and numbers along an axis
constexpr int64_t kLeastChunkBytes = 4096, kMostChunkBytes = int64_t{1} << 30;
constexpr std::array kFormats = {WeightFormat::kF32, WeightFormat::kF16, WeightFormat::kBF16,
                                 WeightFormat::kI8, WeightFormat::kI4};

// What stands around the digits of the checksum at the text's end.
constexpr std::string_view kBeforeChecksum = ",\n \"checksum\": \"", kAfterChecksum = "\"\n}\n";
constexpr size_t kChecksumDigits = 16;
constexpr size_t kTailBytes = kBeforeChecksum.size() + kChecksumDigits + kAfterChecksum.size();

Json FilesJson(const std::vector<ArtifactFile>& files) {
  Json list = Json::MakeArray();
  for (const ArtifactFile& file : files) {
    list.Append(Json::MakeObject({{"name", file.name},
                                  {"bytes", file.size_bytes},
                                  {"checksum", ChecksumText(file.checksum)}}));
  }
  return list;
}

Json DataJson(const ArtifactData& data) {
  Json checksums = Json::MakeArray();
  for (const uint64_t checksum : data.checksums) checksums.Append(ChecksumText(checksum));
  return Json::MakeObject({{"name", kDataName},
                           {"bytes", data.size_bytes},
                           {"chunk_bytes", data.chunk_bytes},
                           {"checksums", std::move(checksums)}});
}

Json TensorJson(const ArtifactTensor& tensor) {
  Json json = Json::MakeObject(
      {{"name", tensor.name}, {"offset", tensor.offset}, {"bytes", tensor.size_bytes}});
  if (!tensor.matrix) {
    json.Set("elements", tensor.elements);
    return json;
  }
  const MatrixSpec& spec = *tensor.matrix;
  json.Set("rows", spec.rows);
  json.Set("cols", spec.cols);
  json.Set("form", FormJson({spec.format, spec.group, spec.zero, spec.inputs}));
  if (spec.input_scale > 0) json.Set("input_scale", spec.input_scale);
  return json;
}

bool IsControl(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

// Whether the name leads nowhere but into the artifact's own folder and the folders below it.
bool StaysInside(std::string_view name) {
  constexpr size_t kMostBytes = 255;
  if (name.size() > kMostBytes || std::any_of(name.begin(), name.end(), IsControl)) return false;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") return false;
    begin = end + 1;
  }
  return true;
}

Result<std::vector<ArtifactFile>> ParseFiles(const Fields& manifest) {
  DRAY_ASSIGN_OR_RETURN(const Json::Array* list, manifest.List("files"));
  std::vector<ArtifactFile> files;
  std::set<std::string> names = {kManifestName, kDataName};
  for (const Json& json : *list) {
    const Fields fields(json, fmt::format("{}: files[{}]", manifest.where(), files.size()));
    ArtifactFile& file = files.emplace_back();
    DRAY_ASSIGN_OR_RETURN(file.name, fields.Text("name"));
    if (!StaysInside(file.name) || !names.insert(file.name).second) {
      return fields.Refuse("name", "a file in the artifact's folder or below it, each once");
    }
    DRAY_ASSIGN_OR_RETURN(file.size_bytes, fields.Integer("bytes", 0, kMost));
    DRAY_ASSIGN_OR_RETURN(file.checksum, fields.ChecksumOf("checksum"));
  }
  return files;
}

Result<ArtifactData> ParseData(const Fields& manifest) {
  DRAY_ASSIGN_OR_RETURN(const Json* json, manifest.Object("data"));
  const Fields fields(*json, manifest.where() + ": data");
  ArtifactData data;
  DRAY_ASSIGN_OR_RETURN(const std::string name, fields.Text("name"));
  if (name != kDataName) return fields.Refuse("name", kDataName);
  DRAY_ASSIGN_OR_RETURN(data.size_bytes, fields.Integer("bytes", 1, kMost));
  DRAY_ASSIGN_OR_RETURN(data.chunk_bytes,
                        fields.Integer("chunk_bytes", kLeastChunkBytes, kMostChunkBytes));
  DRAY_ASSIGN_OR_RETURN(const Json::Array* list, fields.List("checksums"));
  const int64_t wanted = DivideRoundUp(data.size_bytes, data.chunk_bytes);
  if (static_cast<int64_t>(list->size()) != wanted) {
    return fields.Refuse("checksums", fmt::format("a list of {}, one for each chunk", wanted));
  }
  for (const Json& text : *list) {
    const std::string* digits = text.AsString();
    const auto checksum = digits == nullptr ? std::nullopt : ParseChecksum(*digits);
    if (!checksum) return fields.Refuse("checksums", "16 hexadecimal digits for each chunk");
    data.checksums.push_back(*checksum);
  }
  return data;
}

Result<MatrixSpec> ParseMatrix(const Fields& fields) {
  DRAY_ASSIGN_OR_RETURN(const int64_t rows, fields.Integer("rows", 1, kMost));
  DRAY_ASSIGN_OR_RETURN(const int64_t cols, fields.Integer("cols", 1, kMost));
  DRAY_ASSIGN_OR_RETURN(const Json* json, fields.Object("form"));
  DRAY_ASSIGN_OR_RETURN(const WeightForm form, ParseForm(*json, fields.where() + ".form"));
  MatrixSpec spec = MatrixSpec::Of(rows, cols, form);
  if (fields.Has("input_scale")) {
    DRAY_ASSIGN_OR_RETURN(const double scale, fields.Number("input_scale"));
    spec.input_scale = static_cast<float>(scale);
    if (!(spec.input_scale > 0)) return fields.Refuse("input_scale", "a positive number");
  }
  return spec;
}

Result<ArtifactTensor> ParseTensor(const Fields& fields, const ArtifactData& data,
                                   int64_t first_offset) {
  ArtifactTensor tensor;
  DRAY_ASSIGN_OR_RETURN(tensor.name, fields.Text("name"));
  DRAY_ASSIGN_OR_RETURN(tensor.offset, fields.Integer("offset", first_offset, data.size_bytes));
  if (tensor.offset % kTensorAlignment != 0) {
    return fields.Refuse("offset", fmt::format("a multiple of {}", kTensorAlignment));
  }
  DRAY_ASSIGN_OR_RETURN(tensor.size_bytes,
                        fields.Integer("bytes", 1, data.size_bytes - tensor.offset));
  if (fields.Has("rows")) {
    DRAY_ASSIGN_OR_RETURN(tensor.matrix, ParseMatrix(fields));
    return tensor;
  }
  DRAY_ASSIGN_OR_RETURN(tensor.elements, fields.Integer("elements", 1, kMost));
  if (tensor.size_bytes != tensor.elements * static_cast<int64_t>(sizeof(float))) {
    return fields.Refuse("bytes", "four for each element");
  }
  return tensor;
}

Result<std::vector<ArtifactTensor>> ParseTensors(const Fields& manifest, const ArtifactData& data) {
  DRAY_ASSIGN_OR_RETURN(const Json::Array* list, manifest.List("tensors"));
  std::vector<ArtifactTensor> tensors;
  std::set<std::string> names;
  int64_t end = 0;
  for (const Json& json : *list) {
    const Fields fields(json, fmt::format("{}: tensors[{}]", manifest.where(), tensors.size()));
    DRAY_ASSIGN_OR_RETURN(tensors.emplace_back(), ParseTensor(fields, data, end));
    const ArtifactTensor& tensor = tensors.back();
    if (!names.insert(tensor.name).second) return fields.Refuse("name", "no other tensor's name");
    end = tensor.offset + tensor.size_bytes;
  }
  return tensors;
}

Status NotAsWritten(const std::string& where) {
  return {StatusCode::kCorrupt,
          fmt::format("{}: the file is incomplete or was changed; write the artifact again with "
                      "dray partition",
                      where)};
}

// The text without its checksum, which must be right.
Result<std::string_view> CheckTail(std::string_view text, const std::string& where) {
  if (text.size() < kTailBytes) return NotAsWritten(where);
  const std::string_view body = text.substr(0, text.size() - kTailBytes);
  std::string_view tail = text.substr(body.size());
  const std::string expected =
      fmt::format("{}{}{}", kBeforeChecksum, ChecksumText(Checksum(body)), kAfterChecksum);
  if (tail != expected) return NotAsWritten(where);
  return body;
}

}  // namespace

bool IsArtifact(const std::filesystem::path& folder) { return HasEntry(folder / kManifestName); }

Status CheckNotWithoutManifest(const std::filesystem::path& folder) {
  if (IsArtifact(folder) || !HasEntry(folder / kDataName)) return OkStatus();
  return {
      StatusCode::kNotFound,
      fmt::format("{}: there is no such file, and {} beside it cannot be read without it; copy the "
                  "artifact once more, or make it again with dray partition",
                  (folder / kManifestName).string(), kDataName)};
}

Json FormJson(const WeightForm& form) {
  Json json = Json::MakeObject({{"format", Name(form.format)}, {"group", form.group}});
  if (form.zero == kernels::ZeroPoint::kPerGroup) json.Set("zero_points", true);
  if (form.inputs == kernels::Inputs::kFloat) json.Set("float_inputs", true);
  return json;
}

Result<WeightForm> ParseForm(const Json& json, const std::string& where) {
  const Fields fields(json, where);
  DRAY_ASSIGN_OR_RETURN(const std::string name, fields.Text("format"));
  const auto* const format =
      std::find_if(kFormats.begin(), kFormats.end(),
                   [&](WeightFormat candidate) { return Name(candidate) == name; });
  if (format == kFormats.end()) return fields.Refuse("format", "f32, f16, bf16, int8 or int4");
  WeightForm form = *format;
  DRAY_ASSIGN_OR_RETURN(form.group, fields.Integer("group", 0, kernels::kLargestGroup));
  if (fields.Has("zero_points")) form.zero = kernels::ZeroPoint::kPerGroup;
  if (fields.Has("float_inputs")) form.inputs = kernels::Inputs::kFloat;
  return form;
}

std::string FormatManifest(const Manifest& manifest) {
  Json tensors = Json::MakeArray();
  for (const ArtifactTensor& tensor : manifest.tensors) tensors.Append(TensorJson(tensor));
  const Json json = Json::MakeObject({{"format", kFormatName},
                                      {"version", kVersion},
                                      {"layout", manifest.layout},
                                      {"packed_on", manifest.packed_on},
                                      {"model", manifest.model},
                                      {"files", FilesJson(manifest.files)},
                                      {"data", DataJson(manifest.data)},
                                      {"tensors", std::move(tensors)}});
  std::string text = json.Dump(1);
  text.resize(text.size() - 2);  // the line break and the brace at the end
  return fmt::format("{}{}{}{}", text, kBeforeChecksum, ChecksumText(Checksum(text)),
                     kAfterChecksum);
}

Result<Manifest> ParseManifest(std::string_view text, const std::string& where) {
  DRAY_ASSIGN_OR_RETURN(const std::string_view body, CheckTail(text, where));
  auto json = Json::Parse(std::string(body) + "}", {.duplicates = JsonDuplicates::kRefuse});
  if (!json.ok()) return Status(StatusCode::kCorrupt, where + ": " + json.status().message());
  const Fields fields(*json, where);
  DRAY_ASSIGN_OR_RETURN(const std::string format, fields.Text("format"));
  if (format != kFormatName) return fields.Refuse("format", kFormatName);
  DRAY_ASSIGN_OR_RETURN(const int64_t version, fields.Integer("version", 1, kMost));
  if (version != kVersion) {
    return Status(
        StatusCode::kUnsupported,
        fmt::format("{}: version {} of the format, but this build reads version {}; write "
                    "the artifact again with this build's dray partition",
                    where, version, kVersion));
  }
  Manifest manifest;
  DRAY_ASSIGN_OR_RETURN(manifest.layout, fields.Text("layout"));
  DRAY_ASSIGN_OR_RETURN(manifest.packed_on, fields.Text("packed_on"));
  DRAY_ASSIGN_OR_RETURN(const Json* model, fields.Object("model"));
  manifest.model = *model;
  DRAY_ASSIGN_OR_RETURN(manifest.files, ParseFiles(fields));
  DRAY_ASSIGN_OR_RETURN(manifest.data, ParseData(fields));
  DRAY_ASSIGN_OR_RETURN(manifest.tensors, ParseTensors(fields, manifest.data));
  return manifest;
}

Result<Manifest> ReadManifest(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kManifestName;
  DRAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxManifestBytes));
  return ParseManifest(text, path.string());
}

}  // namespace dray::artifact
