#include "held_out_bits.h"

#include <cmath>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/file.h"
#include "engine/engine_core.h"
#include "tokenizer/tokenizer.h"

namespace dray::bench {
namespace {

// Adds up the log-probabilities of a prompt's tokens.
class Scorer : public engine::EventSink {
 public:
  void OnEvent(engine::Event event) override {
    if (const auto* prompt = std::get_if<engine::PromptEvent>(&event)) {
      for (const float logprob : prompt->logprobs) nats -= static_cast<double>(logprob);
    }
  }
  double nats = 0;
};

std::vector<std::string_view> SplitAtBlankLines(std::string_view text) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = text.find("\n\n");
    std::string_view part = text.substr(0, end);
    while (part.ends_with('\n')) part.remove_suffix(1);
    if (!part.empty()) parts.push_back(part);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 2);
  }
  return parts;
}

}  // namespace

Result<std::vector<Story>> ReadStories(const std::filesystem::path& model_dir,
                                       const std::filesystem::path& text_file, size_t most) {
  DRAY_ASSIGN_OR_RETURN(const auto tokenizer, tokenizer::Tokenizer::Load(model_dir));
  DRAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(text_file, uint64_t{1} << 30));
  std::vector<Story> stories;
  for (const std::string_view part : SplitAtBlankLines(text)) {
    if (stories.size() == most) break;
    Story story;
    DRAY_ASSIGN_OR_RETURN(story.ids, tokenizer->Encode(part, {}));
    if (tokenizer->eos_id()) story.ids.push_back(*tokenizer->eos_id());
    story.bytes = part.size();
    stories.push_back(std::move(story));
  }
  return stories;
}

Result<double> BitsPerByte(engine::LoadModelOptions load, DType kv,
                           const std::vector<Story>& stories) {
  load.int8_cache = kv == DType::kI8;
  DRAY_ASSIGN_OR_RETURN(auto model, engine::LoadModel(load));
  DRAY_ASSIGN_OR_RETURN(auto core,
                        engine::EngineCore::Make(*model, {.max_sequences = 8, .kv_dtype = kv}));
  double nats = 0;
  size_t bytes = 0;
  uint64_t id = 0;
  for (const Story& story : stories) {
    engine::GenerateRequest request;
    request.prompt = story.ids;
    request.params.max_new_tokens = 1;
    request.params.prompt_logprobs = 0;
    DRAY_RETURN_IF_ERROR(core->Validate(request));
    const auto scorer = std::make_shared<Scorer>();
    core->Add(RequestId(++id), std::move(request), scorer);
    while (core->Step()) {
    }
    nats += scorer->nats;
    bytes += story.bytes;
  }
  return nats / std::log(2.0) / static_cast<double>(bytes);
}

}  // namespace dray::bench
