// See exchange.h. Everything is posted to the connection under the mutex, so that nothing is posted
// after Finish.
#include "http/connection/exchange.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "base/log.h"
#include "http/connection/connection.h"

namespace dray::http {
namespace {

void RunContained(const std::function<void()>& callback) {
  if (!callback) return;
  try {
    callback();
  } catch (const std::exception& error) {
    LogError(std::string("a cancel callback threw: ") + error.what());
  } catch (...) {
    LogError("a cancel callback threw something that is no exception");
  }
}

}  // namespace

Exchange::Exchange(std::shared_ptr<Connection> connection, const Setup& setup)
    : setup_(setup), connection_(std::move(connection)) {}

Exchange::~Exchange() {
  if (connection_ == nullptr || stage_ == Stage::kEnded) return;
  if (stage_ == Stage::kStreaming) {
    connection_->PostAbort(setup_.id);
  } else {
    connection_->PostError(setup_.id, 500, "the handler ended without an answer");
  }
}

void Exchange::Send(Response response) {
  const std::lock_guard lock(mutex_);
  if (stage_ != Stage::kOpen) return;
  stage_ = Stage::kEnded;
  if (connection_ != nullptr) connection_->PostResponse(setup_.id, std::move(response));
}

void Exchange::BeginStream(ResponseHead head) {
  const std::lock_guard lock(mutex_);
  if (stage_ != Stage::kOpen) return;
  stage_ = Stage::kStreaming;
  if (connection_ != nullptr) connection_->PostHead(setup_.id, std::move(head));
}

bool Exchange::Write(std::string_view data) {
  const std::lock_guard lock(mutex_);
  if (connection_ == nullptr || stage_ != Stage::kStreaming || cancelled()) return false;
  if (data.empty() || setup_.head_only) return true;
  std::string bytes =
      setup_.stream_framing == BodyFraming::kChunked ? SerializeChunk(data) : std::string(data);
  if (unsent_bytes_.fetch_add(bytes.size()) + bytes.size() > setup_.max_unsent_bytes) {
    // A client that reads this slowly counts as gone.
    cancelled_ = true;
    connection_->PostAbort(setup_.id);
    return false;
  }
  connection_->PostBytes(setup_.id, std::move(bytes));
  return true;
}

void Exchange::End() {
  const std::lock_guard lock(mutex_);
  if (stage_ != Stage::kStreaming) return;
  stage_ = Stage::kEnded;
  if (connection_ != nullptr) connection_->PostEnd(setup_.id);
}

void Exchange::Abort() {
  const std::lock_guard lock(mutex_);
  stage_ = Stage::kEnded;
  if (connection_ != nullptr) connection_->PostAbort(setup_.id);
}

void Exchange::OnCancel(std::function<void()> callback) {
  {
    const std::lock_guard lock(mutex_);
    if (connection_ != nullptr) {
      on_cancel_ = std::move(callback);
      return;
    }
  }
  if (cancelled()) RunContained(callback);
}

void Exchange::Finish(Outcome outcome) {
  std::function<void()> callback;
  std::shared_ptr<Connection> connection;
  {
    const std::lock_guard lock(mutex_);
    if (outcome == Outcome::kCancelled) cancelled_ = true;
    callback = std::move(on_cancel_);
    on_cancel_ = nullptr;
    connection = std::move(connection_);
  }
  if (outcome == Outcome::kCancelled) RunContained(callback);
}

void Exchange::OnSent(size_t bytes) { unsent_bytes_ -= std::min(bytes, unsent_bytes_.load()); }

}  // namespace dray::http
