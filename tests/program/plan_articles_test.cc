// docs/plan-articles.md is what the planner says of the configurations that others have published
// figures for. The page is made here, so that a change of the planner shows in it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/human.h"
#include "base/testing/source_dir.h"
#include "plan/devices/parse_machines.h"
#include "plan/planner.h"
#include "plan/report/words.h"
#include "plan/shape/open_shape.h"

namespace dray::plan {
namespace {

using kernels::WeightFormat;

struct Published {
  std::optional<double> request_seconds = std::nullopt;
  std::optional<double> token_seconds = std::nullopt;
  std::optional<double> load_seconds = std::nullopt;
  std::string in_words = "";  // in place of a number
};

struct Configuration {
  std::string title;
  std::string model;
  std::string devices;
  Degrees degrees;
  WeightFormat format;
  Workload workload;
  std::string server;
  Published published;
};

// Prompts of a few words, as the articles show them; lengths are stated only for answers.
constexpr int64_t kShortPrompt = 32;

constexpr Workload kFourOf256 = {
    .batch = 4, .prompt_tokens = kShortPrompt, .new_tokens = 256, .context_tokens = 512};
constexpr Workload kTwoOf256 = {
    .batch = 2, .prompt_tokens = kShortPrompt, .new_tokens = 256, .context_tokens = 2048};
constexpr Workload kOneOf100 = {
    .batch = 1, .prompt_tokens = 200, .new_tokens = 100, .context_tokens = 1024};
constexpr Workload kFourTasks = {
    .batch = 4, .prompt_tokens = 64, .new_tokens = 16, .context_tokens = 32};

const Configuration kConfigurations[] = {
    {"BLOOM-176B, int8, 8 x A100-40",
     "bloom-176b",
     "p4d.24xlarge",
     {8, 1},
     WeightFormat::kI8,
     kFourOf256,
     "DeepSpeed",
     {.request_seconds = 27.564, .load_seconds = 74.9}},
    {"BLOOM-176B, int8, 8 x A100-40, in stages",
     "bloom-176b",
     "p4d.24xlarge",
     {1, 8},
     WeightFormat::kI8,
     kFourOf256,
     "Accelerate",
     {.request_seconds = 92.694, .load_seconds = 669.4}},
    {"OPT-30B, fp16, 4 x A10G",
     "opt-30b",
     "g5.24xlarge",
     {4, 1},
     WeightFormat::kF16,
     kFourOf256,
     "DeepSpeed",
     {.request_seconds = 11.299, .load_seconds = 239.4}},
    {"OPT-30B, fp16, 4 x A10G, in stages",
     "opt-30b",
     "g5.24xlarge",
     {1, 4},
     WeightFormat::kF16,
     kFourOf256,
     "Accelerate",
     {.request_seconds = 63.734, .load_seconds = 533.8}},
    {"GPT-J-6B, fp32, 2 x V100",
     "gpt-j-6b",
     "p3.16xlarge",
     {2, 1},
     WeightFormat::kF32,
     kOneOf100,
     "DeepSpeed",
     {.in_words = "below 100 ms a token"}},
    {"GPT-J-6B, fp16, V100",
     "gpt-j-6b",
     "p3.2xlarge",
     {1, 1},
     WeightFormat::kF16,
     kOneOf100,
     "DeepSpeed",
     {.token_seconds = 1 / 47.5}},
    {"GPT-J-6B, fp16, T4",
     "gpt-j-6b",
     "g4dn.2xlarge",
     {1, 1},
     WeightFormat::kF16,
     kOneOf100,
     "DeepSpeed",
     {.token_seconds = 1 / 16.5}},
    {"FLAN-T5-XXL, fp32, 4 x A10G",
     "flan-t5-xxl",
     "g5.12xlarge",
     {4, 1},
     WeightFormat::kF32,
     kFourTasks,
     "FasterTransformer",
     {.request_seconds = 0.32739}},
    {"OPT-13B, fp16, 2 NeuronCores",
     "opt-13b",
     "inf2.48xlarge",
     {2, 1},
     WeightFormat::kF16,
     kTwoOf256,
     "transformers-neuronx",
     {}},
    {"OPT-13B, fp16, 8 NeuronCores",
     "opt-13b",
     "inf2.48xlarge",
     {8, 1},
     WeightFormat::kF16,
     kTwoOf256,
     "transformers-neuronx",
     {}},
};

Plan PlanOf(const Configuration& made) {
  const auto machines =
      ParseMachines(made.devices, [] { return Status(StatusCode::kInternal, "not asked for"); });
  PlanOptions options;
  options.format = kernels::WeightForm(made.format);
  options.workload = made.workload;
  options.tensor_degrees = {made.degrees.tensor};
  options.pipeline_degrees = {made.degrees.pipeline};
  auto plan = MakePlan(**OpenShape(made.model), *machines, options);
  EXPECT_TRUE(plan.ok()) << plan.status().ToString();
  return std::move(*plan);
}

struct Answer {
  Configuration made;
  PlanRow row;

  const PlanRow::Figures& figures() const { return *row.figures; }
  double token() const { return figures().latency.decode.seconds; }
  double prompt() const { return figures().latency.prompt.seconds; }
};

std::vector<Answer> Answers() {
  std::vector<Answer> answers;
  for (const Configuration& made : kConfigurations) {
    answers.push_back({made, PlanOf(made).rows.front()});
  }
  return answers;
}

std::string Bytes(double bytes) { return HumanBytes(static_cast<uint64_t>(bytes)); }

std::string PublishedTime(const Published& published) {
  if (published.request_seconds) return HumanSeconds(*published.request_seconds) + " a request";
  if (published.token_seconds) return HumanSeconds(*published.token_seconds) + " a token";
  return published.in_words.empty() ? "none" : published.in_words;
}

std::string PredictedTime(const Answer& answer) {
  if (answer.made.published.request_seconds) {
    return HumanSeconds(answer.figures().request_seconds) + " a request";
  }
  return HumanSeconds(answer.token()) + " a token";
}

std::string Ratio(const Answer& answer) {
  const Published& published = answer.made.published;
  if (published.request_seconds) {
    return fmt::format("{:.1f}", *published.request_seconds / answer.figures().request_seconds);
  }
  if (published.token_seconds) {
    return fmt::format("{:.1f}", *published.token_seconds / answer.token());
  }
  return "";
}

std::string TimeTable(const std::vector<Answer>& answers) {
  std::string table =
      "| configuration | server | published | predicted | published / predicted | of which a token "
      "|\n"
      "| --- | --- | --- | --- | --- | --- |\n";
  for (const Answer& answer : answers) {
    table += fmt::format("| {} | {} | {} | {} | {} | {} |\n", answer.made.title, answer.made.server,
                         PublishedTime(answer.made.published), PredictedTime(answer), Ratio(answer),
                         HumanSeconds(answer.token()));
  }
  return table;
}

std::string MemoryTable(const std::vector<Answer>& answers) {
  std::string table =
      "| configuration | weights of a rank | cache | work | of the device | sent by a rank, token "
      "and "
      "layer | load, published | load, predicted |\n"
      "| --- | --- | --- | --- | --- | --- | --- | --- |\n";
  for (const Answer& answer : answers) {
    const RankMemory& memory = answer.figures().memory;
    const auto& load = answer.made.published.load_seconds;
    table +=
        fmt::format("| {} | {} | {} | {} | {:.0f} % | {} | {} | {} |\n", answer.made.title,
                    Bytes(memory.weights), Bytes(memory.cache), Bytes(memory.activations),
                    100 * memory.total() / answer.figures().device_memory_bytes,
                    answer.figures().traffic.layer > 0 ? Bytes(answer.figures().traffic.layer) : "",
                    load ? HumanSeconds(*load) : "", LoadTime(answer.figures().load));
  }
  return table;
}

// A step of DeepSpeed's int8 products reads each weight, writes it in 16 bits and reads that again: five
// bytes for each byte of weights.
double FiveFold(const Answer& answer) {
  const PassesTime& decode = answer.figures().latency.decode;
  return 5 * (decode.seconds - decode.link_seconds) + decode.link_seconds;
}

std::string Remarks(const std::vector<Answer>& answers) {
  const Answer &bloom = answers[0], &bloom_stages = answers[1], &opt = answers[2],
               &opt_stages = answers[3], &gptj = answers[4], &v100 = answers[5], &t4 = answers[6],
               &t5 = answers[7], &two_cores = answers[8], &eight_cores = answers[9];
  const double bloom_step = *bloom.made.published.request_seconds / 256;
  const double opt_step = *opt.made.published.request_seconds / 256;
  const double t5_tokens = (0.32739 - t5.prompt()) / t5.token();
  std::string text = fmt::format(
      "**BLOOM-176B, int8.** A step took {}; the prediction is {}, {} of it on links. The "
      "difference is "
      "not memory: DeepSpeed's int8 products turn each matrix into 16-bit floats in every step, "
      "which "
      "reads one byte and writes and reads two for each weight. With these bytes the prediction is "
      "{}. "
      "So int8 saved memory and cost time; a server whose products read int8 themselves has the "
      "factor "
      "to gain.\n\n",
      HumanSeconds(bloom_step), HumanSeconds(bloom.token()),
      HumanSeconds(bloom.figures().latency.decode.link_seconds), HumanSeconds(FiveFold(bloom)));
  text += fmt::format(
      "**Stages of Accelerate.** One device works at a time, so a step reads all weights at the "
      "bandwidth "
      "of one device: {} for BLOOM, {} for OPT-30B, where {} and {} were measured. The rest is "
      "time "
      "without work: kernels that are not fused, and Python between them.\n\n",
      HumanSeconds(bloom_stages.token()), HumanSeconds(opt_stages.token()),
      HumanSeconds(*bloom_stages.made.published.request_seconds / 256),
      HumanSeconds(*opt_stages.made.published.request_seconds / 256));
  text += fmt::format(
      "**OPT-30B, fp16.** A step took {}, the prediction is {}, of which {} are the sums over "
      "PCIe. The "
      "published server reached {:.0f} % of the limit of this machine, which is {}.\n\n",
      HumanSeconds(opt_step), HumanSeconds(opt.token()),
      HumanSeconds(opt.figures().latency.decode.link_seconds),
      100 * opt.figures().latency.decode.floor_seconds / opt_step,
      HumanSeconds(opt.figures().latency.decode.floor_seconds));
  text += fmt::format(
      "**GPT-J-6B.** The claim for two V100 in fp32 is an upper bound, which the prediction of {} "
      "keeps "
      "with a wide margin. The figures of one V100 and one T4 are of answers over HTTP, with fp16 "
      "(fp32 "
      "does not fit): {:.2f} and {:.2f} times the prediction.\n\n",
      HumanSeconds(gptj.token()), *v100.made.published.token_seconds / v100.token(),
      *t4.made.published.token_seconds / t4.token());
  text += fmt::format(
      "**FLAN-T5-XXL, fp32.** The lengths of inputs and answers are not published. With inputs of "
      "64 "
      "tokens, the encoder and the first token take {}, and each further token {}: the published "
      "time has "
      "room for about {:.0f} tokens. The row above assumes 16.\n\n",
      HumanSeconds(t5.prompt()), HumanSeconds(t5.token()), t5_tokens);
  text += fmt::format(
      "**OPT-13B on Inferentia2.** No latency is published. The article's rules are those of the "
      "plan: "
      "weights and cache within 16 GB for each core, degrees 1, 2, 4, 8 and 24, and a degree that "
      "divides "
      "the 40 heads. One core is too small, 24 do not divide the heads; two cores make a token in "
      "{}, eight in "
      "{}.\n",
      HumanSeconds(two_cores.token()), HumanSeconds(eight_cores.token()));
  return text;
}

std::string Page() {
  const std::vector<Answer> answers = Answers();
  return "# Predictions beside published latencies\n\n"
         "What `dray plan` ([plan.md](plan.md)) says of configurations for which five articles of "
         "2022 and 2023 about\n"
         "large models on Amazon SageMaker have published figures. The published servers are "
         "others than dray;\n"
         "the prediction is what a server that is bound by memory, arithmetic and links would "
         "reach on that machine.\n"
         "`tests/program/plan_articles_test.cc` makes this page, and fails if it is not what the "
         "planner says.\n\n"
         "Requests of the first four rows are four sequences of 256 new tokens, of GPT-J one "
         "sequence of 200 + 100.\n"
         "Where the length of prompts is not published, 32 tokens are assumed, for the encoder "
         "64.\n\n" +
         TimeTable(answers) + "\n## Memory, links and loading\n\n" + MemoryTable(answers) +
         "\nLoading is predicted as reading the checkpoint's files once, from the machine's disks, "
         "or over its "
         "network if\nit has none. The published times include starting processes, and dividing or "
         "converting "
         "weights.\n\n## What the differences mean\n\n" +
         Remarks(answers);
}

TEST(PlanArticlesTest, ThePageIsWhatThePlannerSays) {
  const auto page = ReadFile(SourceDir() / "docs/plan-articles.md", 1 << 20);
  const std::string made = Page();
  if (page.ok() && *page == made) return;
  const std::filesystem::path copy =
      std::filesystem::path(::testing::TempDir()) / "plan-articles.md";
  std::ofstream(copy) << made;
  FAIL() << "docs/plan-articles.md is not what the planner says; look at the difference, and renew "
            "it:\ncp "
         << copy.string() << " docs/plan-articles.md";
}

TEST(PlanArticlesTest, EveryConfigurationFitsAndNoPublishedFigureIsBelowTheLimit) {
  for (const Answer& answer : Answers()) {
    EXPECT_TRUE(answer.row.fits()) << answer.made.title;
    const Published& published = answer.made.published;
    const Latency& latency = answer.figures().latency;
    if (published.token_seconds) {
      EXPECT_GT(*published.token_seconds, latency.decode.floor_seconds) << answer.made.title;
    }
    if (published.request_seconds) {
      EXPECT_GT(
          *published.request_seconds,
          latency.prompt.floor_seconds + static_cast<double>(answer.made.workload.new_tokens - 1) *
                                             latency.decode.floor_seconds)
          << answer.made.title;
    }
  }
}

}  // namespace
}  // namespace dray::plan
