#include "testing/golden_encoder.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/file.h"
#include "base/mapped_file.h"
#include "base/parse/json.h"
#include "base/testing/source_dir.h"
#include "checkpoint/safetensors.h"

namespace dray::testing {
namespace {

const std::filesystem::path kEncoders = SourceDir() / "tests/golden/encoders";

std::vector<int32_t> Ints(const Json& json) {
  std::vector<int32_t> values;
  for (const Json& value : *json.AsArray()) {
    values.push_back(static_cast<int32_t>(*value.AsInt64()));
  }
  return values;
}

// The f32 numbers of the tensor that `text` names under `key`; none if it names none.
template <typename Tensors>
std::vector<float> Floats(const Json& text, std::string_view key, const Tensors& tensors) {
  const Json* name = text.Find(key);
  std::vector<float> values;
  if (name == nullptr) return values;
  for (const auto& tensor : tensors) {
    if (tensor.name != *name->AsString()) continue;
    DRAY_CHECK(tensor.dtype == DType::kF32);
    values.resize(static_cast<size_t>(tensor.shape.elements()));
    std::memcpy(values.data(), tensor.data, values.size() * sizeof(float));
  }
  DRAY_CHECK(!values.empty());
  return values;
}

}  // namespace

std::vector<std::string> GoldenEncoderVariants() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kEncoders)) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

GoldenEncoder ReadGoldenEncoder(const std::string& variant) {
  GoldenEncoder golden;
  golden.dir = kEncoders / variant;
  const Json json = Json::Parse(ReadFile(golden.dir / "golden.json", 1 << 24).value()).value();
  const MappedFile file = MappedFile::Open(golden.dir / "golden.safetensors").value();
  const auto content = checkpoint::ReadSafetensors(file.bytes(), "golden.safetensors").value();
  for (const Json& text : *json.Find("texts")->AsArray()) {
    GoldenText one;
    one.ids = Ints(*text.Find("ids"));
    one.types = Ints(*text.Find("types"));
    one.states = Floats(text, "states", content.tensors);
    one.classes = Floats(text, "classes", content.tensors);
    golden.texts.push_back(std::move(one));
  }
  return golden;
}

}  // namespace dray::testing
