// Tensors that do not fit their family, and weight files and shard indexes with faults.
#include <algorithm>
#include <memory>

#include "base/check.h"
#include "base/parse/json.h"
#include "checkpoint/testing/malformed_builders.h"
#include "checkpoint/testing/malformed_files.h"
#include "malformed/malformed_model.h"
#include "model/weights/load_plan.h"

namespace dray::testing {
namespace {

namespace fs = std::filesystem;
using Tensors = std::vector<StoredTensor>;

constexpr const char* kModels[] = {"gpt2",  "opt-350m", "opt",      "bloom",
                                   "gptj",  "gpt_neo",  "gpt_neox", "llama",
                                   "qwen2", "qwen3",    "mistral",  "llama-bias"};

// The names of the tensors that the family needs: those outside the layers, and the last layer's.
std::vector<std::string> NeededNames(const std::string& model) {
  const ModelFolder folder(model, "gpt2");
  const auto description = model::ReadModelDescription(folder.dir());
  const auto checkpoint = checkpoint::Checkpoint::Open(folder.dir());
  const auto plan = model::PlanTensors(description.value(), checkpoint.value());
  std::vector<std::string> names;
  const int64_t last = description->config.stack.num_layers - 1;
  for (const model::PlannedSlot& slot : plan->slots) {
    if (slot.layer != model::kNoLayer && slot.layer != last) continue;
    for (const model::PlannedTensor& tensor : slot.parts) names.push_back(tensor.source->name);
  }
  return names;
}

size_t ElementBytes(const StoredTensor& tensor) {
  size_t elements = 1;
  for (const int64_t extent : tensor.shape) elements *= static_cast<size_t>(extent);
  return tensor.bytes.size() / elements;
}

// A way to make a tensor wrong; `at` is its index in the list.
struct Spoiler {
  const char* name;
  void (*apply)(Tensors& tensors, size_t at);
  const char* expected;  // besides the tensor's name
};

constexpr Spoiler kSpoilers[] = {
    {"absent",
     [](Tensors& tensors, size_t at) {
       tensors.erase(tensors.begin() + static_cast<std::ptrdiff_t>(at));
     },
     ""},
    {"one_row_more",
     [](Tensors& tensors, size_t at) {
       StoredTensor& tensor = tensors[at];
       const size_t row = tensor.bytes.size() / static_cast<size_t>(tensor.shape[0]);
       tensor.shape[0] += 1;
       tensor.bytes.append(row, '\0');
     },
     "has shape"},
    {"one_axis_more",
     [](Tensors& tensors, size_t at) { tensors[at].shape.insert(tensors[at].shape.begin(), 1); },
     "has shape"},
    {"flat_or_empty",
     [](Tensors& tensors, size_t at) {
       StoredTensor& tensor = tensors[at];
       if (tensor.shape.size() == 2) {
         tensor.shape = {tensor.shape[0] * tensor.shape[1]};
       } else {
         tensor.shape = {0};
         tensor.bytes.clear();
       }
     },
     "has shape"},
    {"integers",
     [](Tensors& tensors, size_t at) {
       tensors[at].dtype = ElementBytes(tensors[at]) == 4 ? "I32" : "I16";
     },
     "is stored as"},
    {"float8",
     [](Tensors& tensors, size_t at) {
       StoredTensor& tensor = tensors[at];
       tensor.bytes.resize(tensor.bytes.size() / ElementBytes(tensor));
       tensor.dtype = "F8_E4M3";
     },
     "F8_E4M3"},
};

void UseTensors(const ModelFolder& folder, const Tensors& tensors) {
  folder.RemoveWeights();
  folder.Write("model.safetensors", SafetensorsOf(tensors));
}

void AddFiles(std::vector<MalformedModel>& cases, const std::string& kind, const char* file,
              std::vector<checkpoint::MalformedCase> files) {
  for (checkpoint::MalformedCase& test : files) {
    cases.push_back({.name = kind + "_" + test.name,
                     .damage =
                         [file, content = std::move(test.content)](const ModelFolder& folder) {
                           folder.RemoveWeights();
                           for (const auto& shard : checkpoint::WellFormedShards())
                             if (std::string_view(file).ends_with(".index.json"))
                               folder.Write(shard.name, shard.content);
                           folder.Write(file, content);
                         },
                     .file = file,
                     .expected = {std::move(test.expected)}});
  }
}

// Cuts the file at 1 %, 2 %, ... of its length.
void AddTruncations(std::vector<MalformedModel>& cases, const char* model, const char* file) {
  for (int percent = 0; percent < 100; percent += 5) {
    cases.push_back({.name = std::string("truncated_") + model + "_" + std::to_string(percent),
                     .model = model,
                     .damage =
                         [file, percent](const ModelFolder& folder) {
                           const std::string whole = folder.Read(file);
                           folder.Write(file,
                                        std::string_view(whole).substr(
                                            0, whole.size() * static_cast<size_t>(percent) / 100));
                         },
                     .file = file,
                     .expected = {}});
  }
}

struct IndexRow {
  const char* name;
  void (*damage)(const ModelFolder& folder);
  const char* file;
  const char* expected;
};

constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kShard1 = "model-00001-of-00003.safetensors";
constexpr const char* kShard2 = "model-00002-of-00003.safetensors";
constexpr const char* kNorm = "weight_map/gpt_neox.final_layer_norm.bias";

// For gpt_neox, which has three shards.
constexpr IndexRow kIndexRows[] = {
    {"shard_absent", [](const ModelFolder& f) { f.Remove(kShard2); }, kIndex, kShard2},
    {"shard_empty", [](const ModelFolder& f) { f.Write(kShard2, ""); }, kShard2, "bytes"},
    {"shard_is_folder",
     [](const ModelFolder& f) {
       f.Remove(kShard2);
       fs::create_directory(f.dir() / kShard2);
     },
     kShard2, "not a regular file"},
    {"shard_is_another", [](const ModelFolder& f) { f.Write(kShard2, f.Read(kShard1)); }, kShard1,
     "is in"},
    {"tensor_elsewhere",
     [](const ModelFolder& f) { f.SetJson(kIndex, kNorm, std::string("\"") + kShard1 + "\""); },
     kIndex, "final_layer_norm.bias"},
    {"file_parent", [](const ModelFolder& f) { f.SetJson(kIndex, kNorm, "\"../x\""); }, kIndex,
     "plain file name"},
    {"file_absolute", [](const ModelFolder& f) { f.SetJson(kIndex, kNorm, "\"/etc/passwd\""); },
     kIndex, "plain file name"},
    {"file_number", [](const ModelFolder& f) { f.SetJson(kIndex, kNorm, "2"); }, kIndex,
     "final_layer_norm.bias"},
    {"file_is_index",
     [](const ModelFolder& f) { f.SetJson(kIndex, kNorm, std::string("\"") + kIndex + "\""); },
     kIndex, "header"},
    {"file_name_long",
     [](const ModelFolder& f) {
       f.SetJson(kIndex, kNorm, "\"" + std::string(1'000'000, 'a') + "\"");
     },
     kIndex, "aaaa"},
    {"map_absent", [](const ModelFolder& f) { f.SetJson(kIndex, "weight_map", std::nullopt); },
     kIndex, "weight_map"},
    {"map_empty", [](const ModelFolder& f) { f.SetJson(kIndex, "weight_map", "{}"); }, kIndex,
     "weight_map"},
    {"map_array", [](const ModelFolder& f) { f.SetJson(kIndex, "weight_map", "[]"); }, kIndex,
     "weight_map"},
    {"metadata_list", [](const ModelFolder& f) { f.SetJson(kIndex, "metadata", "[]"); }, kIndex,
     "metadata"},
    {"index_absent", [](const ModelFolder& f) { f.Remove(kIndex); }, "", "neither"},
    {"index_is_folder",
     [](const ModelFolder& f) {
       f.Remove(kIndex);
       fs::create_directory(f.dir() / kIndex);
     },
     kIndex, "not a regular file"},
    {"needed_tensor_in_no_shard",
     [](const ModelFolder& f) {
       Tensors tensors = ReadTensors("gpt_neox");
       std::erase_if(tensors, [](const StoredTensor& t) { return t.name == "embed_out.weight"; });
       f.RemoveWeights();
       f.Write("1.safetensors", SafetensorsOf(tensors));
       f.Write(kIndex, R"({"weight_map":{"gpt_neox.embed_in.weight":"1.safetensors"}})");
     },
     "1.safetensors", "embed_out.weight"},
};

}  // namespace

std::vector<MalformedModel> MalformedTensors() {
  std::vector<MalformedModel> cases;
  for (const char* model : kModels) {
    const std::vector<std::string> needed = NeededNames(model);
    Tensors all = ReadTensors(model);
    // A tied head could replace the missing token table. It is left out, so that the table is
    // missed.
    std::erase_if(all, [&](const StoredTensor& t) {
      return t.name == "lm_head.weight" &&
             std::find(needed.begin(), needed.end(), t.name) == needed.end();
    });
    const auto tensors = std::make_shared<const Tensors>(std::move(all));
    for (const std::string& name : needed) {
      const auto place = std::find_if(tensors->begin(), tensors->end(),
                                      [&](const StoredTensor& t) { return t.name == name; });
      DRAY_CHECK(place != tensors->end());
      const auto at = static_cast<size_t>(place - tensors->begin());
      for (const Spoiler& spoiler : kSpoilers) {
        cases.push_back({.name = std::string("tensor_") + model + "_" + name + "_" + spoiler.name,
                         .model = model,
                         .damage =
                             [tensors, at, spoiler](const ModelFolder& folder) {
                               Tensors changed = *tensors;
                               spoiler.apply(changed, at);
                               UseTensors(folder, changed);
                             },
                         .file = "model.safetensors",
                         .expected = {name, spoiler.expected}});
      }
    }
  }
  return cases;
}

std::vector<MalformedModel> MalformedWeightFiles() {
  std::vector<MalformedModel> cases;
  AddFiles(cases, "safetensors", "model.safetensors", checkpoint::MalformedSafetensors());
  AddFiles(cases, "torch", "pytorch_model.bin", checkpoint::MalformedTorchFiles());
  AddFiles(cases, "index", "model.safetensors.index.json", checkpoint::MalformedIndexes());
  AddTruncations(cases, "gpt2", "model.safetensors");
  AddTruncations(cases, "llama", "pytorch_model.bin");
  AddTruncations(cases, "gpt2-bin-legacy", "pytorch_model.bin");
  AddTruncations(cases, "gpt_neox", kShard2);
  AddTruncations(cases, "opt", "pytorch_model-00003-of-00003.bin");
  for (const IndexRow& row : kIndexRows) {
    cases.push_back({.name = std::string("shards_") + row.name,
                     .model = "gpt_neox",
                     .damage = row.damage,
                     .file = row.file,
                     .expected = {row.expected}});
  }
  return cases;
}

}  // namespace dray::testing
