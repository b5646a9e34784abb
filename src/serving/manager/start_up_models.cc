#include "serving/manager/start_up_models.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "checkpoint/gguf/gguf_files.h"
#include "fetch/unpack_archive.h"
#include "serving/load/model_source.h"
#include "settings/foreign/words.h"

namespace dray::serving {
namespace {

namespace fs = std::filesystem;

Registration FromPath(const fs::path& path) {
  Registration registration;
  registration.url = path.string();
  std::error_code error;
  const char* const end = fs::is_directory(path, error) ? "/" : "";
  registration.name = ModelNameOfUrl(registration.url + end);
  registration.origin = ModelOrigin::kStartUp;
  return registration;
}

bool IsModelEntry(const fs::directory_entry& entry) {
  const fs::path& path = entry.path();
  if (path.filename().string().starts_with('.')) return false;
  std::error_code error;
  return entry.is_directory(error) || checkpoint::IsGgufFile(path) || fetch::HasArchiveName(path);
}

Status AddStore(const fs::path& store, std::vector<Registration>& out) {
  if (store.empty()) return OkStatus();
  DRAY_RETURN_IF_ERROR(CheckFolderReadable(store).WithPrefix("model_store"));
  if (HasEntry(store / "config.json") || HasEntry(store / "serving.properties")) {
    out.push_back(FromPath(store));
    return OkStatus();
  }
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::directory_iterator it(store, error), end; !error && it != end; it.increment(error)) {
    if (IsModelEntry(*it)) paths.push_back(it->path());
  }
  if (error) {
    return {StatusCode::kIo,
            fmt::format("cannot list model_store {}: {}", store.string(), error.message())};
  }
  std::sort(paths.begin(), paths.end());
  for (const fs::path& path : paths) out.push_back(FromPath(path));
  return OkStatus();
}

// Cuts the text at `separator`; the rest is left in `text`.
std::string TakePart(std::string_view& text, char separator) {
  const size_t end = std::min(text.find(separator), text.size());
  std::string part(text.substr(0, end));
  text.remove_prefix(std::min(end + 1, text.size()));
  return part;
}

// What stands before the "=" of an item, without brackets; "" if the item is a URL alone. A URL may have a "=" too, behind
// a "/" or a "?".
std::string_view HeadOf(std::string_view item) {
  std::string_view head = item.substr(0, item.find_first_of("=/?"));
  if (head.size() == item.size() || item[head.size()] != '=') return "";
  if (head.starts_with('[')) head.remove_prefix(1);
  if (head.ends_with(']')) head.remove_suffix(1);
  return head;
}

Result<Registration> ParseItem(std::string_view item, const fs::path& store) {
  Registration registration;
  registration.origin = ModelOrigin::kStartUp;
  std::string_view head = HeadOf(item);
  if (head.empty() && item.starts_with('[')) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("load_models has \"{}\"; an item is a URL, or "
                              "[name:version:engine:devices]=URL",
                              item.substr(0, 200)));
  }
  if (!head.empty()) {
    item.remove_prefix(item.find('=') + 1);
    registration.name = TakePart(head, ':');
    registration.version = TakePart(head, ':');
    if (auto engine = TakePart(head, ':'); !engine.empty()) {
      registration.settings["engine"] = std::move(engine);
    }
    if (!head.empty()) registration.settings["load_on_devices"] = std::string(head);
  }
  registration.url = item;
  std::error_code error;
  const bool in_store =
      !store.empty() && fs::path(item).is_relative() && fs::exists(store / fs::path(item), error);
  if (in_store) registration.url = (store / fs::path(item)).string();
  if (registration.name.empty()) registration.name = ModelNameOfUrl(registration.url);
  return registration;
}

}  // namespace

Result<std::vector<Registration>> ListStartUpModels(const fs::path& store,
                                                    const std::string& load_models) {
  std::vector<Registration> out;
  std::string list = load_models;
  std::replace(list.begin(), list.end(), ',', ' ');
  std::string_view rest = list;
  while (!rest.empty()) {
    const std::string item = TakePart(rest, ' ');
    if (item.empty() || settings::EqualsIgnoreCase(item, "NONE")) continue;
    if (settings::EqualsIgnoreCase(item, "ALL")) {
      DRAY_RETURN_IF_ERROR(AddStore(store, out));
      continue;
    }
    DRAY_ASSIGN_OR_RETURN(out.emplace_back(), ParseItem(item, store));
  }
  return out;
}

}  // namespace dray::serving
