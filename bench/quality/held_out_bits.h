// How well a model with given number formats predicts held-out text: the measure that
// models/demo/README.md defines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/status.h"
#include "engine/runner/loaded_model.h"

namespace dray::bench {

struct Story {
  std::vector<int32_t> ids;
  size_t bytes = 0;  // of its text
};

// Splits the file at blank lines and encodes at most `most` parts with the model's tokenizer.
Result<std::vector<Story>> ReadStories(const std::filesystem::path& model_dir,
                                       const std::filesystem::path& text, size_t most);

// The bits of all tokens after the first one of each story, over the bytes of all stories. `kv` is
// the format of keys and values.
Result<double> BitsPerByte(engine::LoadModelOptions load, DType kv,
                           const std::vector<Story>& stories);

}  // namespace dray::bench
