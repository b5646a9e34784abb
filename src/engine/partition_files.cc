#include "engine/partition_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "artifact/checksum.h"
#include "base/file.h"
#include "base/open_file.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf/gguf_files.h"
#include "checkpoint/weight_files.h"
#include "engine/partition_modules.h"

namespace dray::engine {
namespace {

namespace fs = std::filesystem;

// The largest tokenizers take some 40 MB.
constexpr uint64_t kMaxFileBytes = uint64_t{256} << 20;

// Configuration, vocabularies and templates, whatever a tokenizer calls them.
constexpr std::array<std::string_view, 4> kExtensions = {".json", ".txt", ".model", ".jinja"};

bool IsWanted(const fs::path& file) {
  const std::string name = file.filename().string();
  const std::string extension = file.extension().string();
  return std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end() &&
         !name.ends_with(".index.json") && name != artifact::kManifestName;
}

// Files by any of which a folder has a tokenizer.
constexpr std::array kVocabularies = {"tokenizer.json", "vocab.json",   "merges.txt",
                                      "vocab.txt",      "spiece.model", "tokenizer.model"};

constexpr const char* kModulesName = "modules.json";

// The folder's files by name.
Result<std::map<std::string, fs::path>> FindFiles(const fs::path& folder) {
  DRAY_RETURN_IF_ERROR(CheckFolderReadable(folder));
  std::map<std::string, fs::path> files;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code unreadable;
    if (it->is_regular_file(unreadable) && IsWanted(it->path())) {
      files[it->path().filename().string()] = it->path();
    }
  }
  if (error) return Status(StatusCode::kIo, folder.string() + ": " + error.message());
  return files;
}

bool IsGgufModel(const fs::path& path) {
  if (checkpoint::IsGgufFile(path)) return true;
  const auto weights = checkpoint::FindWeightFiles(path);
  return weights.ok() && weights->format == checkpoint::FileFormat::kGguf;
}

Status CopyFile(const std::string& name, const fs::path& path, artifact::ArtifactWriter& writer) {
  DRAY_ASSIGN_OR_RETURN(const std::string content, ReadFile(path, kMaxFileBytes));
  return writer.AddFile(name, content);
}

// Adds modules.json and the folders of the modules. The other files of `folder` join `files`, those of the
// transformer, which come before files of the same name.
Status AddModules(const fs::path& folder, std::map<std::string, fs::path>& files,
                  artifact::ArtifactWriter& writer) {
  DRAY_ASSIGN_OR_RETURN(const std::string modules, ModulesOfArtifact(folder));
  DRAY_RETURN_IF_ERROR(writer.AddFile(kModulesName, modules));
  DRAY_ASSIGN_OR_RETURN(const auto of_modules, FindModuleFiles(folder));
  for (const ModuleFile& file : of_modules) {
    DRAY_RETURN_IF_ERROR(CopyFile(file.name, file.path, writer));
  }
  DRAY_ASSIGN_OR_RETURN(auto others, FindFiles(folder));
  files.merge(others);
  files.erase(kModulesName);
  return OkStatus();
}

}  // namespace

Result<uint64_t> SourceChecksum(const ModelSources& sources) {
  std::vector<fs::path> files;
  // A model of random weights has none of the first kind.
  const auto weights = checkpoint::FindWeightFiles(sources.model);
  if (weights.ok()) files = weights->files;
  const fs::path config = checkpoint::ModelDir(sources.model) / "config.json";
  if (HasEntry(config)) files.push_back(config);
  if (!sources.modules.empty()) {
    files.push_back(sources.modules / kModulesName);
    // Only an encoder needs the modules, and AddModelFiles then refuses those that are wrong.
    if (const auto modules = FindModuleFiles(sources.modules); modules.ok()) {
      for (const ModuleFile& file : *modules) {
        if (HasEntry(file.path)) files.push_back(file.path);
      }
    }
  }
  std::string text;
  for (const fs::path& file : files) {
    DRAY_ASSIGN_OR_RETURN(const FileState state, ReadFileState(file));
    text +=
        fmt::format("{} {} {}\n", file.filename().string(), state.size_bytes, state.modified_ns);
  }
  return artifact::Checksum(text);
}

Status AddModelFiles(const ModelSources& sources, const model::ModelDescription& description,
                     artifact::ArtifactWriter& writer) {
  const auto& [model, tokenizer, modules] = sources;
  DRAY_ASSIGN_OR_RETURN(auto files, FindFiles(checkpoint::ModelDir(model)));
  if (!modules.empty() && description.config.kind == model::ModelKind::kEncoder) {
    DRAY_RETURN_IF_ERROR(AddModules(modules, files, writer));
  }
  if (!description.gguf_config.is_null()) {
    files.erase("config.json");
    DRAY_RETURN_IF_ERROR(writer.AddFile("config.json", description.gguf_config.Dump(1)));
  }
  if (tokenizer != model) {
    DRAY_ASSIGN_OR_RETURN(auto others, FindFiles(checkpoint::ModelDir(tokenizer)));
    for (const char* of_model : {"config.json", "generation_config.json", kModulesName}) {
      others.erase(of_model);
    }
    // A vocabulary of the model's own folder must not stand beside that of the tokenizer.
    for (const char* name : kVocabularies) files.erase(name);
    for (auto& [name, path] : others) files[name] = path;
  }
  if (IsGgufModel(tokenizer)) {
    DRAY_ASSIGN_OR_RETURN(const Json metadata, checkpoint::ReadMetadata(tokenizer));
    DRAY_RETURN_IF_ERROR(writer.AddFile(checkpoint::kGgufMetadataName, metadata.Dump()));
  }
  for (const auto& [name, path] : files) DRAY_RETURN_IF_ERROR(CopyFile(name, path, writer));
  return OkStatus();
}

}  // namespace dray::engine
