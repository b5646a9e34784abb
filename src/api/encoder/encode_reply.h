// Has a request to an encoder computed, and sends the answer that a dialect writes.
#pragma once

#include <functional>

#include "api/task_queue.h"
#include "http/body_budget.h"
#include "http/responder.h"
#include "serving/encoder/encode_call.h"
#include "serving/served_model.h"

namespace dray::api {

struct EncodeExchange {
  http::ResponderPtr responder;
  // Answers are written on its threads, since one may have millions of numbers.
  TaskQueue& tasks;
  std::function<http::Response(const serving::EncodeAnswer&)> write;
  std::function<http::Response(const serving::Reason&)> refuse;
  http::BodyLease lease;  // what the call's texts take of the server's memory for bodies
};

// Tokenizes the call's inputs on this thread and gives them to the model. A client that leaves cancels
// the request.
void StartEncoding(EncodeExchange exchange, const serving::EncodeCall& call,
                   serving::ServedModel& model);

}  // namespace dray::api
