// Reads the results of transformers for one of the committed tiny encoders
// (tests/golden/make_encoder_goldens.py).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace dray::testing {

struct GoldenText {
  std::vector<int32_t> ids;
  std::vector<int32_t> types;  // [ids.size()]
  std::vector<float> states;   // [ids.size(), hidden]
  std::vector<float> classes;  // [labels]; empty if the model has no classes
};

struct GoldenEncoder {
  std::filesystem::path dir;
  std::vector<GoldenText> texts;
};

// The committed variants' names, sorted.
std::vector<std::string> GoldenEncoderVariants();
// Ends the test program if the files are wrong.
GoldenEncoder ReadGoldenEncoder(const std::string& variant);

}  // namespace dray::testing
