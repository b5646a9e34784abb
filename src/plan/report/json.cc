#include "base/parse/json.h"

#include <optional>
#include <string>
#include <vector>

#include "plan/report/report.h"

namespace dray::plan {
namespace {

Json Optional(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

Json Strings(const std::vector<std::string>& texts) {
  Json list = Json::MakeArray();
  for (const std::string& text : texts) list.Append(text);
  return list;
}

// Rates as operations a second, as data sheets have them.
Json HostJson(const Host& host) {
  const bench::LimitsSample& peak = host.device.peak;
  const bench::LimitsSample& sustained = host.device.sustained;
  Json degrees = Json::MakeArray();
  for (const int64_t degree : host.degrees) degrees.Append(degree);
  return Json::MakeObject({{"name", host.name},
                           {"devices", host.num_devices},
                           {"device", host.device.name},
                           {"source", host.device.source},
                           {"memory_bytes", host.device.memory_bytes},
                           {"bandwidth", peak.read_bandwidth},
                           {"fp32_ops", 2 * peak.f32},
                           {"fp16_ops", 2 * peak.f16},
                           {"bf16_ops", 2 * peak.bf16},
                           {"int8_ops", 2 * peak.int8},
                           {"sustained_bandwidth", sustained.read_bandwidth},
                           {"sustained_bf16_ops", 2 * sustained.bf16},
                           {"sustained_int8_ops", 2 * sustained.int8},
                           {"link_bandwidth", host.link.bytes_per_second},
                           {"sum_seconds", host.link.seconds},
                           {"network_bandwidth", host.network.bytes_per_second},
                           {"disk_bandwidth", host.disk_bytes_per_second},
                           {"allowed_degrees", degrees}});
}

Json TimeJson(const PassesTime& time) {
  return Json::MakeObject({{"seconds", time.seconds},
                           {"link_seconds", time.link_seconds},
                           {"floor_seconds", time.floor_seconds},
                           {"bound", std::string(bench::Name(time.bound))}});
}

Json FiguresJson(const PlanRow::Figures& figures) {
  const RankMemory& memory = figures.memory;
  const Traffic& traffic = figures.traffic;
  const LoadTimes& load = figures.load;
  return Json::MakeObject(
      {{"memory", Json::MakeObject({{"weights", memory.weights},
                                    {"padding", memory.padding},
                                    {"replicated", memory.replicated},
                                    {"cache", memory.cache},
                                    {"activations", memory.activations},
                                    {"total", memory.total()},
                                    {"device", figures.device_memory_bytes}})},
       {"weight_bytes_of_all_ranks", figures.total_weight_bytes},
       {"padding_bytes_of_all_ranks", figures.total_padding_bytes},
       {"traffic_bytes", Json::MakeObject({{"per_token_and_layer", traffic.layer},
                                           {"per_token", traffic.token},
                                           {"per_logits_row", traffic.logits},
                                           {"per_token_to_next_stage", traffic.stage}})},
       {"load_seconds", Json::MakeObject({{"disk", Optional(load.disk)},
                                          {"network", Optional(load.network)},
                                          {"artifact_disk", Optional(load.artifact_disk)},
                                          {"artifact_network", Optional(load.artifact_network)}})},
       {"prompt", TimeJson(figures.latency.prompt)},
       {"decode", TimeJson(figures.latency.decode)},
       {"request_seconds", figures.request_seconds},
       {"tokens_per_second", figures.tokens_per_second}});
}

Json RowJson(const Plan& plan, size_t index) {
  const PlanRow& row = plan.rows[index];
  return Json::MakeObject({{"tensor_parallel_degree", row.degrees.tensor},
                           {"pipeline_parallel_degree", row.degrees.pipeline},
                           {"ranks", row.degrees.num_ranks()},
                           {"fits", row.fits()},
                           {"best", plan.best == index},
                           {"reasons", Strings(row.reasons)},
                           {"notes", Strings(row.notes)},
                           {"figures", row.figures ? FiguresJson(*row.figures) : Json()}});
}

Json ModelJson(const Plan& plan) {
  const ShapeFacts& facts = plan.facts;
  return Json::MakeObject(
      {{"name", facts.name},
       {"family", facts.family},
       {"parameters", facts.parameters},
       {"layers", facts.decoder().num_layers},
       {"encoder_layers", facts.has_encoder() ? Json(facts.streams.front().num_layers) : Json()},
       {"heads", facts.num_heads},
       {"key_value_heads", facts.num_kv_heads},
       {"vocabulary", facts.vocab_size},
       {"positions", facts.max_positions},
       {"weights", kernels::Name(plan.formats.layers)},
       {"tables", kernels::Name(plan.formats.tables)},
       {"cache", std::string(Name(plan.formats.cache))},
       {"checkpoint_bytes", plan.checkpoint_bytes}});
}

}  // namespace

std::string ToJson(const Plan& plan) {
  Json hosts = Json::MakeArray();
  for (const Host& host : plan.machines.hosts) hosts.Append(HostJson(host));
  Json rows = Json::MakeArray();
  for (size_t i = 0; i < plan.rows.size(); ++i) rows.Append(RowJson(plan, i));
  const Workload& work = plan.workload;
  const Json json =
      Json::MakeObject({{"model", ModelJson(plan)},
                        {"devices", plan.machines.spec},
                        {"hosts", hosts},
                        {"workload", Json::MakeObject({{"batch", work.batch},
                                                       {"prompt_tokens", work.prompt_tokens},
                                                       {"new_tokens", work.new_tokens},
                                                       {"context_tokens", work.context_tokens},
                                                       {"step_tokens", work.step_tokens}})},
                        {"rows", rows},
                        {"notes", Strings(plan.notes)}});
  return json.Dump(2) + "\n";
}

}  // namespace dray::plan
