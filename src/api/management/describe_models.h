// Models as the management API shows them. Field names and their order are DJLServing's.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/parse/json.h"
#include "serving/repository.h"

namespace dray::api {

// Of the answer to GET /models: the names at [first, first + limit) in alphabetical order, each with
// its versions, and the token of the next page if there is one.
struct Page {
  int64_t first = 0;
  int64_t limit = 0;
};
Json ListModelsJson(const std::vector<serving::ModelInfo>& models, const Page& page);
// The same of GET /workflows, where each version of a model is a workflow.
Json ListWorkflowsJson(const std::vector<serving::ModelInfo>& models, const Page& page);

// The answer to GET /models/{name}: an array with an object for each version.
Json DescribeModelsJson(const std::vector<serving::ModelRepository::Entry>& versions);

}  // namespace dray::api
