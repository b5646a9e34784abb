// The JSON of a generation request: any bytes give a call within the limits, or an error with a
// message.
#include <cstdint>
#include <string_view>

#include "api/djl/djl_body.h"
#include "api/djl/djl_call.h"
#include "api/djl/errors/djl_errors.h"
#include "base/check.h"

namespace {

using Reader = dray::api::CallReader;
using dray::api::Delivery;
using dray::settings::AnswerShape;

void CheckCall(const dray::api::GenerateCall& call) {
  DRAY_CHECK(!call.inputs.empty() && call.inputs.size() <= dray::api::kMaxInputs);
  for (const std::string& input : call.inputs) DRAY_CHECK(!input.empty());
  DRAY_CHECK(call.num_returned >= 1 && call.num_returned <= call.request.params.n);
  DRAY_CHECK(call.top_n_tokens >= 0);
  DRAY_CHECK(call.request.params.num_logprobs.has_value());
  // For any input Validate either accepts the parameters or returns an error with a message.
  dray::sampling::ParamLimits limits;
  limits.vocab_size = 1000;
  limits.max_new_tokens = 1000;
  const auto problem = dray::sampling::FindProblem(call.request.params, limits);
  DRAY_CHECK(!problem || !dray::api::MakeDjlError(*problem).message.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto call = Reader(AnswerShape::kTokens, Delivery::kWhole).ReadJson(text);
  if (call.ok()) {
    CheckCall(*call);
  } else {
    DRAY_CHECK(call.status().code() == dray::StatusCode::kInvalidArgument);
    DRAY_CHECK(!call.status().message().empty());
  }
  for (const auto delivery : {Delivery::kWhole, Delivery::kStreamed}) {
    const auto old = Reader(AnswerShape::kList, delivery).ReadJson(text);
    if (old.ok()) CheckCall(*old);
    DRAY_CHECK(old.ok() || !old.status().message().empty());
  }
  const auto plain = dray::api::MakeDjlTextCall(std::string(text), AnswerShape::kTokens);
  DRAY_CHECK(plain.ok() == !text.empty());
  if (plain.ok()) CheckCall(*plain);
  return 0;
}
