#include "api/sagemaker/runtime_responder.h"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "api/sagemaker/event_stream.h"
#include "api/sagemaker/runtime_errors.h"

namespace dray::api {
namespace {

void AddRuntimeHeaders(http::Headers& headers, const RuntimeAnswer& answer) {
  headers.Add("x-Amzn-Invoked-Production-Variant", answer.variant);
  headers.Add("x-amzn-RequestId", answer.request_id);
}

class RuntimeResponder : public http::Responder {
 public:
  RuntimeResponder(http::ResponderPtr client, RuntimeAnswer answer)
      : client_(std::move(client)), answer_(std::move(answer)) {}
  // The container gave the request up without an answer.
  ~RuntimeResponder() override {
    if (begun_) return;
    RuntimeResponder::Fail(
        ToResponse(RuntimeError{500, "InternalFailure", "the request was given up"}));
  }

  void Send(http::Response response) override {
    begun_ = true;
    if (response.head.status >= 400) return Fail(ToRuntimeError(response, answer_.endpoint));
    SendWhole(std::move(response));
  }
  void BeginStream(http::ResponseHead head) override {
    begun_ = true;
    AddRuntimeHeaders(head.headers, answer_);
    client_->BeginStream(std::move(head));
  }
  bool Write(std::string_view data) override { return client_->Write(data); }
  void End() override { client_->End(); }
  void Abort() override { client_->Abort(); }
  void OnCancel(std::function<void()> callback) override { client_->OnCancel(std::move(callback)); }
  bool cancelled() const override { return client_->cancelled(); }

 protected:
  // A whole answer that is no error.
  virtual void SendWhole(http::Response response) {
    AddRuntimeHeaders(response.head.headers, answer_);
    client_->Send(std::move(response));
  }
  http::Responder& client() { return *client_; }

 private:
  void Fail(http::Response error) {
    AddRuntimeHeaders(error.head.headers, answer_);
    client_->Send(std::move(error));
  }

  const http::ResponderPtr client_;
  const RuntimeAnswer answer_;
  std::atomic<bool> begun_{false};
};

// The head of an event stream that carries an answer with the head `head`.
http::ResponseHead MakeStreamHead(http::ResponseHead head) {
  http::Headers headers;
  headers.Add("Content-Type", std::string(kEventStreamType));
  for (const auto& [name, value] : head.headers.fields()) {
    const bool is_type = http::EqualsIgnoreCase(name, "Content-Type");
    headers.Add(is_type ? "X-Amzn-SageMaker-Content-Type" : name, value);
  }
  head.headers = std::move(headers);
  return head;
}

class EventStreamResponder final : public RuntimeResponder {
 public:
  using RuntimeResponder::RuntimeResponder;
  ~EventStreamResponder() override {
    if (open_) Break();
  }

  void BeginStream(http::ResponseHead head) override {
    open_ = true;
    RuntimeResponder::BeginStream(MakeStreamHead(std::move(head)));
  }
  bool Write(std::string_view data) override { return client().Write(EncodeParts(data)); }
  void End() override {
    open_ = false;
    client().End();
  }
  void Abort() override { Break(); }

 private:
  void SendWhole(http::Response response) override {
    RuntimeResponder::SendWhole(
        {MakeStreamHead(std::move(response.head)), EncodeParts(response.body)});
  }
  void Break() {
    open_ = false;
    client().Write(EncodeException(
        "ModelStreamError",
        R"({"Message":"StreamBroken: the model's answer broke off","ErrorCode":"StreamBroken"})"));
    client().End();
  }

  // A stream has begun and has not ended.
  std::atomic<bool> open_{false};
};

}  // namespace

http::ResponderPtr MakeRuntimeResponder(http::ResponderPtr client, RuntimeAnswer answer) {
  return std::make_shared<RuntimeResponder>(std::move(client), std::move(answer));
}

http::ResponderPtr MakeEventStreamResponder(http::ResponderPtr client, RuntimeAnswer answer) {
  return std::make_shared<EventStreamResponder>(std::move(client), std::move(answer));
}

}  // namespace dray::api
