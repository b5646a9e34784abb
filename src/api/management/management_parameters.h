// The parameters of a management request, from its query or its body.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/status.h"
#include "http/request.h"
#include "serving/manager/model_manager.h"

namespace dray::api {

class ManagementParameters {
 public:
  // Takes the query's parameters, and over them the members of a JSON body, if it has one.
  // kInvalidArgument if the body is no flat JSON object.
  static Result<ManagementParameters> Read(const http::Request& request);

  // "" without it.
  std::string Text(std::string_view name) const;
  // `absent` without it; kInvalidArgument, in DJLServing's words, if it is no whole number.
  Result<int64_t> Number(std::string_view name, int64_t absent) const;
  // As DJLServing reads it: false is any word but "true".
  bool Flag(std::string_view name, bool absent) const;

  const std::map<std::string, std::string, std::less<>>& all() const { return values_; }

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

// What PUT /models/{model} asks for. kInvalidArgument names the number that is wrong. A negative one
// counts as absent.
Result<serving::ModelManager::WorkerChange> ReadWorkerChange(
    const ManagementParameters& parameters);

// What POST /models asks for. kInvalidArgument names the parameter that is missing or wrong. One that nobody knows is
// named in the log.
Result<serving::Registration> ReadRegistration(const ManagementParameters& parameters);

}  // namespace dray::api
