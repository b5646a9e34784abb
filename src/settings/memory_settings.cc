#include "settings/memory_settings.h"

#include <array>
#include <string>
#include <utility>

#include "base/parse/json.h"
#include "settings/setting_values.h"

namespace dray::settings {

Status SetMaxMemory(int64_t& out, std::string_view text) {
  constexpr std::string_view kForm =
      "it must be a number of bytes such as 8GiB, or {\"cpu\": \"8GiB\"}: weights are in the "
      "memory of the processors";
  if (!text.starts_with('{')) return SetBytes(out, text, 0);
  const auto json = Json::Parse(text);
  const Json::Object* devices = json.ok() ? json->AsObject() : nullptr;
  if (devices == nullptr || devices->size() != 1 || devices->front().first != "cpu") {
    return MustBe(std::string(kForm));
  }
  const Json& limit = devices->front().second;
  const std::string bytes = limit.AsString() != nullptr ? *limit.AsString() : limit.Dump();
  return SetBytes(out, bytes, 1).ok() ? OkStatus() : MustBe(std::string(kForm));
}

Status SetArtifactMemory(engine::ArtifactMemory& out, std::string_view text) {
  using engine::ArtifactMemory;
  constexpr std::array<std::pair<std::string_view, ArtifactMemory>, 3> kChoices = {
      {{"auto", ArtifactMemory::kAuto},
       {"map", ArtifactMemory::kMap},
       {"copy", ArtifactMemory::kCopy}}};
  for (const auto& [name, choice] : kChoices) {
    if (text != name) continue;
    out = choice;
    return OkStatus();
  }
  return MustBe("it must be auto, map or copy");
}

}  // namespace dray::settings
