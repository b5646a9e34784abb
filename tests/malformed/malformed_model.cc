#include "malformed/malformed_model.h"

#include <unistd.h>

#include <array>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <utility>

#include "base/check.h"
#include "base/file.h"
#include "base/parse/json.h"
#include "base/parse/parse_number.h"
#include "base/testing/source_dir.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/testing/malformed_builders.h"

namespace dray::testing {
namespace {

namespace fs = std::filesystem;

const fs::path kSource = SourceDir();

fs::path Committed(const char* kind, const std::string& name) {
  return name == "demo" ? kSource / "models/demo" : kSource / "tests/golden" / kind / name;
}

constexpr uint64_t kMaxFileBytes = 1 << 24;

// A folder in memory if there is one, since thousands of folders are made and removed.
fs::path TemporaryPlace() {
  const fs::path memory = "/dev/shm";
  if (std::getenv("TMPDIR") == nullptr && ::access(memory.c_str(), W_OK) == 0) return memory;
  return fs::temp_directory_path();
}

fs::path NewFolder() {
  static int count = 0;
  const fs::path dir = TemporaryPlace() / ("dray_malformed_model_" + std::to_string(::getpid()) +
                                           "_" + std::to_string(++count));
  fs::remove_all(dir);
  fs::create_directories(dir);
  return dir;
}

// Links all files except those that belong to the golden data.
void LinkFiles(const fs::path& from, const fs::path& to) {
  for (const auto& entry : fs::directory_iterator(from)) {
    const fs::path name = entry.path().filename();
    if (name.string().starts_with("golden.") || name == "cases.json" || fs::exists(to / name))
      continue;
    fs::create_symlink(entry.path(), to / name);
  }
}

std::vector<std::string> Parts(const std::string& path) {
  std::vector<std::string> parts(1);
  for (const char c : path) {
    if (c == '/') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

Json* Member(Json& parent, const std::string& key) {
  if (Json::Array* array = parent.AsArray()) {
    const auto idx = static_cast<size_t>(ParseInt64(key).value());
    DRAY_CHECK(idx < array->size());
    return &(*array)[idx];
  }
  if (parent.AsObject() == nullptr) parent = Json::MakeObject();
  for (auto& [name, value] : *parent.AsObject()) {
    if (name == key) return &value;
  }
  parent.Set(key, nullptr);
  return &parent.AsObject()->back().second;
}

void Erase(Json& parent, const std::string& key) {
  if (Json::Array* array = parent.AsArray()) {
    array->erase(array->begin() + ParseInt64(key).value());
    return;
  }
  const size_t erased =
      std::erase_if(*parent.AsObject(), [&](const Json::Member& m) { return m.first == key; });
  DRAY_CHECK(erased > 0);
}

constexpr std::array<std::pair<DType, const char*>, 6> kDTypes = {{{DType::kF32, "F32"},
                                                                   {DType::kF16, "F16"},
                                                                   {DType::kBF16, "BF16"},
                                                                   {DType::kF64, "F64"},
                                                                   {DType::kU8, "U8"},
                                                                   {DType::kBool, "BOOL"}}};

std::string SafetensorsName(DType dtype) {
  for (const auto& [known, name] : kDTypes) {
    if (known == dtype) return name;
  }
  DRAY_CHECK(false);
  return "";
}

// The tensor's elements in row-major order, for any strides.
std::string DenseBytes(const checkpoint::TensorSource& tensor) {
  std::string bytes;
  const size_t size = SizeOf(tensor.dtype);
  for (int64_t i = 0; i < tensor.shape.elements(); ++i) {
    int64_t rest = i;
    int64_t offset = 0;
    for (int axis = tensor.shape.rank() - 1; axis >= 0; --axis) {
      offset += rest % tensor.shape[axis] * tensor.strides[static_cast<size_t>(axis)];
      rest /= tensor.shape[axis];
    }
    bytes.append(reinterpret_cast<const char*>(tensor.data) + static_cast<size_t>(offset) * size,
                 size);
  }
  return bytes;
}

}  // namespace

ModelFolder::ModelFolder(const std::string& model, const std::string& tokenizer)
    : dir_(NewFolder()) {
  LinkFiles(Committed("models", model), dir_);
  LinkFiles(Committed("tokenizers", tokenizer), dir_);
}

ModelFolder::~ModelFolder() {
  std::error_code ignored;
  fs::remove_all(dir_, ignored);
}

std::string ModelFolder::Read(const std::string& name) const {
  return ReadFile(dir_ / name, kMaxFileBytes).value();
}

void ModelFolder::Write(const std::string& name, std::string_view content) const {
  Remove(name);
  std::ofstream out(dir_ / name, std::ios::binary);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  DRAY_CHECK(out.good());
}

void ModelFolder::Remove(const std::string& name) const { fs::remove_all(dir_ / name); }

void ModelFolder::RemoveWeights() const {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(dir_)) {
    const std::string name = entry.path().filename();
    if (name.ends_with(".safetensors") || name.ends_with(".bin") || name.ends_with(".index.json"))
      found.push_back(entry.path());
  }
  for (const fs::path& path : found) fs::remove(path);
}

void ModelFolder::SetJson(const std::string& name, const std::string& path,
                          const std::optional<std::string>& raw) const {
  constexpr std::string_view kPlace = "@the place@";
  Json root = fs::exists(dir_ / name) ? Json::Parse(Read(name)).value() : Json::MakeObject();
  std::vector<std::string> parts = Parts(path);
  const std::string last = std::move(parts.back());
  parts.pop_back();
  Json* parent = &root;
  for (const std::string& part : parts) parent = Member(*parent, part);
  if (!raw) {
    Erase(*parent, last);
    return Write(name, root.Dump());
  }
  *Member(*parent, last) = kPlace;
  std::string text = root.Dump();
  const std::string quoted = "\"" + std::string(kPlace) + "\"";
  const size_t at = text.find(quoted);
  DRAY_CHECK(at != std::string::npos);
  Write(name, text.replace(at, quoted.size(), *raw));
}

std::string CaseName(std::string text) {
  for (char& c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return text;
}

std::vector<StoredTensor> ReadTensors(const std::string& model) {
  const auto checkpoint = checkpoint::Checkpoint::Open(Committed("models", model));
  // golden.safetensors is in the same folder, but the loader does not read it.
  std::vector<StoredTensor> tensors;
  for (const checkpoint::TensorSource& source : checkpoint.value().tensors()) {
    StoredTensor tensor{source.name, SafetensorsName(source.dtype), {}, DenseBytes(source)};
    for (int i = 0; i < source.shape.rank(); ++i) tensor.shape.push_back(source.shape[i]);
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

std::string SafetensorsOf(const std::vector<StoredTensor>& tensors, size_t padding) {
  Json header = Json::MakeObject();
  std::string data;
  for (const StoredTensor& tensor : tensors) {
    Json entry = Json::MakeObject({{"dtype", tensor.dtype}, {"shape", Json::MakeArray()}});
    for (const int64_t extent : tensor.shape) Member(entry, "shape")->Append(extent);
    const auto begin = static_cast<int64_t>(data.size());
    data += tensor.bytes;
    entry.Set("data_offsets", Json::Array{begin, static_cast<int64_t>(data.size())});
    header.Set(tensor.name, std::move(entry));
  }
  return checkpoint::SafetensorsFile(header.Dump() + std::string(padding, ' '), data);
}

}  // namespace dray::testing
