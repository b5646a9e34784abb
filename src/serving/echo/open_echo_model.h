// A model without files, which answers each request with its own text.
#pragma once

#include <memory>

#include "serving/served_model.h"
#include "settings/settings.h"

namespace dray::serving {

// Starts its workers, each of which is an echo engine (engine/echo/). A request that gives no length
// is answered with the whole of its text. `options` are those that any model has.
std::shared_ptr<ServedModel> OpenEchoModel(const settings::ModelSettings& settings,
                                           ModelOptions options);

}  // namespace dray::serving
