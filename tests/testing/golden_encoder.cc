#include "testing/golden_encoder.h"

#include <algorithm>
#include <utility>

#include "base/file.h"
#include "base/mapped_file.h"
#include "base/parse/json.h"
#include "base/testing/source_dir.h"
#include "checkpoint/safetensors.h"
#include "testing/golden_json.h"

namespace dray::testing {
namespace {

const std::filesystem::path kEncoders = SourceDir() / "tests/golden/encoders";

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
    one.ids = GoldenInts(*text.Find("ids"));
    one.types = GoldenInts(*text.Find("types"));
    one.states = GoldenFloats(text, "states", content.tensors);
    one.classes = GoldenFloats(text, "classes", content.tensors);
    golden.texts.push_back(std::move(one));
  }
  return golden;
}

}  // namespace dray::testing
