// What a model is for, as settings name it.
#pragma once

#include <optional>
#include <string_view>

namespace dray::settings {

enum class Task {
  kAuto,  // what the model's architecture is for
  kTextGeneration,
  kTextToText,          // a text that answers a text, of an encoder-decoder
  kTextEmbedding,       // a vector of each text
  kFeatureExtraction,   // the state of each token
  kTextClassification,  // the class of each text
};

// The values that ParseTask knows, for messages and documentation.
inline constexpr std::string_view kTasks =
    "auto, text-generation, text2text-generation, text-embedding, feature-extraction, "
    "text-classification";

// One of kTasks, or another program's name for it (generate, embed, sentiment-analysis, ...), with
// hyphens or underscores; nothing for other text.
std::optional<Task> ParseTask(std::string_view text);

}  // namespace dray::settings
