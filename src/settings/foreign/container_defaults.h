// What DJLServing's images set for a server that is started without an argument, as SageMaker starts it.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "base/parse/properties.h"
#include "base/status.h"

namespace dray::settings {

// Whether this process runs in a container: by the files that engines for containers leave below
// `root` ("/"; tests have another), or by the variables of the services that run containers.
bool RunsInContainer(const std::map<std::string, std::string>& environment,
                     const std::filesystem::path& root);

// The properties of a server without an argument: models from /opt/ml/model if `root` has that folder,
// and, in a container, every interface of port 8080. On an instance of SageMaker, which has a file about its endpoint,
// a request's id is SageMaker's.
Properties ContainerDefaults(const std::map<std::string, std::string>& environment,
                             const std::filesystem::path& root);

// The file of server settings in the folder that MODEL_SERVER_HOME names: conf/config.properties, or
// else config.properties; "" if there is none. kNotFound if the variable names no folder.
Result<std::filesystem::path> FindServerConfig(
    const std::map<std::string, std::string>& environment);

}  // namespace dray::settings
