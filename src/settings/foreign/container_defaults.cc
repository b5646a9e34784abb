#include "settings/foreign/container_defaults.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/file.h"

namespace dray::settings {
namespace {

namespace fs = std::filesystem;

// Docker, Podman.
constexpr std::array<const char*, 2> kContainerFiles = {".dockerenv", "run/.containerenv"};
// Podman and systemd-nspawn, Kubernetes, ECS, SageMaker.
constexpr std::array<const char*, 4> kContainerVariables = {"container", "KUBERNETES_SERVICE_HOST",
                                                            "ECS_CONTAINER_METADATA_URI_V4",
                                                            "SAGEMAKER_BIND_TO_PORT"};

}  // namespace

bool RunsInContainer(const std::map<std::string, std::string>& environment, const fs::path& root) {
  return std::any_of(kContainerFiles.begin(), kContainerFiles.end(),
                     [&](const char* file) { return HasEntry(root / file); }) ||
         std::any_of(kContainerVariables.begin(), kContainerVariables.end(),
                     [&](const char* name) { return environment.contains(name); });
}

Properties ContainerDefaults(const std::map<std::string, std::string>& environment,
                             const fs::path& root) {
  Properties defaults;
  const fs::path store = root / "opt/ml/model";
  std::error_code error;
  if (fs::is_directory(store, error)) defaults["model_store"] = store.string();
  if (RunsInContainer(environment, root)) defaults["inference_address"] = "http://0.0.0.0:8080";
  if (HasEntry(root / "opt/ml/.sagemaker_infra/endpoint-metadata.json")) {
    defaults["request_id_header_key"] = "X-Amzn-SageMaker-Inference-Id";
  }
  return defaults;
}

Result<fs::path> FindServerConfig(const std::map<std::string, std::string>& environment) {
  const auto home = environment.find("MODEL_SERVER_HOME");
  if (home == environment.end() || home->second.empty()) return fs::path();
  std::error_code error;
  if (!fs::is_directory(home->second, error)) {
    return Status(StatusCode::kNotFound,
                  fmt::format("environment: MODEL_SERVER_HOME is \"{}\", which is no folder; name "
                              "the folder with conf/config.properties, or unset it",
                              home->second));
  }
  for (const char* name : {"conf/config.properties", "config.properties"}) {
    const fs::path file = fs::path(home->second) / name;
    if (HasEntry(file)) return file;
  }
  return fs::path();
}

}  // namespace dray::settings
