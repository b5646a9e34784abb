// serving.properties: any bytes give settings, or an error that names their source; warnings name
// it too.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/parse/properties.h"
#include "settings/load_settings.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto properties = dray::ParseProperties(text);
  if (!properties.ok()) return 0;
  dray::settings::SettingSources sources;
  sources.serving_properties = *properties;
  const auto loaded = dray::settings::LoadSettings(sources);
  if (!loaded.ok()) {
    DRAY_CHECK(loaded.status().message().find("serving.properties: ") != std::string::npos);
    return 0;
  }
  for (const std::string& warning : loaded->warnings) {
    DRAY_CHECK(warning.starts_with("serving.properties: "));
  }
  DRAY_CHECK(loaded->settings.model.max_rolling_batch_size >= 1);
  DRAY_CHECK(loaded->settings.model.job_queue_size >= 0 &&
             loaded->settings.model.kv_cache_bytes >= 0);
  return 0;
}
