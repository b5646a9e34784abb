// A token is the answer's key, a dot, and the index of the next piece.
#include "api/paging/page_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/parse/parse_number.h"
#include "http/trace/request_id.h"

namespace dray::api {
namespace {

void Run(const std::vector<std::function<void()>>& callbacks) {
  for (const auto& callback : callbacks) {
    if (callback) callback();
  }
}

std::string Token(const std::string& key, size_t piece_idx) {
  return fmt::format("{}.{}", key, piece_idx);
}

}  // namespace

// Puts an answer into the store.
class PageStore::Writer final : public http::Responder {
 public:
  Writer(std::shared_ptr<PageStore> store, std::string key)
      : store_(std::move(store)), key_(std::move(key)) {}
  ~Writer() override { Abort(); }

  void Send(http::Response response) override {
    BeginStream(std::move(response.head));
    Write(response.body);
    End();
  }

  void BeginStream(http::ResponseHead head) override {
    WithAnswer([&](Answer& answer) {
      if (answer.has_head) return;
      answer.head = std::move(head);
      answer.has_head = true;
    });
  }

  bool Write(std::string_view data) override {
    Callbacks callbacks;
    const bool kept = WithAnswer([&](Answer& answer) {
      if (data.empty() || answer.ended) return;
      const Limits& limits = store_->limits_;
      const bool fits = answer.bytes + data.size() <= limits.max_answer_bytes &&
                        store_->total_bytes_ + data.size() <= limits.max_total_bytes;
      if (!fits) {
        callbacks = store_->Forget(store_->answers_.find(key_));
        return;
      }
      answer.pieces.emplace_back(data);
      answer.bytes += data.size();
      store_->total_bytes_ += data.size();
    });
    Run(callbacks);
    return kept && !cancelled();
  }

  void End() override {
    WithAnswer([](Answer& answer) {
      answer.ended = true;
      answer.on_cancel = nullptr;
    });
  }

  // A stream that broke off ends with what there is of it, as it would over HTTP.
  void Abort() override {
    WithAnswer([](Answer& answer) {
      if (answer.ended) return;
      if (!std::exchange(answer.has_head, true)) answer.head.status = 500;
      answer.ended = true;
      answer.on_cancel = nullptr;
    });
  }

  void OnCancel(std::function<void()> callback) override {
    const bool kept = WithAnswer([&](Answer& answer) { answer.on_cancel = std::move(callback); });
    if (!kept && callback) callback();
  }

  bool cancelled() const override {
    const std::lock_guard lock(store_->mutex_);
    return !store_->answers_.contains(key_);
  }

 private:
  // False if the answer has been forgotten.
  template <typename Action>
  bool WithAnswer(const Action& action) {
    const std::lock_guard lock(store_->mutex_);
    const auto found = store_->answers_.find(key_);
    if (found == store_->answers_.end()) return false;
    found->second.last_use = Clock::now();
    action(found->second);
    return true;
  }

  const std::shared_ptr<PageStore> store_;
  const std::string key_;
};

std::optional<PageStore::Begun> PageStore::Begin() {
  Callbacks callbacks;
  std::optional<Begun> begun;
  {
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    callbacks = ForgetExpired(now);
    if (answers_.size() >= limits_.max_answers) {
      const Callbacks more = ForgetFetched();
      callbacks.insert(callbacks.end(), more.begin(), more.end());
    }
    if (answers_.size() < limits_.max_answers) {
      const std::string key = http::RandomUuid();
      answers_[key].last_use = now;
      begun = {.token = Token(key, 0),
               .responder = std::make_shared<Writer>(shared_from_this(), key)};
    }
  }
  Run(callbacks);
  return begun;
}

PageStore::FetchResult PageStore::Fetch(std::string_view token, size_t max_items, Page& page) {
  const size_t dot = std::min(token.rfind('.'), token.size());
  const std::string key(token.substr(0, dot));
  const auto first = ParseUint64(token.substr(std::min(dot + 1, token.size())));
  Callbacks callbacks;
  FetchResult result = FetchResult::kNoSuchToken;
  {
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    callbacks = ForgetExpired(now);
    const auto found = answers_.find(key);
    if (found != answers_.end() && first && *first <= found->second.pieces.size()) {
      Answer& answer = found->second;
      answer.last_use = now;
      const auto begin = static_cast<size_t>(*first);
      const size_t most = begin + std::min(max_items, answer.pieces.size() - begin);
      size_t end = begin;
      while (end < most && page.response.body.size() < limits_.max_page_bytes) {
        page.response.body += answer.pieces[end++];
      }
      const bool is_last = answer.ended && end == answer.pieces.size();
      result = begin == end && !is_last ? FetchResult::kNothingYet : FetchResult::kPage;
      page.response.head = answer.head;
      if (!is_last) page.next_token = Token(key, end);
      answer.fetched |= is_last;
    }
  }
  Run(callbacks);
  return result;
}

PageStore::Callbacks PageStore::Forget(Answers::iterator answer) {
  Callbacks callbacks = {std::move(answer->second.on_cancel)};
  total_bytes_ -= answer->second.bytes;
  answers_.erase(answer);
  return callbacks;
}

PageStore::Callbacks PageStore::ForgetExpired(Clock::time_point now) {
  Callbacks callbacks;
  for (auto at = answers_.begin(); at != answers_.end();) {
    const auto next = std::next(at);
    if (now - at->second.last_use >= limits_.expiry) {
      for (auto& callback : Forget(at)) callbacks.push_back(std::move(callback));
    }
    at = next;
  }
  return callbacks;
}

PageStore::Callbacks PageStore::ForgetFetched() {
  Callbacks callbacks;
  for (auto at = answers_.begin(); at != answers_.end();) {
    const auto next = std::next(at);
    if (at->second.fetched) {
      for (auto& callback : Forget(at)) callbacks.push_back(std::move(callback));
    }
    at = next;
  }
  return callbacks;
}

}  // namespace dray::api
