#include "serving/load/model_files.h"

#include <fmt/format.h>

#include "base/file.h"
#include "checkpoint/gguf/gguf_files.h"

namespace dray::serving {
namespace {

namespace fs = std::filesystem;

bool IsModel(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error) || (checkpoint::IsGgufFile(path) && fs::exists(path, error));
}

// A path in a folder's serving.properties may be relative to that folder.
fs::path Locate(const fs::path& folder, const std::string& path) {
  if (path.empty()) return folder;
  if (fs::path(path).is_relative() && !folder.empty() && IsModel(folder / path)) {
    return folder / path;
  }
  return path;
}

Status CheckModel(const fs::path& path) {
  if (path.empty()) {
    return {StatusCode::kInvalidArgument,
            "no model was named: give a folder with config.json and weights, a .gguf file, or "
            "\"demo\" for the built-in model"};
  }
  if (!IsModel(path)) {
    Status readable = checkpoint::IsGgufFile(path) ? OkStatus() : CheckFolderReadable(path);
    if (readable.code() == StatusCode::kIo) return readable;
    return {StatusCode::kNotFound,
            fmt::format("there is no folder {}: name one that holds config.json, weights and a "
                        "tokenizer, or a .gguf file, or \"demo\" for the built-in model",
                        path.string())};
  }
  return OkStatus();
}

}  // namespace

Result<ModelFiles> LocateModelFiles(const settings::ModelSettings& settings,
                                    const fs::path& folder) {
  ModelFiles files;
  files.model = Locate(folder, settings.model_id);
  DRAY_RETURN_IF_ERROR(CheckModel(files.model));
  files.tokenizer = settings.tokenizer.empty() ? files.model : Locate(folder, settings.tokenizer);
  if (const std::string& draft = settings.speculation.draft_model; !draft.empty()) {
    files.draft = Locate(folder, draft);
    DRAY_RETURN_IF_ERROR(CheckModel(files.draft).WithPrefix("speculative_draft_model"));
  }
  return files;
}

std::string ModelNameOf(const fs::path& model) {
  std::error_code error;
  const fs::path absolute = fs::absolute(model, error);
  fs::path path = (error ? model : absolute).lexically_normal();
  // A path that ends in a slash has an empty last part.
  if (!path.has_filename()) path = path.parent_path();
  const fs::path name = checkpoint::IsGgufFile(path) ? path.stem() : path.filename();
  return name.empty() ? "model" : name.string();
}

}  // namespace dray::serving
