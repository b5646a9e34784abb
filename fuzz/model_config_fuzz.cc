// config.json: any JSON is refused with a message, or describes a model whose sizes are within
// limits.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/parse/json.h"
#include "model/describe/model_description.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto json = dray::Json::Parse({reinterpret_cast<const char*>(data), size});
  if (!json.ok()) return 0;
  const auto model = dray::model::DescribeModel("", *json, dray::Json());
  if (!model.ok()) {
    DRAY_CHECK(!model.status().message().empty());
    return 0;
  }
  DRAY_CHECK(model->family != nullptr && model->config.stack.hidden > 0 &&
             model->config.stack.num_layers > 0);
  return 0;
}
