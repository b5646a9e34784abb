#include "model/describe/tensor_names.h"

#include <algorithm>
#include <string_view>

namespace dray::model {
namespace {

std::string TensorName(std::string_view prefix, std::string_view pattern, int64_t layer) {
  std::string name = std::string(prefix) + std::string(pattern);
  const size_t place = name.find("{}");
  if (place != std::string::npos) name.replace(place, 2, std::to_string(layer));
  return name;
}

// The head is outside the base model, so its names have no prefix.
bool TakesPrefix(const WeightRow& row) {
  return row.slot != Slot::kHead && row.slot != Slot::kHeadBias;
}

void AppendNames(const ModelDescription& model, const WeightRow& row, int64_t layer,
                 std::vector<std::string>& names) {
  std::string_view rest = row.name;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('|'), rest.size());
    const std::string_view name = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (TakesPrefix(row)) {
      for (const auto prefix : model.prefixes) names.push_back(TensorName(prefix, name, layer));
    }
    names.push_back(TensorName("", name, layer));
  }
}

}  // namespace

std::vector<std::string> CandidateNames(const ModelDescription& model, const WeightRow& row,
                                        int64_t layer) {
  std::vector<std::string> names;
  AppendNames(model, row, layer, names);
  const WeightRow* head = FindRow(model, Slot::kHead);
  if (row.slot == Slot::kTokenEmbedding && model.config.tied_head && head != nullptr) {
    AppendNames(model, *head, layer, names);
  }
  return names;
}

const std::string* FindName(const std::vector<std::string>& names,
                            const checkpoint::Checkpoint& checkpoint) {
  const auto first = [&](const auto& holds) {
    const auto it = std::find_if(names.begin(), names.end(), holds);
    return it == names.end() ? nullptr : &*it;
  };
  const auto* readable = first([&](const auto& name) { return checkpoint.Find(name) != nullptr; });
  return readable != nullptr ? readable
                             : first([&](const auto& name) { return checkpoint.Contains(name); });
}

const WeightRow* FindRow(const ModelDescription& model, Slot slot) {
  const auto it = std::find_if(model.weights.begin(), model.weights.end(),
                               [&](const WeightRow& row) { return row.slot == slot; });
  return it == model.weights.end() ? nullptr : &*it;
}

}  // namespace dray::model
