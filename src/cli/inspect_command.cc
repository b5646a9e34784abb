#include "cli/inspect_command.h"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "artifact/manifest.h"
#include "base/human.h"
#include "checkpoint/checkpoint.h"
#include "cli/partition/artifact_report.h"
#include "model/config/local_stack.h"
#include "model/describe/model_files.h"
#include "model/weights/load_plan.h"
#include "model/weights/weights.h"
#include "parallel/shard.h"

namespace dray::cli {
namespace {

using model::LoadPlan;
using model::ModelConfig;
using model::PlannedTensor;

std::string_view PositionName(model::PositionKind kind) {
  switch (kind) {
    case model::PositionKind::kNone:
      return "none";
    case model::PositionKind::kLearned:
      return "learned";
    case model::PositionKind::kRotary:
      return "rotary";
    case model::PositionKind::kAlibi:
      return "ALiBi";
    case model::PositionKind::kRelative:
      return "relative";
  }
  return "";
}

void PrintConfig(const ModelConfig& config, std::ostream& out) {
  const model::StackConfig& stack = config.stack;
  fmt::print(out, "family        {}\n", config.family);
  if (config.encoder) fmt::print(out, "encoder       {} layers\n", config.encoder->num_layers);
  fmt::print(out, "layers        {} of width {}, feed-forward {}{}\n", stack.num_layers,
             stack.hidden, stack.ffn, stack.gated ? " (gated)" : "");
  fmt::print(out, "attention     {} heads of {}, {} key/value heads\n", stack.num_heads,
             stack.head_dim, stack.num_kv_heads);
  if (stack.position == model::PositionKind::kRelative) {
    fmt::print(out, "positions     relative, {} buckets up to a distance of {}\n",
               stack.relative.num_buckets, stack.relative.max_distance);
  } else {
    fmt::print(out, "positions     {}, up to {} tokens\n", PositionName(stack.position),
               stack.max_positions);
  }
  const bool is_encoder = config.kind == model::ModelKind::kEncoder;
  fmt::print(out, "vocabulary    {}{}\n", config.vocab_size,
             config.tied_head && !is_encoder ? ", head tied to the embedding" : "");
  if (config.classifier) {
    fmt::print(out, "classes       {}\n", config.classifier->num_labels());
  } else if (is_encoder) {
    fmt::print(out, "output        vectors of texts\n");
  }
}

// The degrees at which all ranks compute the same number of the model's query heads.
std::vector<int64_t> EvenDegrees(const model::StackConfig& stack) {
  std::vector<int64_t> degrees;
  for (int64_t degree = 1; degree <= stack.num_heads; ++degree) {
    const auto heads = parallel::CutHeads(stack.num_heads, stack.num_kv_heads, {0, degree});
    if (heads.query.local_size * degree == stack.num_heads) degrees.push_back(degree);
  }
  return degrees;
}

void PrintDegrees(const model::ModelConfig& config, std::ostream& out) {
  const model::StackConfig& stack = config.stack;
  fmt::print(out, "ranks         tensor parallel degree 1 to {}, {} without padded heads\n",
             stack.num_heads, fmt::join(EvenDegrees(stack), ", "));
  fmt::print(out, "stages        pipeline parallel degree 1 to {}\n", model::MaxStages(config));
}

void ForEachTensor(const LoadPlan& plan, const std::function<void(const PlannedTensor&)>& visit) {
  for (const auto& slot : plan.slots) {
    for (const PlannedTensor& tensor : slot.parts) visit(tensor);
  }
}

// Sums over tensors as they are stored. Two rows of the plan may name the same tensor (a tied
// head); it is counted once.
struct Totals {
  int64_t parameters = 0;
  uint64_t bytes = 0;
};

Totals Count(const LoadPlan& plan) {
  Totals totals;
  std::set<const checkpoint::TensorSource*> seen;
  ForEachTensor(plan, [&](const PlannedTensor& tensor) {
    if (!seen.insert(tensor.source).second) return;
    totals.parameters += tensor.elements();
    totals.bytes += tensor.stored_bytes();
  });
  return totals;
}

void PrintTensors(const LoadPlan& plan, std::ostream& out) {
  size_t width = 6;
  ForEachTensor(plan, [&](const PlannedTensor& tensor) {
    width = std::max(width, tensor.source->name.size());
  });
  fmt::print(out, "\n{:<{}}  {:<14} {:<5} {:>10}  goes to\n", "tensor", width, "shape", "type",
             "size");
  ForEachTensor(plan, [&](const PlannedTensor& tensor) {
    fmt::print(out, "{:<{}}  {:<14} {:<5} {:>10}  {}\n", tensor.source->name, width,
               tensor.source->shape.ToString(), tensor.source->StorageName(),
               HumanBytes(tensor.source->BytesOf(tensor.source->shape.elements())),
               Name(tensor.row->slot));
  });
}

void PrintUnused(const LoadPlan& plan, const checkpoint::Checkpoint& checkpoint,
                 std::ostream& out) {
  std::set<const checkpoint::TensorSource*> used;
  ForEachTensor(plan, [&](const PlannedTensor& tensor) {
    used.insert(tensor.source);
    if (tensor.integers == nullptr) return;
    for (const auto* part : tensor.integers->sources()) used.insert(part);
  });
  std::vector<std::string_view> unused;
  for (const auto& tensor : checkpoint.tensors()) {
    if (!used.contains(&tensor)) unused.push_back(tensor.name);
  }
  if (unused.empty()) return;
  fmt::print(out, "\nnot used by this family:");
  for (const std::string_view name : unused) fmt::print(out, " {}", name);
  fmt::print(out, "\n");
}

Status Inspect(const InspectOptions& options, std::ostream& out) {
  if (artifact::IsArtifact(options.model_dir)) {
    return PrintArtifact(options.model_dir, options.tensors, out);
  }
  DRAY_ASSIGN_OR_RETURN(const auto files, model::OpenModelFiles(options.model_dir));
  const auto& [description, checkpoint] = files;
  DRAY_ASSIGN_OR_RETURN(auto plan, model::PlanTensors(description, checkpoint));
  std::optional<model::ModelDescription> encoder;  // whose rows the plan names
  if (description.config.encoder) {
    encoder = EncoderOf(description);
    DRAY_ASSIGN_OR_RETURN(auto first, model::PlanTensors(*encoder, checkpoint));
    plan.slots.insert(plan.slots.begin(), first.slots.begin(), first.slots.end());
  }
  const Totals totals = Count(plan);
  PrintConfig(description.config, out);
  fmt::print(out, "parameters    {} ({})\n", totals.parameters, HumanCount(totals.parameters));
  fmt::print(out, "weights       {} in {} {} file{}\n", HumanBytes(totals.bytes),
             checkpoint.files().size(), checkpoint.format(),
             checkpoint.files().size() == 1 ? "" : "s");
  PrintDegrees(description.config, out);
  if (options.tensors == TensorTable::kShow) PrintTensors(plan, out);
  PrintUnused(plan, checkpoint, out);
  return OkStatus();
}

}  // namespace

int RunInspect(const InspectOptions& options, std::ostream& out, std::ostream& err) {
  const Status status = Inspect(options, out);
  if (status.ok()) return 0;
  fmt::print(err, "dray inspect: {}\n", status.message());
  return 1;
}

}  // namespace dray::cli
