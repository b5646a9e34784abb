// Where the files of a model are, and what a model is called that has no other name.
#pragma once

#include <filesystem>
#include <string>

#include "base/status.h"
#include "settings/settings.h"

namespace dray::serving {

// What people type in place of a folder for a model of engine=Echo, and its name then.
inline constexpr const char* kEchoModelName = "echo";

// Each is a folder or a .gguf file.
struct ModelFiles {
  std::filesystem::path model;
  std::filesystem::path tokenizer;
  std::filesystem::path draft;  // "" without a draft model
};

// The files that `settings` name. `folder` is the model's own folder, which may hold
// serving.properties ("" if none was named): paths in the settings may be relative to it.
// A model of engine=Echo has no files: its path is `folder`, or "echo", and nothing is looked for there.
// kInvalidArgument if no model is named, kNotFound (which names the path) if there is none,
// kUnsupported if the folder holds a handler in Python (model.py) that would serve it.
Result<ModelFiles> LocateModelFiles(const settings::ModelSettings& settings,
                                    const std::filesystem::path& folder);

// The last part of a model's path, however the path is spelt ("/models/gpt2/", "gpt2/.", "./" in
// that folder); of a .gguf file without the extension. "model" for the root folder.
std::string ModelNameOf(const std::filesystem::path& model);

}  // namespace dray::serving
