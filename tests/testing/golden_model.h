// Reads the results of transformers for one of the committed tiny models (tests/golden/README.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace dray::testing {

struct GoldenPrompt {
  std::vector<int32_t> ids;
  std::vector<int32_t> greedy;             // 64 tokens
  std::vector<int32_t> logit_positions;    // positions in the prompt
  std::vector<std::vector<float>> logits;  // one row for each position
};

struct GoldenModel {
  std::filesystem::path dir;
  double min_margin =
      0;  // the smallest gap of the two best logits over all greedy steps, over max |logit|
  std::vector<GoldenPrompt> prompts;
};

// The committed variants' names, sorted.
std::vector<std::string> GoldenVariants();
// Ends the test program if the files are wrong.
GoldenModel ReadGoldenModel(const std::string& variant);
// Reads golden.json and golden.safetensors of any folder.
GoldenModel ReadGoldenDir(const std::filesystem::path& dir);

}  // namespace dray::testing
