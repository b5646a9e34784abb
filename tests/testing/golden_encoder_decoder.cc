#include "testing/golden_encoder_decoder.h"

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

const std::filesystem::path kVariants = SourceDir() / "tests/golden/encoder_decoders";

// The text under `key`; "" if there is none.
std::string Text(const Json& object, std::string_view key) {
  const Json* text = object.Find(key);
  return text == nullptr ? "" : *text->AsString();
}

}  // namespace

std::vector<std::string> GoldenEncoderDecoderVariants() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kVariants)) {
    if (entry.is_directory()) names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

GoldenEncoderDecoder ReadGoldenEncoderDecoder(const std::string& variant) {
  GoldenEncoderDecoder golden;
  golden.dir = kVariants / variant;
  const Json json = Json::Parse(ReadFile(golden.dir / "golden.json", 1 << 24).value()).value();
  const MappedFile file = MappedFile::Open(golden.dir / "golden.safetensors").value();
  const auto content = checkpoint::ReadSafetensors(file.bytes(), "golden.safetensors").value();
  for (const Json& source : *json.Find("sources")->AsArray()) {
    GoldenSource one;
    one.ids = GoldenInts(*source.Find("ids"));
    one.greedy = GoldenInts(*source.Find("greedy"));
    one.states = GoldenFloats(source, "states", content.tensors);
    one.logits = GoldenFloats(source, "logits", content.tensors);
    one.text = Text(source, "text");
    one.answer = Text(source, "answer");
    golden.sources.push_back(std::move(one));
  }
  return golden;
}

}  // namespace dray::testing
