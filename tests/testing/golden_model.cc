#include "testing/golden_model.h"

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

const std::filesystem::path kModels = SourceDir() / "tests/golden/models";

std::vector<int32_t> Ints(const Json& json) {
  std::vector<int32_t> values;
  for (const Json& value : *json.AsArray())
    values.push_back(static_cast<int32_t>(*value.AsInt64()));
  return values;
}

std::vector<std::vector<float>> Rows(const checkpoint::TensorSource& tensor) {
  DRAY_CHECK(tensor.dtype == DType::kF32 && tensor.shape.rank() == 2);
  std::vector<std::vector<float>> rows;
  const auto width = static_cast<size_t>(tensor.shape[1]);
  for (int64_t i = 0; i < tensor.shape[0]; ++i) {
    rows.emplace_back(width);
    std::memcpy(rows.back().data(), tensor.data + static_cast<size_t>(i) * width * sizeof(float),
                width * sizeof(float));
  }
  return rows;
}

}  // namespace

std::vector<std::string> GoldenVariants() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kModels))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

GoldenModel ReadGoldenModel(const std::string& variant) { return ReadGoldenDir(kModels / variant); }

GoldenModel ReadGoldenDir(const std::filesystem::path& dir) {
  GoldenModel golden;
  golden.dir = dir;
  const Json json = Json::Parse(ReadFile(golden.dir / "golden.json", 1 << 24).value()).value();
  golden.min_margin = *json.Find("min_margin")->AsDouble();
  const MappedFile file = MappedFile::Open(golden.dir / "golden.safetensors").value();
  const auto content = checkpoint::ReadSafetensors(file.bytes(), "golden.safetensors").value();
  for (const Json& prompt : *json.Find("prompts")->AsArray()) {
    GoldenPrompt one;
    one.ids = Ints(*prompt.Find("ids"));
    one.greedy = Ints(*prompt.Find("greedy"));
    one.logit_positions = Ints(*prompt.Find("logit_positions"));
    for (const auto& tensor : content.tensors) {
      if (tensor.name == *prompt.Find("logits")->AsString()) one.logits = Rows(tensor);
    }
    DRAY_CHECK(one.logits.size() == one.logit_positions.size() && !one.logits.empty());
    golden.prompts.push_back(std::move(one));
  }
  return golden;
}

}  // namespace dray::testing
