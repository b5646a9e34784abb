#include "api/management/management_parameters.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <optional>

#include "base/log.h"
#include "base/parse/json.h"
#include "base/parse/parse_number.h"

namespace dray::api {
namespace {

// Of a body: a registration has a dozen parameters, of which one is a path.
constexpr size_t kMaxBodyBytes = 64 * 1024;
constexpr size_t kMaxValues = 64;

Status Invalid(std::string message) { return {StatusCode::kInvalidArgument, std::move(message)}; }

// The parameters that stand for settings of the model.
struct SettingParameter {
  std::string_view name;
  std::string_view property;
  enum class Kind { kNumber, kText } kind;
};
using Kind = SettingParameter::Kind;
constexpr SettingParameter kSettingParameters[] = {
    {"job_queue_size", "job_queue_size", Kind::kNumber},
    {"batch_size", "batch_size", Kind::kNumber},
    {"max_batch_delay", "max_batch_delay", Kind::kNumber},
    {"max_idle_time", "max_idle_time", Kind::kNumber},
    {"min_worker", "minWorkers", Kind::kNumber},
    {"max_worker", "maxWorkers", Kind::kNumber},
    {"engine", "engine", Kind::kText},
    {"device", "load_on_devices", Kind::kText},
};
constexpr std::string_view kOtherParameters[] = {"url", "model_name", "model_version",
                                                 "synchronous"};

std::string SettingNames() {
  std::string names;
  for (const SettingParameter& parameter : kSettingParameters) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", parameter.name);
  }
  return names;
}

bool IsJson(const http::Request& request) {
  const std::string* type = request.headers.Find("Content-Type");
  if (type == nullptr) return false;
  std::string_view media = std::string_view(*type).substr(0, type->find(';'));
  while (media.ends_with(' ')) media.remove_suffix(1);
  return http::EqualsIgnoreCase(media, "application/json");
}

Result<std::string> TextOf(const std::string& name, const Json& value) {
  if (const std::string* text = value.AsString()) return *text;
  if (value.is_number() || value.is_bool()) return value.Dump();
  return Invalid(fmt::format("\"{}\" must be a string, a number, or true or false, not {}",
                             name.substr(0, 100), value.KindName()));
}

}  // namespace

Result<ManagementParameters> ManagementParameters::Read(const http::Request& request) {
  ManagementParameters out;
  // Of equal names the first counts, as in DJLServing.
  for (const auto& [name, value] : request.query) out.values_.try_emplace(name, value);
  if (!IsJson(request) || request.body.empty()) return out;
  if (request.body.size() > kMaxBodyBytes) {
    return Invalid(fmt::format("the body has {} bytes; a registration has at most {}",
                               request.body.size(), kMaxBodyBytes));
  }
  const auto body = Json::Parse(request.body, {.max_values = kMaxValues});
  if (!body.ok() || !body->is_object()) {
    return Invalid("the request's body must be one JSON object, such as {\"url\": \"/path\"}");
  }
  for (const auto& [name, value] : *body->AsObject()) {
    if (value.is_null()) continue;
    DRAY_ASSIGN_OR_RETURN(out.values_[name], TextOf(name, value));
  }
  return out;
}

std::string ManagementParameters::Text(std::string_view name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? "" : found->second;
}

Result<int64_t> ManagementParameters::Number(std::string_view name, int64_t absent) const {
  const std::string text = Text(name);
  if (text.empty()) return absent;
  if (const auto number = ParseInt64(text)) return *number;
  return Invalid(
      fmt::format("parameter is invalid number.For input string: \"{}\"", text.substr(0, 100)));
}

bool ManagementParameters::Flag(std::string_view name, bool absent) const {
  const std::string text = Text(name);
  return text.empty() ? absent : http::EqualsIgnoreCase(text, "true");
}

Result<serving::ModelManager::WorkerChange> ReadWorkerChange(
    const ManagementParameters& parameters) {
  const auto read = [&](std::string_view name, int64_t least,
                        int64_t most) -> Result<std::optional<int64_t>> {
    DRAY_ASSIGN_OR_RETURN(const int64_t number, parameters.Number(name, -1));
    if (number < 0) return std::optional<int64_t>();
    if (number >= least && number <= most) return std::optional(number);
    return Invalid(
        fmt::format("parameter \"{}\" is {}; it must be {} to {}", name, number, least, most));
  };
  constexpr int64_t kMaxMilliseconds = 24 * 3600 * 1000;
  serving::ModelManager::WorkerChange change;
  DRAY_ASSIGN_OR_RETURN(change.min_workers,
                        read("min_worker", 0, serving::WorkerPool::kMaxWorkers));
  DRAY_ASSIGN_OR_RETURN(change.max_workers,
                        read("max_worker", 0, serving::WorkerPool::kMaxWorkers));
  DRAY_ASSIGN_OR_RETURN(change.batch_size, read("batch_size", 1, 65536));
  DRAY_ASSIGN_OR_RETURN(const auto delay, read("max_batch_delay", 0, kMaxMilliseconds));
  DRAY_ASSIGN_OR_RETURN(const auto idle, read("max_idle_time", 0, kMaxMilliseconds));
  if (delay) change.max_batch_delay = std::chrono::milliseconds(*delay);
  if (idle) change.max_idle_time = std::chrono::seconds(*idle);
  return change;
}

Result<serving::Registration> ReadRegistration(const ManagementParameters& parameters) {
  serving::Registration registration;
  registration.url = parameters.Text("url");
  if (registration.url.empty()) return Invalid("Parameter url is required.");
  registration.name = parameters.Text("model_name");
  registration.version = parameters.Text("model_version");
  for (const auto& [name, value] : parameters.all()) {
    const auto setting = std::find_if(
        std::begin(kSettingParameters), std::end(kSettingParameters),
        [&name = name](const SettingParameter& parameter) { return parameter.name == name; });
    if (setting == std::end(kSettingParameters)) {
      const bool known = std::find(std::begin(kOtherParameters), std::end(kOtherParameters),
                                   name) != std::end(kOtherParameters);
      if (known) continue;
      // DJLServing takes no notice of it either.
      LogWarning(
          fmt::format("POST /models: parameter \"{}\" is not known and changes nothing; the "
                      "parameters are {}, {}",
                      name.substr(0, 100), fmt::join(kOtherParameters, ", "), SettingNames()));
      continue;
    }
    if (setting->kind == Kind::kNumber) {
      DRAY_RETURN_IF_ERROR(parameters.Number(name, 0).status());
    }
    if (!value.empty()) registration.settings[std::string(setting->property)] = value;
  }
  return registration;
}

}  // namespace dray::api
