// Reads the results of transformers for one of the committed tiny encoder-decoders
// (tests/golden/make_encoder_decoder_goldens.py).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace dray::testing {

struct GoldenSource {
  std::vector<int32_t> ids;
  std::vector<float> states;    // [ids.size(), hidden]
  std::vector<int32_t> greedy;  // 40 tokens
  std::vector<float> logits;    // [2, vocab]: of the first and of the last of these tokens
  std::string text;             // of the variant "text" alone
  std::string answer;           // of the variant "text" alone
};

struct GoldenEncoderDecoder {
  std::filesystem::path dir;
  std::vector<GoldenSource> sources;
};

// The committed variants' names, sorted.
std::vector<std::string> GoldenEncoderDecoderVariants();
// Ends the test program if the files are wrong.
GoldenEncoderDecoder ReadGoldenEncoderDecoder(const std::string& variant);

}  // namespace dray::testing
