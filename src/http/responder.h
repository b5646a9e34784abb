// A handler's end of one exchange: it answers whole or in pieces, from any thread, at any time.
//
// Threads: every method may be called from any thread. Callbacks run on a server thread and must
// return quickly.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "http/request.h"
#include "http/response.h"

namespace dray::http {

class Responder {
 public:
  virtual ~Responder() = default;

  // The whole answer. Exactly one of Send and BeginStream counts; later ones are dropped.
  virtual void Send(Response response) = 0;

  // The head of an answer whose body comes in pieces; End must follow.
  virtual void BeginStream(ResponseHead head) = 0;
  // Sends `data` as soon as the client takes it; empty data is nothing. False once the exchange is
  // over: the client went away, or it read so slowly that the send buffer ran full, which ends the
  // exchange as well.
  virtual bool Write(std::string_view data) = 0;
  virtual void End() = 0;
  // Breaks the connection off, so that the client sees that a begun stream is not whole.
  virtual void Abort() = 0;

  // `callback` runs once if the exchange ends before its answer was sent whole; at once if it
  // has so ended already. It is dropped, with what it holds, once the exchange is over. At
  // most one callback.
  virtual void OnCancel(std::function<void()> callback) = 0;
  virtual bool cancelled() const = 0;
};

// If every copy of the pointer is gone and nothing was answered, the client gets a 500.
using ResponderPtr = std::shared_ptr<Responder>;
using Handler = std::function<void(Request request, ResponderPtr responder)>;

}  // namespace dray::http
