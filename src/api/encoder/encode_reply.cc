#include "api/encoder/encode_reply.h"

#include <chrono>
#include <memory>
#include <utility>

#include "serving/encoder/encoding.h"

namespace dray::api {
namespace {

// Bytes of JSON that a number takes.
constexpr size_t kBytesOfNumber = 12;

class Receiver final : public serving::EncodeReceiver,
                       public std::enable_shared_from_this<Receiver> {
 public:
  explicit Receiver(EncodeExchange exchange) : exchange_(std::move(exchange)) {}

  void OnAnswer(serving::OrReason<serving::EncodeAnswer> answer) override {
    exchange_.lease = {};
    if (!answer.ok()) return exchange_.responder->Send(exchange_.refuse(answer.reason()));
    size_t numbers = 0;
    for (const std::vector<float>& one : answer->numbers) numbers += one.size();
    auto held = std::make_shared<serving::EncodeAnswer>(std::move(*answer));
    exchange_.tasks.Add(TaskSizeOf(numbers * kBytesOfNumber),
                        [self = shared_from_this(), held] { self->Send(*held); });
  }
  bool cancelled() const override { return exchange_.responder->cancelled(); }

  const EncodeExchange& exchange() const { return exchange_; }

 private:
  void Send(const serving::EncodeAnswer& answer) const {
    if (exchange_.responder->cancelled()) return;
    http::Response response = exchange_.write(answer);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
    response.head.model_seconds = elapsed.count();
    exchange_.responder->Send(std::move(response));
  }

  EncodeExchange exchange_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace

void StartEncoding(EncodeExchange exchange, const serving::EncodeCall& call,
                   serving::ServedModel& model) {
  const auto receiver = std::make_shared<Receiver>(std::move(exchange));
  const auto encoding = model.Encode(call, receiver);
  if (!encoding.ok()) {
    return receiver->exchange().responder->Send(receiver->exchange().refuse(encoding.reason()));
  }
  // Weak, because the responder keeps the callback and the request keeps the responder.
  receiver->exchange().responder->OnCancel([weak = std::weak_ptr(*encoding)] {
    if (const auto alive = weak.lock()) {
      alive->Cancel(Status(StatusCode::kCancelled, "the client has gone"));
    }
  });
}

}  // namespace dray::api
