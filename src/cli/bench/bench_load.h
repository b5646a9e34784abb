// The flags of the load generator, `dray bench --url`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "bench/load/load_bench.h"
#include "cli/flags/flags.h"
#include "cli/flags/https_options.h"
#include "cli/model_options.h"

namespace dray::cli {

struct LoadArguments {
  std::string url;  // "": no load test
  std::string api = "lmi";
  std::string served_model;
  std::string prompts_file;
  std::vector<std::string> headers;
  HttpsOptions https;
  std::vector<double> rates;
  std::vector<int64_t> clients = {1, 4, 8, 16};
  int64_t requests = 0;
  double duration = 0;
  int64_t warm_up = 1;
  double timeout = 120;
  bench::Delivery delivery = bench::Delivery::kStreamed;
  bool ignore_eos = true;
};

void AddLoadOptions(Command command, LoadArguments& arguments);

struct LoadSizes {
  int64_t input_tokens = 128;
  int64_t output_tokens = 64;
  uint64_t seed = 1;
};

// Checks the arguments and makes the prompts. If a model is named, its tokenizer cuts random
// prompts to their length. Fails if the URL, the API, a header or the prompt file is wrong.
Result<bench::LoadOptions> MakeLoadOptions(const LoadArguments& arguments,
                                           const ModelArguments& model, const LoadSizes& sizes);

}  // namespace dray::cli
