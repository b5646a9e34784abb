// The files of sentence-transformers: any JSON is refused with a message, or is modules whose folders
// lie inside the model's, pooling modes, or a dense layer whose sizes are within limits.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/parse/json.h"
#include "model/sentence/sentence_config.h"

namespace {

template <typename T>
bool IsGood(const dray::Result<T>& result) {
  if (!result.ok()) DRAY_CHECK(!result.status().message().empty());
  return result.ok();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto json = dray::Json::Parse({reinterpret_cast<const char*>(data), size});
  if (!json.ok()) return 0;
  const auto modules = dray::model::ParseModules("modules.json", *json);
  if (IsGood(modules)) {
    DRAY_CHECK(!modules->empty());
    for (const auto& module : *modules) {
      const auto folder = ("model" / module.folder).lexically_normal();
      DRAY_CHECK(folder.string().starts_with("model"));
    }
  }
  const auto pooling = dray::model::ParsePooling("config.json", *json);
  if (IsGood(pooling)) DRAY_CHECK(!pooling->modes.empty());
  const auto dense = dray::model::ParseDense("config.json", *json);
  if (IsGood(dense)) DRAY_CHECK(dense->in_features > 0 && dense->out_features > 0);
  return 0;
}
