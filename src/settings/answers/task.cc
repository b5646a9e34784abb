#include "settings/answers/task.h"

#include <algorithm>
#include <string>
#include <utility>

namespace dray::settings {

std::optional<Task> ParseTask(std::string_view text) {
  constexpr std::pair<std::string_view, Task> kNames[] = {
      {"auto", Task::kAuto},
      {"text-generation", Task::kTextGeneration},
      {"generate", Task::kTextGeneration},
      {"text2text-generation", Task::kTextToText},
      {"summarization", Task::kTextToText},
      {"translation", Task::kTextToText},
      {"text-embedding", Task::kTextEmbedding},
      {"sentence-similarity", Task::kTextEmbedding},
      {"embedding", Task::kTextEmbedding},
      {"embed", Task::kTextEmbedding},
      {"feature-extraction", Task::kFeatureExtraction},
      {"text-classification", Task::kTextClassification},
      {"sentiment-analysis", Task::kTextClassification},
      {"classify", Task::kTextClassification},
  };
  std::string name(text);
  std::replace(name.begin(), name.end(), '_', '-');
  for (const auto& [known, task] : kNames) {
    if (name == known) return task;
  }
  return std::nullopt;
}

}  // namespace dray::settings
