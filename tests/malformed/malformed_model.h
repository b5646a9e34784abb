// Model folders with exactly one fault, on which the test of refusals runs. They are made from the
// committed tiny models and tokenizers, in the same way every time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dray::testing {

// A model folder in the test's temporary directory, removed with the object. At first it has links
// to committed files. Writing a file replaces the link, never the committed file.
class ModelFolder {
 public:
  // Names under tests/golden/models and tests/golden/tokenizers, or "demo".
  ModelFolder(const std::string& model, const std::string& tokenizer);
  ModelFolder(const ModelFolder&) = delete;
  ModelFolder& operator=(const ModelFolder&) = delete;
  ~ModelFolder();

  const std::filesystem::path& dir() const { return dir_; }
  std::string Read(const std::string& name) const;
  void Write(const std::string& name, std::string_view content) const;
  void Remove(const std::string& name) const;
  // Removes every weight file and index.
  void RemoveWeights() const;
  // Replaces the member at `path` (e.g. "model/vocab/0") by the text `raw`, which need not be JSON.
  // Adds the last part of the path if it is missing. Without `raw`, removes the member.
  void SetJson(const std::string& name, const std::string& path,
               const std::optional<std::string>& raw) const;

 private:
  std::filesystem::path dir_;
};

struct MalformedModel {
  std::string name;  // unique
  std::string model = "gpt2";
  std::string tokenizer = "gpt2";
  std::function<void(const ModelFolder&)> damage;
  std::string file;                   // its path must be in the message; empty: the folder's path
  std::vector<std::string> expected;  // other parts of the message: field, tensor, fault
};

// Faults in every field of every family's config.json, and in the files beside it.
std::vector<MalformedModel> MalformedConfigs();
std::vector<MalformedModel> MalformedTokenizers();
// Faults in the files beside tokenizer.json, and in the older files that stand in for it.
std::vector<MalformedModel> MalformedTokenizerFiles();
// Each tensor that a family needs is absent, has another shape, or has another format.
std::vector<MalformedModel> MalformedTensors();
// Weight files and shard indexes with faults of their own.
std::vector<MalformedModel> MalformedWeightFiles();
// Files that are absent, empty, folders, FIFOs, links to nothing.
std::vector<MalformedModel> MalformedFolders();

// `text` with "_" in place of every character that is not a letter or digit.
std::string CaseName(std::string text);

// A folder that must be loaded, with the weights of the golden model `model`, bit for bit.
struct SoundModel {
  std::string name;
  std::string model = "gpt2";
  std::string tokenizer = "gpt2";
  std::function<void(const ModelFolder&)> change;
};
std::vector<SoundModel> SoundModels();

// A tensor outside of any file.
struct StoredTensor {
  std::string name;
  std::string dtype;  // its name in safetensors
  std::vector<int64_t> shape;
  std::string bytes;
};

// The tensors of a golden model, for every kind of files.
std::vector<StoredTensor> ReadTensors(const std::string& model);
// A safetensors file of the tensors. `padding` spaces at the end of the header shift the data.
std::string SafetensorsOf(const std::vector<StoredTensor>& tensors, size_t padding = 0);

}  // namespace dray::testing
