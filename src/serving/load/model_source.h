// Where a model's URL leads: to a folder or a .gguf file of this machine, or to an archive, which is
// unpacked.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/machine/temporary_folder.h"
#include "base/status.h"

namespace dray::serving {

// "dray-models-UID" in the folder for temporary files, with this user's id.
std::filesystem::path DefaultUnpackDir();

// Movable. What was unpacked is removed with it.
class ModelSource {
 public:
  // `url` is a path or a file: URL. An archive is unpacked into a new folder below `unpack_dir`, which
  // is made if there is none; if it holds one folder and nothing else, the model is that folder.
  // kNotFound if there is no such file or folder, or if the URL is of another kind. kIo if another user
  // could change what lies in `unpack_dir`; see also fetch::UnpackArchive.
  static Result<ModelSource> Open(const std::string& url, const std::filesystem::path& unpack_dir);

  // A folder or a .gguf file.
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  TemporaryFolder unpacked_;  // if something was unpacked
};

// The path that `url` names; kNotFound if it is of another kind than a path or a file: URL.
Result<std::filesystem::path> PathOfUrl(const std::string& url);

// What DJLServing calls a model that was registered without a name: the last part of the URL's path
// without its extension, with "_" for every character but letters, digits and "_". A path that ends in "/" is a folder's,
// whose name has no extension.
std::string ModelNameOfUrl(std::string_view url);

// Whether a client may give a model this name or version: 1 to 128 letters, digits, ".", "_" and
// "-", the first of which is not ".".
bool IsModelName(std::string_view name);

}  // namespace dray::serving
