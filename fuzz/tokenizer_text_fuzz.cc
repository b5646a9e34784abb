// Text: each kind of tokenizer accepts any bytes, and a byte-level one returns valid UTF-8
// unchanged.
#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/parse/json.h"
#include "base/testing/source_dir.h"
#include "tokenizer/tokenizer.h"

namespace {

using dray::tokenizer::Tokenizer;

std::vector<std::unique_ptr<Tokenizer>> LoadAll() {
  std::vector<std::unique_ptr<Tokenizer>> all;
  for (const char* name : {"gpt2", "llama2", "bert", "t5", "qwen2"}) {
    const auto dir = dray::SourceDir() / "tests/golden/tokenizers" / name;
    auto tokenizer = Tokenizer::Load(dir);
    DRAY_CHECK(tokenizer.ok());
    all.push_back(std::move(tokenizer).value());
  }
  return all;
}

bool IsUtf8(std::string_view text) {
  return dray::Json::Parse(dray::Json(text).Dump()).value() == dray::Json(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<std::unique_ptr<Tokenizer>> tokenizers = LoadAll();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (size_t i = 0; i < tokenizers.size(); ++i) {
    const auto ids = tokenizers[i]->Encode(text, {.add_special_tokens = false});
    if (!ids.ok()) continue;
    const std::string back = tokenizers[i]->Decode(*ids, {.skip_special_tokens = false});
    if (i == 0 && IsUtf8(text)) DRAY_CHECK(back == text);
  }
  return 0;
}
