#include "cli/plan_command.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <ostream>
#include <utility>

#include "cli/bench/bench_lists.h"
#include "cli/demo_model.h"
#include "plan/cost/workload.h"
#include "plan/devices/parse_machines.h"
#include "plan/devices/quantity.h"
#include "plan/devices/this_machine.h"
#include "plan/planner.h"
#include "plan/report/report.h"
#include "plan/shape/open_shape.h"
#include "settings/number_formats.h"
#include "settings/quantization_settings.h"

namespace dray::cli {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitNothingFits = 2;
// A context that most requests keep to, where a model allows more.
constexpr int64_t kUsualContext = 2048;

Status About(std::string_view flag, const std::string& value, const Status& status) {
  if (status.ok()) return status;
  return {status.code(), fmt::format("--{} {}: {}", flag, value, status.message())};
}

// The weights' formats, as the settings dtype and quantize mean them together.
Status SetFormats(const PlanArguments& arguments, plan::PlanOptions& options) {
  settings::WeightDType dtype;
  settings::CacheDType cache;
  settings::QuantizationSettings quantization;
  if (!arguments.dtype.empty()) {
    DRAY_RETURN_IF_ERROR(
        About("dtype", arguments.dtype, settings::SetWeightDType(dtype, arguments.dtype)));
  }
  if (!arguments.quantize.empty()) {
    DRAY_RETURN_IF_ERROR(About("quantize", arguments.quantize,
                               settings::SetQuantize(quantization, arguments.quantize)));
  }
  if (!arguments.kv_cache_dtype.empty()) {
    DRAY_RETURN_IF_ERROR(About("kv-cache-dtype", arguments.kv_cache_dtype,
                               settings::SetCacheDType(cache, arguments.kv_cache_dtype)));
  }
  if (arguments.quantize_group_size) {
    const std::string text = std::to_string(*arguments.quantize_group_size);
    DRAY_RETURN_IF_ERROR(
        About("quantize-group-size", text, settings::SetGroupSize(quantization, text)));
  }
  using Method = settings::QuantizationMethod;
  if (quantization.method == Method::kGptq || quantization.method == Method::kAwq) {
    return {
        StatusCode::kUnsupported,
        fmt::format("--quantize {}: it says what a checkpoint is; to plan for such integers, say "
                    "int4_asym with --quantize-group-size",
                    arguments.quantize)};
  }
  DRAY_ASSIGN_OR_RETURN(const auto load, settings::MakeQuantization(dtype, quantization));
  options.format = load.format;
  options.table_format = load.table_format;
  options.cache = cache;
  return OkStatus();
}

// `flag` in place of what the hosts have.
Status SetRate(std::string_view flag, const std::string& text, plan::Machines& machines,
               double& (*rate_of)(plan::Host&)) {
  if (text.empty()) return OkStatus();
  const std::optional<double> rate = plan::ParseBandwidth(text);
  if (!rate) {
    return {StatusCode::kInvalidArgument,
            fmt::format("--{} {}: it must be bytes or bits a second, such as 2GB/s or 25Gbps", flag,
                        text)};
  }
  for (plan::Host& host : machines.hosts) rate_of(host) = *rate;
  return OkStatus();
}

// This machine is measured with weights of `form`.
Result<plan::Machines> MachinesOf(const PlanArguments& arguments, const kernels::WeightForm& form) {
  DRAY_ASSIGN_OR_RETURN(plan::Machines machines, plan::ParseMachines(arguments.devices, [&form] {
                          return plan::MeasureThisMachine(0, form);
                        }));
  DRAY_RETURN_IF_ERROR(SetRate("disk", arguments.disk, machines, [](plan::Host& host) -> double& {
    return host.disk_bytes_per_second;
  }));
  DRAY_RETURN_IF_ERROR(
      SetRate("network", arguments.network, machines,
              [](plan::Host& host) -> double& { return host.network.bytes_per_second; }));
  return machines;
}

// What was asked for; of what was not, the usual number or what the model has room for.
plan::Workload WorkloadOf(const PlanArguments& arguments, const plan::ShapeFacts& facts) {
  plan::Workload work;
  work.batch = arguments.batch;
  const int64_t room =
      facts.has_encoder() ? std::numeric_limits<int64_t>::max() : facts.max_positions;
  // Four fifths of the room, as of the usual request of 512 and 128 tokens.
  const int64_t beside = arguments.new_tokens.value_or(room / 5);
  work.prompt_tokens =
      arguments.prompt.value_or(std::max<int64_t>(1, std::min(work.prompt_tokens, room - beside)));
  work.new_tokens = arguments.new_tokens.value_or(
      std::max<int64_t>(1, std::min(work.new_tokens, room - work.prompt_tokens)));
  if (facts.has_encoder()) {
    work.context_tokens = arguments.context.value_or(work.new_tokens);
  } else {
    work.context_tokens = arguments.context.value_or(std::max(
        work.new_tokens + work.prompt_tokens, std::min(facts.max_positions, kUsualContext)));
  }
  return work;
}

Result<std::unique_ptr<plan::ModelShape>> ShapeOf(const std::string& model) {
  if (model != kDemoModelName) return plan::OpenShape(model);
  DRAY_ASSIGN_OR_RETURN(const DemoModel demo, DemoModel::Extract());
  DRAY_ASSIGN_OR_RETURN(auto shape, plan::OpenShape(demo.dir().string()));
  shape->SetName(kDemoModelName);
  return shape;
}

Status WriteFile(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary);
  file << content;
  file.close();
  if (file) return OkStatus();
  return {StatusCode::kIo, fmt::format("cannot write {}: {}", path, std::strerror(errno))};
}

Result<int> Run(const PlanArguments& arguments, std::ostream& out) {
  plan::PlanOptions options;
  DRAY_RETURN_IF_ERROR(SetFormats(arguments, options));
  DRAY_ASSIGN_OR_RETURN(const auto shape, ShapeOf(arguments.model));
  options.workload = WorkloadOf(arguments, shape->facts());
  options.tensor_degrees = arguments.tensor_degrees;
  options.pipeline_degrees = arguments.pipeline_degrees;
  const plan::Formats formats = ChooseFormats(shape->facts(), options);
  DRAY_ASSIGN_OR_RETURN(const plan::Machines machines, MachinesOf(arguments, formats.layers));
  DRAY_ASSIGN_OR_RETURN(const plan::Plan plan, MakePlan(*shape, machines, options));
  out << (arguments.format == PlanArguments::Format::kJson ? ToJson(plan) : ToText(plan));
  if (!arguments.html.empty()) {
    const bool is_picture = arguments.html.ends_with(".svg");
    DRAY_RETURN_IF_ERROR(WriteFile(arguments.html, is_picture ? ToSvg(plan) : ToHtml(plan)));
  }
  return plan.best ? 0 : kExitNothingFits;
}

void AddDegrees(Command command, const std::string& flag, std::vector<int64_t>& degrees,
                const std::string& help) {
  const auto parse = [](const std::string& text) { return ParseCounts(text, plan::kMostDevices); };
  command.Add({.names = flag,
               .target = FillList(degrees, parse),
               .help = help,
               .type = "N,N,...",
               .group = "Degrees"});
}

}  // namespace

void AddPlanOptions(Command command, PlanArguments& arguments) {
  command.Add({.names = "model",
               .target = &arguments.model,
               .help = "A config.json, a model's folder, a .gguf file, demo, or a shape that dray "
                       "knows by name, such as bloom-176b",
               .type = "MODEL",
               .is_required = true});
  command.Add({.names = "--devices",
               .target = &arguments.devices,
               .help = "this (measured), a machine (p4d.24xlarge), devices (4xa10g), or their "
                       "figures: 8x40GiB@1.5TB/s,300TFLOPs,link=600GB/s; + joins several hosts",
               .type = "SPEC",
               .group = "Machines",
               .shows_default = true});
  const auto add_text = [&](const std::string& flag, std::string& target, const std::string& type,
                            const std::string& group, const std::string& help) {
    command.Add({.names = flag, .target = &target, .help = help, .type = type, .group = group});
  };
  add_text("--disk", arguments.disk, "RATE", "Machines", "What the disk reads, such as 2GB/s");
  add_text("--network", arguments.network, "RATE", "Machines",
           "What a host receives, such as 25Gbps");
  add_text("--dtype", arguments.dtype, "DTYPE", "Formats",
           "Of weights: fp32, fp16, bf16, int8, int4; otherwise that of the configuration");
  add_text("--quantize", arguments.quantize, "METHOD", "Formats",
           "How weights become integers, as in dray serve");
  command.Add({.names = "--quantize-group-size",
               .target = &arguments.quantize_group_size,
               .help = "Columns that share a scale: 32, 64 or 128",
               .group = "Formats"});
  add_text("--kv-cache-dtype", arguments.kv_cache_dtype, "DTYPE", "Formats",
           "Of keys and values: fp32, fp16, bf16, int8");
  command.Add({.names = "--batch",
               .target = &arguments.batch,
               .help = "Sequences at a time",
               .type = "N",
               .group = "Work",
               .shows_default = true});
  const auto add_tokens = [&](const std::string& flag, std::optional<int64_t>& target,
                              const std::string& help) {
    command.Add({.names = flag, .target = &target, .help = help, .type = "N", .group = "Work"});
  };
  add_tokens("--prompt", arguments.prompt,
             "Tokens of a prompt; by default 512, or what the model has room for");
  add_tokens("--new-tokens", arguments.new_tokens,
             "New tokens of a request; by default 128, or what the model has room for");
  add_tokens(
      "--context", arguments.context,
      "Tokens of a sequence for which the cache has room; by default 2048, or what the model "
      "allows or the request has");
  AddDegrees(command, "--tensor-parallel-degree", arguments.tensor_degrees,
             "Ranks of a stage; by default those that suit the machines");
  AddDegrees(command, "--pipeline-parallel-degree", arguments.pipeline_degrees,
             "Stages; by default one, one for each host, and as many as there is room for");
  command.Add({.names = "--json",
               .target = [&] { arguments.format = PlanArguments::Format::kJson; },
               .help = "JSON in place of a table",
               .group = "Output"});
  add_text("--html", arguments.html, "FILE", "Output",
           "Write a page with a picture as well; the picture alone if FILE ends in .svg");
  command.SetFooter("The exit status is 2 if nothing fits.");
}

int RunPlan(const PlanArguments& arguments, std::ostream& out, std::ostream& err) {
  const Result<int> result = Run(arguments, out);
  if (result.ok()) return *result;
  fmt::print(err, "dray plan: {}\n", result.status().message());
  return kExitFailed;
}

}  // namespace dray::cli
