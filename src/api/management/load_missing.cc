#include "api/management/load_missing.h"

#include <memory>
#include <string>
#include <utility>
#include <variant>

namespace dray::api {
namespace {

using serving::ModelManager;
using serving::Reason;

Reason NotFound(std::string message) { return Status(StatusCode::kNotFound, std::move(message)); }

}  // namespace

LoadMissing MakeLoadMissing(ModelManager& manager, serving::UrlPattern pattern) {
  return [&manager, pattern = std::make_shared<serving::UrlPattern>(std::move(pattern))](
             const MissingModel& model, const std::function<void(std::optional<Reason>)>& then) {
    if (model.url.empty()) return then(NotFound("Parameter model_url is required."));
    if (!pattern->Matches(model.url)) {
      return then(NotFound("Permission denied: " + model.url.substr(0, 200)));
    }
    serving::Registration registration;
    registration.url = model.url;
    registration.name = model.name;
    registration.version = model.version;
    const auto refused = manager.Register(
        std::move(registration), ModelManager::OnFailure::kForget, [then](const Status& status) {
          then(status.ok() ? std::nullopt : std::optional<Reason>(status));
        });
    if (refused.ok()) return;
    // Another request has the same model loaded: this one finds it, or is told that it is not ready.
    const bool exists = std::holds_alternative<serving::ModelExists>(refused.reason());
    then(exists ? std::nullopt : std::optional<Reason>(refused.reason()));
  };
}

}  // namespace dray::api
