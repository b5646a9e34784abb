#include "cli/bench/bench_load.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "bench/load/prompts.h"
#include "cli/bench/bench_lists.h"
#include "http/client/http_client.h"
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

constexpr FlagLimits<double> kSeconds{0.001, 1e6};
constexpr const char* kGroup = "A server under load";

void Add(Command command, Flag flag) {
  flag.group = kGroup;
  command.Add(flag);
}

// Adds the flags that name the server.
void AddTarget(Command command, LoadArguments& arguments) {
  Add(command,
      {.names = "--url",
       .target = &arguments.url,
       .help = "Load the server at http://HOST:PORT or https://HOST:PORT in place of a model here",
       .type = "URL"});
  Add(command, {.names = "--api",
                .target = &arguments.api,
                .help = "openai, openai-chat, lmi (djl), tgi. Default: lmi.",
                .type = "API"});
  Add(command, {.names = "--served-model",
                .target = &arguments.served_model,
                .help = "The model's name in requests",
                .type = "NAME"});
  AddHttpsOptions(command, arguments.https, kGroup);
}

// Adds the flags for the number of requests at a time and in all.
void AddLevels(Command command, LoadArguments& arguments) {
  const auto parse_clients = [](const std::string& text) {
    return ParseCounts(text, kMostClients);
  };
  Add(command,
      {.names = "--clients",
       .target = FillList(arguments.clients, parse_clients),
       .help = "Clients that ask again as soon as they have their answer. Default: 1,4,8,16.",
       .type = "N,N,..."});
  Add(command, {.names = "--rate",
                .target = FillList(arguments.rates, ParseRates),
                .help = "Requests a second that arrive by themselves, at random",
                .type = "R,R,...",
                .excludes = "--clients"});
  Add(command, {.names = "--requests",
                .target = &arguments.requests,
                .help = "Of each level. Default: 4 for each client, 20 a rate.",
                .type = "N",
                .check = FlagLimits<int64_t>{1, kMostRequests}});
  Add(command, {.names = "--duration",
                .target = &arguments.duration,
                .help = "Of each level, in place of a number",
                .type = "SECONDS",
                .check = kSeconds});
  Add(command, {.names = "--warm-up",
                .target = &arguments.warm_up,
                .help = "Requests before that do not count. Default: 1.",
                .type = "N",
                .check = FlagLimits<int64_t>{0, kMostRequests}});
  Add(command, {.names = "--timeout",
                .target = &arguments.timeout,
                .help = "Without a byte of an answer. Default: 120.",
                .type = "SECONDS",
                .check = kSeconds});
}

// Adds the flags for the content of requests.
void AddRequests(Command command, LoadArguments& arguments) {
  Add(command, {.names = "--prompts",
                .target = &arguments.prompts_file,
                .help = "Prompts by lines, or as JSON (also ShareGPT's), in place of random words",
                .type = "FILE"});
  Add(command, {.names = "--header",
                .target = &arguments.headers,
                .help = "Sent with each request; several may be given",
                .type = "'NAME: VALUE'"});
  Add(command, {.names = "--no-stream",
                .target = [&] { arguments.delivery = bench::Delivery::kWhole; },
                .help = "Ask for whole answers"});
  Add(command, {.names = "--respect-eos",
                .target = [&] { arguments.ignore_eos = false; },
                .help = "Let answers end early by themselves"});
}

}  // namespace

void AddLoadOptions(Command command, LoadArguments& arguments) {
  AddTarget(command, arguments);
  AddLevels(command, arguments);
  AddRequests(command, arguments);
}

Result<bench::LoadOptions> MakeLoadOptions(const LoadArguments& arguments,
                                           const ModelArguments& model, const LoadSizes& sizes) {
  bench::LoadOptions options;
  bench::LoadTarget& target = options.target;
  DRAY_ASSIGN_OR_RETURN(target.server.url, http::ParseUrl(arguments.url));
  DRAY_ASSIGN_OR_RETURN(target.server.tls, MakeClientTls(arguments.https, target.server.url));
  DRAY_ASSIGN_OR_RETURN(target.call.api, bench::ParseApi(arguments.api));
  for (const std::string& header : arguments.headers) {
    DRAY_RETURN_IF_ERROR(http::CheckHeaderLine(header));
  }
  target.call.delivery = arguments.delivery;
  target.call.model = arguments.served_model;
  target.call.new_tokens = sizes.output_tokens;
  target.call.ignore_eos = arguments.ignore_eos;
  target.headers = arguments.headers;
  target.server.timeout_seconds = arguments.timeout;
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
