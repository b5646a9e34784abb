// How the vector of a text is made of the states of its tokens, as the files of sentence-transformers
// beside a checkpoint say: modules.json lists the steps, and each step has a folder with its
// configuration.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/parse/json.h"
#include "base/status.h"
#include "kernels/options.h"

namespace dray::model {

// What becomes one vector of the states of a text's tokens.
enum class PoolingMode : uint8_t {
  kCls,           // the first token's state
  kMax,           // of each dimension, the largest number
  kMean,          // the sum over the number of tokens
  kMeanSqrtLen,   // the sum over the square root of the number of tokens
  kWeightedMean,  // the mean with the weights 1, 2, 3, ...
  kLastToken,     // the last token's state
};

// A matrix that a vector is multiplied by.
struct DenseStep {
  std::filesystem::path folder;  // of its weights
  int64_t in_features = 0;
  int64_t out_features = 0;
  bool has_bias = true;
  kernels::Activation activation = kernels::Activation::kTanh;

  bool operator==(const DenseStep&) const = default;
};
// Makes the vector's length one.
struct NormalizeStep {
  bool operator==(const NormalizeStep&) const = default;
};
using SentenceStep = std::variant<DenseStep, NormalizeStep>;

struct SentenceConfig {
  std::filesystem::path model_dir;  // the folder of modules.json
  // The folder of config.json, weights and tokenizer.
  std::filesystem::path transformer_dir;
  std::optional<int64_t> width;  // of the states that the pooling is for; absent: any
  // The results of several modes stand one behind the other.
  std::vector<PoolingMode> pooling = {PoolingMode::kMean};
  std::vector<SentenceStep> steps;  // in their order
  // The most tokens of a text, special tokens included; absent: those that the model has positions
  // for.
  std::optional<int64_t> max_tokens;
  // Whether texts are written in lower case before they are tokenized.
  bool lower_case = false;
  // Put before every text.
  std::string prompt;

  // Of a text's vector, for a model of that width.
  int64_t vector_size(int64_t hidden) const;
  bool operator==(const SentenceConfig&) const = default;
};

// Reads the files of a model's folder. A folder without modules.json is a plain checkpoint: as
// sentence-transformers does, its vectors are the mean of the states. Refuses steps that dray does not
// compute, and sizes that do not fit each other; errors name file, key and value.
Result<SentenceConfig> ReadSentenceConfig(const std::filesystem::path& model_dir);

// The folder of config.json: `model_dir`, unless it has none and its modules.json names another one.
// Errors as of ReadSentenceConfig.
Result<std::filesystem::path> FindTransformerDir(const std::filesystem::path& model_dir);

// kInvalidArgument, naming the file, if the steps do not fit states of `hidden` numbers, or each other.
Status CheckSizes(const SentenceConfig& config, int64_t hidden);

// An entry of modules.json.
struct SentenceModule {
  std::string type;              // "Transformer", "Pooling", "Dense", "Normalize" or "Dropout"
  std::filesystem::path folder;  // relative to modules.json, and below its folder; may be empty
};
// The same with parsed files, which `where` names in errors.
Result<std::vector<SentenceModule>> ParseModules(const std::string& where, const Json& modules);
struct PoolingConfig {
  std::vector<PoolingMode> modes;
  std::optional<int64_t> width;  // of the states
  bool includes_prompt = true;
};
Result<PoolingConfig> ParsePooling(const std::string& where, const Json& pooling);
Result<DenseStep> ParseDense(const std::string& where, const Json& dense);

}  // namespace dray::model
