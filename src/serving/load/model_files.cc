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

// DJLServing runs the handler in a model's folder, unless option.entryPoint names one of its own. A
// model.py without such a function is no handler.
Status CheckNoHandler(const settings::ModelSettings& settings, const fs::path& folder) {
  constexpr uint64_t kMaxHandlerBytes = 1 << 20;
  const fs::path handler = folder / "model.py";
  if (folder.empty() || settings.has_built_in_handler || checkpoint::IsGgufFile(folder) ||
      !HasEntry(handler)) {
    return OkStatus();
  }
  DRAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(handler, kMaxHandlerBytes));
  if (text.find("def handle(") == std::string::npos) return OkStatus();
  return {StatusCode::kUnsupported,
          fmt::format("{}: handlers in Python are not in this build; remove the file, or set "
                      "option.entryPoint=djl_python.huggingface to serve the model without it",
                      handler.string())};
}

}  // namespace

Result<ModelFiles> LocateModelFiles(const settings::ModelSettings& settings,
                                    const fs::path& folder) {
  ModelFiles files;
  if (settings.engine == settings::EngineKind::kEcho) {
    files.model = folder.empty() ? fs::path(kEchoModelName) : folder;
    return files;
  }
  DRAY_RETURN_IF_ERROR(CheckNoHandler(settings, folder));
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
