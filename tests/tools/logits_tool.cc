// Computes logits and tokens of a checkpoint, to compare them with other programs. Reads one JSON
// array of token ids per line, and prints for each {"logits_last": [...], "greedy": [...]}: the
// logits after the last token, and the tokens that the engine generates from there.
// tests/golden/compare_models.py runs it.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "base/parse/json.h"
#include "cli/flags/flags.h"
#include "engine/engine_core.h"
#include "engine/testing/sequence_scorer.h"

namespace dray::engine {
namespace {

struct Options {
  std::string model_dir, dtype = "f32", isa;
  int threads = 1, block_size = 32, chunk = 0, new_tokens = 32;
  bool together = false;
};

struct Answer {
  std::vector<float> logits_last;
  std::vector<int32_t> greedy;
};

using Prompts = std::vector<std::vector<int32_t>>;

class GreedySink : public EventSink {
 public:
  explicit GreedySink(std::vector<int32_t>& tokens) : tokens_(tokens) {}
  void OnEvent(Event event) override {
    if (const auto* token = std::get_if<TokenEvent>(&event)) tokens_.push_back(token->token.id);
    if (const auto* end = std::get_if<RequestEndEvent>(&event)) status = end->status;
  }
  Status status;

 private:
  std::vector<int32_t>& tokens_;
};

Result<kernels::WeightFormat> ParseFormat(const std::string& name) {
  if (name == "f32") return kernels::WeightFormat::kF32;
  if (name == "f16") return kernels::WeightFormat::kF16;
  if (name == "bf16") return kernels::WeightFormat::kBF16;
  return Status(StatusCode::kInvalidArgument,
                fmt::format("--dtype is {}: it must be f32, f16, bf16 or auto", name));
}

// The format that the engine's own cache has with such weights.
DType KvType(kernels::WeightFormat format) {
  if (format == kernels::WeightFormat::kF16) return DType::kF16;
  return format == kernels::WeightFormat::kBF16 ? DType::kBF16 : DType::kF32;
}

Result<std::vector<int32_t>> ParsePrompt(const std::string& line, int64_t vocab) {
  const auto wrong = [](const std::string& why) {
    return Status(StatusCode::kInvalidArgument, "a prompt " + why);
  };
  DRAY_ASSIGN_OR_RETURN(const Json json, Json::Parse(line));
  const Json::Array* array = json.AsArray();
  if (array == nullptr || array->empty()) return wrong("must be a list of token ids");
  std::vector<int32_t> ids;
  for (const Json& value : *array) {
    const auto id = value.AsInt64();
    if (!id || *id < 0 || *id >= vocab) return wrong(fmt::format("has ids outside [0, {})", vocab));
    ids.push_back(static_cast<int32_t>(*id));
  }
  return ids;
}

Result<std::unique_ptr<EngineCore>> MakeCore(LoadedModel& model, int64_t longest,
                                             const Options& options) {
  EngineOptions engine;
  engine.block_size = options.block_size;
  engine.max_context_tokens = longest;
  if (options.chunk > 0) engine.max_prefill_chunk_tokens = options.chunk;
  return EngineCore::Make(model, engine);
}

// Generates greedy tokens for prompts [first, last) in one batch.
Status Generate(EngineCore& core, const Prompts& prompts, size_t first, size_t last,
                int64_t new_tokens, std::vector<Answer>& answers) {
  std::vector<std::shared_ptr<GreedySink>> sinks;
  const int64_t limit = core.limits().max_context_tokens;
  for (size_t i = first; i < last; ++i) {
    GenerateRequest request;
    request.prompt = prompts[i];
    const auto length = static_cast<int64_t>(prompts[i].size());
    request.params.max_new_tokens = std::min(new_tokens, limit - length);
    request.params.ignore_eos = true;
    if (request.params.max_new_tokens <= 0) continue;
    DRAY_RETURN_IF_ERROR(core.Validate(request));
    sinks.push_back(std::make_shared<GreedySink>(answers[i].greedy));
    core.Add(RequestId(i + 1), std::move(request), sinks.back());
  }
  while (core.Step()) {
  }
  for (const auto& sink : sinks) DRAY_RETURN_IF_ERROR(sink->status);
  return core.CheckIntegrity();
}

Result<std::vector<Answer>> Compute(LoadedModel& model, const Prompts& prompts,
                                    const Options& options) {
  std::vector<Answer> answers(prompts.size());
  int64_t longest = 1;
  for (const auto& prompt : prompts) {
    longest = std::max(longest, static_cast<int64_t>(prompt.size()));
  }
  const int64_t most = model.description.config.stack.max_positions;
  if (longest > most) {
    return Status(
        StatusCode::kInvalidArgument,
        fmt::format("a prompt has {} tokens; the model's positions end at {}", longest, most));
  }
  DRAY_ASSIGN_OR_RETURN(SequenceScorer scorer,
                        SequenceScorer::Make(model, {.max_tokens = longest,
                                                     .chunk_tokens = options.chunk,
                                                     .block_size = options.block_size,
                                                     .kv_dtype = KvType(model.format.format)}));
  for (size_t i = 0; i < prompts.size(); ++i) {
    const auto last = static_cast<int32_t>(prompts[i].size()) - 1;
    DRAY_ASSIGN_OR_RETURN(answers[i].logits_last, scorer.Logits(prompts[i], {&last, 1}));
  }
  const int64_t context = std::min(most, longest + options.new_tokens);
  DRAY_ASSIGN_OR_RETURN(const auto core, MakeCore(model, context, options));
  const size_t step = options.together ? std::max<size_t>(prompts.size(), 1) : 1;
  for (size_t i = 0; i < prompts.size(); i += step) {
    DRAY_RETURN_IF_ERROR(Generate(*core, prompts, i, i + step, options.new_tokens, answers));
  }
  return answers;
}

void Print(const Answer& answer) {
  Json logits = Json::MakeArray();
  for (const float value : answer.logits_last) logits.Append(value);
  Json greedy = Json::MakeArray();
  for (const int32_t id : answer.greedy) greedy.Append(static_cast<int64_t>(id));
  Json line = Json::MakeObject();
  line.Set("logits_last", std::move(logits));
  line.Set("greedy", std::move(greedy));
  fmt::print("{}\n", line.Dump());
}

Status Run(const Options& options) {
  LoadModelOptions load;
  load.model_dir = options.model_dir;
  load.backend_options.cpu.num_threads = options.threads;
  load.backend_options.cpu.isa = options.isa;
  if (options.dtype != "auto") {
    DRAY_ASSIGN_OR_RETURN(load.format, ParseFormat(options.dtype));
  }
  DRAY_ASSIGN_OR_RETURN(const auto model, LoadModel(load));
  Prompts prompts;
  for (std::string line; std::getline(std::cin, line);) {
    DRAY_ASSIGN_OR_RETURN(auto ids, ParsePrompt(line, model->description.config.vocab_size));
    prompts.push_back(std::move(ids));
  }
  DRAY_ASSIGN_OR_RETURN(const auto answers, Compute(*model, prompts, options));
  for (const Answer& answer : answers) Print(answer);
  return OkStatus();
}

}  // namespace
}  // namespace dray::engine

int main(int argc, char** argv) {
  dray::engine::Options options;
  const auto exit_code = dray::cli::ParseFlags(
      "Prints last logits and greedy tokens of token-id prompts read from stdin.",
      {{.names = "model_dir",
        .target = &options.model_dir,
        .help = "directory of the checkpoint",
        .is_required = true},
       {.names = "--dtype",
        .target = &options.dtype,
        .help = "f32, f16, bf16, or auto: as the files hold it"},
       {.names = "--isa", .target = &options.isa, .help = "one of those that DRAY_ISA names"},
       {.names = "--threads", .target = &options.threads, .help = "threads of the backend"},
       {.names = "--block-size",
        .target = &options.block_size,
        .help = "tokens in a block of the cache"},
       {.names = "--chunk", .target = &options.chunk, .help = "prompt tokens in a step; 0: all"},
       {.names = "--new-tokens",
        .target = &options.new_tokens,
        .help = "greedy tokens for each prompt"},
       {.names = "--together",
        .target = &options.together,
        .help = "generate for all prompts in one batch"}},
      argc, argv);
  if (exit_code) return *exit_code;
  const dray::Status status = dray::engine::Run(options);
  if (status.ok()) return 0;
  fmt::print(stderr, "logits_tool: {}\n", status.ToString());
  return 1;
}
