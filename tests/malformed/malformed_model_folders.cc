// Folders whose files are absent, empty, of another kind, or links to nothing; and unusual folders
// without a fault.
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "malformed/malformed_model.h"

namespace dray::testing {
namespace {

namespace fs = std::filesystem;
using Tensors = std::vector<StoredTensor>;

constexpr std::string_view kLfsPointer =
    "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 246224\n";

// What replaces a file.
struct Replacement {
  const char* name;
  void (*put)(const ModelFolder& folder, const std::string& file);
  const char* expected;
};

constexpr Replacement kReplacements[] = {
    {"folder",
     [](const ModelFolder& folder, const std::string& file) {
       folder.Remove(file);
       fs::create_directory(folder.dir() / file);
     },
     "not a regular file"},
    {"fifo",
     [](const ModelFolder& folder, const std::string& file) {
       folder.Remove(file);
       DRAY_CHECK(::mkfifo((folder.dir() / file).c_str(), 0600) == 0);
     },
     "not a regular file"},
    {"device",
     [](const ModelFolder& folder, const std::string& file) {
       folder.Remove(file);
       fs::create_symlink("/dev/zero", folder.dir() / file);
     },
     "not a regular file"},
    {"link_to_nothing",
     [](const ModelFolder& folder, const std::string& file) {
       folder.Remove(file);
       fs::create_symlink("blobs/0123", folder.dir() / file);
     },
     "cannot open"},
    {"link_to_itself",
     [](const ModelFolder& folder, const std::string& file) {
       folder.Remove(file);
       fs::create_symlink(file, folder.dir() / file);
     },
     "cannot open"},
    {"empty", [](const ModelFolder& folder, const std::string& file) { folder.Write(file, ""); },
     ""},
    {"zeros",
     [](const ModelFolder& folder, const std::string& file) {
       folder.Write(file, std::string(5000, '\0'));
     },
     ""},
    {"git_lfs_pointer",
     [](const ModelFolder& folder, const std::string& file) { folder.Write(file, kLfsPointer); },
     ""},
    {"html_page",
     [](const ModelFolder& folder, const std::string& file) {
       folder.Write(file, "<!DOCTYPE html><html><body>404</body></html>");
     },
     ""},
    {"terabyte_of_holes",
     [](const ModelFolder& folder, const std::string& file) {
       folder.Write(file, "{");
       fs::resize_file(folder.dir() / file, uint64_t{1} << 40);
     },
     ""},
};

struct FileOf {
  const char* file;
  const char* model;
  const char* tokenizer;
};
constexpr FileOf kFiles[] = {
    {"config.json", "gpt2", "gpt2"},
    {"generation_config.json", "gpt2", "gpt2"},
    {"tokenizer.json", "gpt2", "gpt2"},
    {"tokenizer_config.json", "gpt2", "gpt2"},
    {"special_tokens_map.json", "gpt2", "gpt2"},
    {"added_tokens.json", "gpt2", "gpt2"},
    {"vocab.json", "gpt2", "opt"},
    {"merges.txt", "gpt2", "opt"},
    {"model.safetensors", "gpt2", "gpt2"},
    {"pytorch_model.bin", "llama", "gpt2"},
    {"model.safetensors.index.json", "gpt_neox", "gpt2"},
    {"pytorch_model.bin.index.json", "opt", "gpt2"},
    {"model-00002-of-00003.safetensors", "gpt_neox", "gpt2"},
    {"pytorch_model-00001-of-00003.bin", "opt", "gpt2"},
};

struct FolderRow {
  const char* name;
  void (*damage)(const ModelFolder& folder);
  const char* file;
  const char* expected;
};

constexpr FolderRow kFolderRows[] = {
    {"no_config", [](const ModelFolder& f) { f.Remove("config.json"); }, "config.json",
     "cannot open"},
    {"no_tokenizer", [](const ModelFolder& f) { f.Remove("tokenizer.json"); }, "",
     "tokenizer.json"},
    {"no_weights", [](const ModelFolder& f) { f.RemoveWeights(); }, "", "no weights"},
    {"vocab_without_merges",
     [](const ModelFolder& f) {
       f.Remove("tokenizer.json");
       f.Write("vocab.json", "{\"a\": 0}");
     },
     "merges.txt", "cannot open"},
    {"merges_without_vocab",
     [](const ModelFolder& f) {
       f.Remove("tokenizer.json");
       f.Write("merges.txt", "");
     },
     "", "vocab.json"},
    {"sentencepiece_only",
     [](const ModelFolder& f) {
       f.Remove("tokenizer.json");
       f.Write("tokenizer.model", "\n\x0e");
     },
     "", "tokenizer.json"},
    {"two_unnamed_weight_files",
     [](const ModelFolder& f) {
       fs::rename(f.dir() / "model.safetensors", f.dir() / "a.safetensors");
       fs::copy(f.dir() / "a.safetensors", f.dir() / "b.safetensors");
     },
     "", "a.safetensors"},
    {"only_other_formats",
     [](const ModelFolder& f) { fs::rename(f.dir() / "model.safetensors", f.dir() / "model.h5"); },
     "", "no weights"},
    {"safetensors_called_gguf",
     [](const ModelFolder& f) {
       fs::rename(f.dir() / "model.safetensors", f.dir() / "model.gguf");
     },
     "", "model.gguf: it begins with"},
    {"safetensors_called_bin",
     [](const ModelFolder& f) {
       fs::rename(f.dir() / "model.safetensors", f.dir() / "pytorch_model.bin");
     },
     "pytorch_model.bin", ""},
    {"folder_is_empty",
     [](const ModelFolder& f) {
       fs::remove_all(f.dir());
       fs::create_directory(f.dir());
     },
     "", "tokenizer.json"},
    {"folder_is_absent", [](const ModelFolder& f) { fs::remove_all(f.dir()); }, "", ""},
    {"folder_is_a_file",
     [](const ModelFolder& f) {
       fs::remove_all(f.dir());
       DRAY_CHECK(::mkfifo(f.dir().c_str(), 0600) == 0);
     },
     "", ""},
};

void UseTensors(const ModelFolder& folder, const Tensors& tensors, size_t padding = 0) {
  folder.RemoveWeights();
  folder.Write("model.safetensors", SafetensorsOf(tensors, padding));
}

void ToDoubles(Tensors& tensors) {
  for (StoredTensor& tensor : tensors) {
    std::string wide(2 * tensor.bytes.size(), '\0');
    for (size_t i = 0; i < tensor.bytes.size() / sizeof(float); ++i) {
      float value;
      std::memcpy(&value, tensor.bytes.data() + i * sizeof(float), sizeof(value));
      const double twin = value;
      std::memcpy(wide.data() + i * sizeof(double), &twin, sizeof(twin));
    }
    tensor.bytes = std::move(wide);
    tensor.dtype = "F64";
  }
}

// Shifts the data to every place within an 8-byte word, for each family and format of weights.
void AddUnaligned(std::vector<SoundModel>& models) {
  for (const char* model :
       {"gpt2", "llama-bf16", "mistral-f16", "bloom", "gpt_neox", "qwen3", "demo"}) {
    for (size_t padding = 0; padding < 8; ++padding) {
      models.push_back({.name = std::string("unaligned_") + model + std::to_string(padding),
                        .model = model,
                        .change = [model, padding](const ModelFolder& folder) {
                          UseTensors(folder, ReadTensors(model), padding);
                        }});
    }
  }
  for (size_t padding = 0; padding < 8; ++padding) {
    models.push_back({.name = "unaligned_f64_" + std::to_string(padding),
                      .change = [padding](const ModelFolder& folder) {
                        Tensors tensors = ReadTensors("gpt2");
                        ToDoubles(tensors);
                        UseTensors(folder, tensors, padding);
                      }});
  }
}

void AddUnusualWeights(std::vector<SoundModel>& models) {
  const auto add = [&](const char* name, void (*change)(Tensors & tensors)) {
    models.push_back({.name = name, .change = [change](const ModelFolder& folder) {
                        Tensors tensors = ReadTensors("gpt2");
                        change(tensors);
                        UseTensors(folder, tensors);
                      }});
  };
  add("reversed", [](Tensors& t) { std::reverse(t.begin(), t.end()); });
  add("without_prefix", [](Tensors& t) {
    for (StoredTensor& tensor : t) {
      if (tensor.name.starts_with("transformer.")) tensor.name.erase(0, 12);
    }
  });
  add("with_unneeded_tensors", [](Tensors& t) {
    t.push_back({"adapter.weight", "F32", {1}, std::string(4, '\0')});
    t.insert(t.begin(), {"scales", "F8_E4M3", {3}, std::string(3, '\x7f')});
    t.push_back({"transformer.h.0.attn.bias", "BOOL", {1, 1, 2, 2}, std::string(4, '\1')});
    t.push_back({"nothing", "F32", {0, 5}, ""});
    t.push_back({"scalar", "I64", {}, std::string(8, '\0')});
  });
  models.push_back({.name = "another_file_name", .change = [](const ModelFolder& folder) {
                      fs::rename(folder.dir() / "model.safetensors",
                                 folder.dir() / "weights.safetensors");
                    }});
  models.push_back({.name = "bin_beside_safetensors", .change = [](const ModelFolder& folder) {
                      folder.Write("pytorch_model.bin", "damaged, but not the one that is read");
                    }});
  models.push_back({.name = "shards_with_unlisted_tensors", .change = [](const ModelFolder& f) {
                      const Tensors all = ReadTensors("gpt2");
                      const auto middle = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
                      f.RemoveWeights();
                      f.Write("1.safetensors", SafetensorsOf(Tensors(all.begin(), middle), 3));
                      f.Write("2.safetensors", SafetensorsOf(Tensors(middle, all.end()), 6));
                      f.Write("model.safetensors.index.json",
                              "{\"weight_map\": {\"" + all.front().name +
                                  "\": \"1.safetensors\", \"" + all.back().name +
                                  "\": \"2.safetensors\"}}");
                    }});
  for (const char* model : {"llama", "opt", "gptj", "gpt2-bin-legacy", "bloom-6-heads"}) {
    models.push_back({.name = std::string("converted_") + model,
                      .model = model,
                      .change = [model](const ModelFolder& folder) {
                        UseTensors(folder, ReadTensors(model), 1);
                      }});
  }
}

struct JsonRow {
  const char* name;
  const char* file;
  const char* path;
  const char* value;
};

// Fields that do not change the weights.
constexpr JsonRow kJsonRows[] = {
    {"whole_doubles", "config.json", "n_embd", "36.0"},
    {"same_by_two_names", "config.json", "hidden_size", "36"},
    {"unknown_field", "config.json", "surprise", "{\"a\": [1, 2, {\"b\": null}]}"},
    {"null_field", "config.json", "quantization_config", "null"},
    {"no_eos", "config.json", "eos_token_id", "null"},
    {"eos_list", "generation_config.json", "eos_token_id", "[256, 3]"},
    {"eos_negative", "generation_config.json", "eos_token_id", "-1"},
    {"unknown_dtype", "config.json", "torch_dtype", "\"float7\""},
    {"field_twice", "config.json", "tie_word_embeddings", "true, \"tie_word_embeddings\": true"},
    {"white_space", "config.json", "n_ctx", "\r\n\t 512 \r\n"},
    {"long_string", "config.json", "_name_or_path", "\"\\u00e9\\ud83d\\ude00/../etc\\u0000\""},
    {"vocabulary_with_holes", "tokenizer.json", "model/vocab/zzzzz", "3999999"},
    {"tokenizer_unknown_field", "tokenizer.json", "padding", "{\"strategy\": \"BatchLongest\"}"},
    {"tokenizer_without_decoder", "tokenizer.json", "decoder", "null"},
    {"tokenizer_without_added_tokens", "tokenizer.json", "added_tokens", "[]"},
    {"tokenizer_without_type", "tokenizer.json", "model/type", "null"},
    {"merge_twice", "tokenizer.json", "model/merges/442", "\"t h\""},
    {"chat_template", "tokenizer_config.json", "chat_template", "\"{{ messages }}\""},
    {"new_special_token", "tokenizer_config.json", "pad_token", "\"<pad>\""},
    {"new_added_token", "added_tokens.json", "<x>", "700"},
    {"added_token_with_another_id", "tokenizer.json", "added_tokens/0/id", "5"},
};

}  // namespace

std::vector<MalformedModel> MalformedFolders() {
  std::vector<MalformedModel> cases;
  for (const FileOf& of : kFiles) {
    for (const Replacement& replacement : kReplacements) {
      const bool is_text = std::string_view(of.file).ends_with(".txt");
      // An empty list of merges is no fault, and the text of a sparse file is never read.
      if (is_text && std::string_view(replacement.name) == "empty") continue;
      cases.push_back(
          {.name = std::string(of.file) + "_is_" + replacement.name,
           .model = of.model,
           .tokenizer = of.tokenizer,
           .damage = [of, replacement](const ModelFolder& f) { replacement.put(f, of.file); },
           .file = of.file,
           .expected = {replacement.expected}});
    }
  }
  for (const FolderRow& row : kFolderRows) {
    cases.push_back(
        {.name = row.name, .damage = row.damage, .file = row.file, .expected = {row.expected}});
  }
  return cases;
}

std::vector<SoundModel> SoundModels() {
  std::vector<SoundModel> models;
  AddUnaligned(models);
  AddUnusualWeights(models);
  for (const JsonRow& row : kJsonRows) {
    models.push_back({.name = row.name, .change = [row](const ModelFolder& folder) {
                        folder.SetJson(row.file, row.path, row.value);
                      }});
  }
  for (const char* tokenizer :
       {"bert", "bloom", "clip", "demo", "gemma", "llama2", "llama2_metaspace", "llama3", "neox",
        "opt", "qwen2", "t5", "unigram_bytes", "wordlevel"}) {
    models.push_back({.name = std::string("tokenizer_") + tokenizer,
                      .tokenizer = tokenizer,
                      .change = [](const ModelFolder&) {}});
  }
  return models;
}

}  // namespace dray::testing
