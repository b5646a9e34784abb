#include "cli/bench/bench_load.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <utility>

#include "bench/load/prompts.h"
#include "cli/bench/bench_lists.h"
#include "tokenizer/tokenizer.h"

namespace dray::cli {
namespace {

constexpr int64_t kMostClients = 1000;
constexpr int64_t kMostRequests = 1'000'000;
// Random prompts are used again when all were sent. By then a server's prompt cache has dropped the
// first ones.
constexpr int64_t kNumPrompts = 512;

// Counts tokens with the named model's tokenizer; empty if no model was named.
Result<bench::CountTokens> MakeCounter(const ModelArguments& model) {
  if (model.model.empty()) return bench::CountTokens();
  DRAY_ASSIGN_OR_RETURN(const ResolvedModel resolved, ResolveModel(model));
  DRAY_ASSIGN_OR_RETURN(auto loaded, tokenizer::Tokenizer::Load(resolved.files.tokenizer));
  const std::shared_ptr<const tokenizer::Tokenizer> tokenizer(std::move(loaded));
  return bench::CountTokens([tokenizer](const std::string& text) -> Result<int64_t> {
    DRAY_ASSIGN_OR_RETURN(const auto ids, tokenizer->Encode(text, {}));
    return static_cast<int64_t>(ids.size());
  });
}

Status CheckHeaders(const std::vector<std::string>& headers) {
  for (const std::string& header : headers) {
    const size_t colon = header.find(':');
    if (colon == 0 || colon == std::string::npos ||
        header.find_first_of("\r\n") != std::string::npos) {
      return {StatusCode::kInvalidArgument,
              fmt::format("--header {}: it must be NAME: VALUE", header)};
    }
  }
  return OkStatus();
}

}  // namespace

void AddLoadOptions(CLI::App& command, LoadArguments& arguments) {
  const auto add = [&](const std::string& flag, auto& value, const std::string& type,
                       const std::string& help) {
    return command.add_option(flag, value, help)->type_name(type)->group("A server under load");
  };
  add("--url", arguments.url, "URL",
      "Load the server at http://HOST:PORT in place of a model here");
  add("--api", arguments.api, "API", "openai, openai-chat, lmi (djl), tgi. Default: lmi.");
  add("--served-model", arguments.served_model, "NAME", "The model's name in requests");
  const auto add_list = [&](const std::string& flag, const std::string& type,
                            const std::function<void(const std::string&)>& set,
                            const std::string& help) {
    return command.add_option_function<std::string>(flag, set, help)
        ->type_name(type)
        ->group("A server under load");
  };
  CLI::Option* clients = add_list(
      "--clients", "N,N,...",
      [&](const std::string& text) { arguments.clients = ParseCounts(text, kMostClients); },
      "Clients that ask again as soon as they have their answer. Default: 1,4,8,16.");
  add_list(
      "--rate", "R,R,...", [&](const std::string& text) { arguments.rates = ParseRates(text); },
      "Requests a second that arrive by themselves, at random")
      ->excludes(clients);
  add("--requests", arguments.requests, "N",
      "Of each level. Default: 4 for each client, 20 a rate.")
      ->check(CLI::Range(int64_t{1}, kMostRequests));
  add("--duration", arguments.duration, "SECONDS", "Of each level, in place of a number")
      ->check(CLI::Range(0.001, 1e6));
  add("--warm-up", arguments.warm_up, "N", "Requests before that do not count. Default: 1.")
      ->check(CLI::Range(int64_t{0}, kMostRequests));
  add("--timeout", arguments.timeout, "SECONDS", "Without a byte of an answer. Default: 120.")
      ->check(CLI::Range(0.001, 1e6));
  add("--prompts", arguments.prompts_file, "FILE",
      "Prompts by lines, or as JSON (also ShareGPT's), in place of random words");
  add("--header", arguments.headers, "'NAME: VALUE'",
      "Sent with each request; several may be given")
      ->allow_extra_args(false);
  const auto add_flag = [&](const std::string& flag, const std::function<void()>& set,
                            const std::string& help) {
    command.add_flag_callback(flag, set, help)->group("A server under load");
  };
  add_flag(
      "--no-stream", [&] { arguments.delivery = bench::Delivery::kWhole; },
      "Ask for whole answers");
  add_flag(
      "--respect-eos", [&] { arguments.ignore_eos = false; },
      "Let answers end early by themselves");
}

Result<bench::LoadOptions> MakeLoadOptions(const LoadArguments& arguments,
                                           const ModelArguments& model, const LoadSizes& sizes) {
  bench::LoadOptions options;
  bench::LoadTarget& target = options.target;
  DRAY_ASSIGN_OR_RETURN(target.url, bench::ParseUrl(arguments.url));
  DRAY_ASSIGN_OR_RETURN(target.call.api, bench::ParseApi(arguments.api));
  DRAY_RETURN_IF_ERROR(CheckHeaders(arguments.headers));
  target.call.delivery = arguments.delivery;
  target.call.model = arguments.served_model;
  target.call.new_tokens = sizes.output_tokens;
  target.call.ignore_eos = arguments.ignore_eos;
  target.headers = arguments.headers;
  target.timeout_seconds = arguments.timeout;
  options.clients = arguments.clients;
  options.rates = arguments.rates;
  options.requests = arguments.requests;
  options.seconds = arguments.duration;
  options.warm_up = arguments.warm_up;
  options.seed = sizes.seed;
  if (!arguments.prompts_file.empty()) {
    DRAY_ASSIGN_OR_RETURN(options.prompts, bench::ReadPrompts(arguments.prompts_file));
    return options;
  }
  DRAY_ASSIGN_OR_RETURN(const auto count_tokens, MakeCounter(model));
  DRAY_ASSIGN_OR_RETURN(options.prompts, bench::RandomPrompts(kNumPrompts, sizes.input_tokens,
                                                              sizes.seed, count_tokens));
  return options;
}

}  // namespace dray::cli
