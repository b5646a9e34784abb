// From what a user names to a shape: a shipped shape, a config.json, a folder with one, an artifact, or a GGUF
// file.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/parse/json.h"
#include "base/status.h"
#include "plan/shape/model_shape.h"

namespace dray::plan {

// `model` is a path, or else the name of a shipped shape. Of weights only the headers of their files are
// read, which say in which formats they are stored; a folder needs no weights. kNotFound, naming the
// shapes that there are, if it is neither; other errors are those of the configuration.
Result<std::unique_ptr<ModelShape>> OpenShape(const std::string& model);

// The shape of a parsed config.json; `where` names it in errors.
Result<std::unique_ptr<ModelShape>> ReadShape(const std::string& where, const Json& config);

}  // namespace dray::plan
