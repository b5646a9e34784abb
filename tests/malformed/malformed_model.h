// Whole model folders that are sound but for one thing, made the same way every time from the
// committed tiny models and tokenizers: what the test of refusals runs over.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dray::testing {

// A model folder under the test's temporary directory, removed with the object. It begins as links
// to committed files; what is written replaces the link, never the file behind it.
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
  // Puts the text `raw`, JSON or not, in place of the member at `path` ("model/vocab/0"; a last
  // part that is missing is added). Without `raw`, the member goes.
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
  std::string file;                   // whose path the message must have; empty: the folder's
  std::vector<std::string> expected;  // other parts of it: the field, the tensor, what is wrong
};

// Every field of every family's config.json, and of the files beside it.
std::vector<MalformedModel> MalformedConfigs();
std::vector<MalformedModel> MalformedTokenizers();
// The files beside tokenizer.json, and the older ones in its place.
std::vector<MalformedModel> MalformedTokenizerFiles();
// Each tensor that a family needs: absent, of another shape, of another format.
std::vector<MalformedModel> MalformedTensors();
// Weight files and shard indexes that are unsound in themselves.
std::vector<MalformedModel> MalformedWeightFiles();
// Files that are absent, empty, folders, FIFOs, links to nothing.
std::vector<MalformedModel> MalformedFolders();

// `text` with "_" for every character that is no letter or digit.
std::string CaseName(std::string text);

// To be loaded: `weights_of` names the golden model whose weights must come out, bit for bit.
struct SoundModel {
  std::string name;
  std::string model = "gpt2";
  std::string tokenizer = "gpt2";
  std::function<void(const ModelFolder&)> change;
};
std::vector<SoundModel> SoundModels();

// A tensor apart from any file.
struct StoredTensor {
  std::string name;
  std::string dtype;  // as safetensors spells it
  std::vector<int64_t> shape;
  std::string bytes;
};

// The tensors of a golden model, whatever its files are.
std::vector<StoredTensor> ReadTensors(const std::string& model);
// A safetensors file of them; `padding` spaces end its header, and so shift the data.
std::string SafetensorsOf(const std::vector<StoredTensor>& tensors, size_t padding = 0);

}  // namespace dray::testing
