// Answers that are fetched later and in pages: the client gets a token at once, asks with it for what there is,
// and gets another token as long as there is more.
//
// Threads: any. The mutex is held for as long as a piece is copied, and never during a callback.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "http/responder.h"

namespace dray::api {

class PageStore : public std::enable_shared_from_this<PageStore> {
 public:
  struct Limits {
    size_t max_answers = 1000;
    // Of one answer; a longer one fails. Some 200,000 tokens as lines of JSON.
    size_t max_answer_bytes = size_t{16} << 20;
    // Of one page, but for its last piece. A page is a copy, and many clients may ask for the same.
    size_t max_page_bytes = size_t{1} << 20;
    // Of all answers together.
    size_t max_total_bytes = size_t{64} << 20;
    // An answer is forgotten so long after its last piece or its last fetch. Looked at when the next one
    // begins or is fetched.
    std::chrono::seconds expiry{3600};
  };
  explicit PageStore(const Limits& limits) : limits_(limits) {}

  struct Begun {
    std::string token;
    // Keeps what it is given, for the token. Its answer is cancelled if the store has no room for it.
    http::ResponderPtr responder;
  };
  // Nothing if the store has as many answers as it may, none of which has been fetched to its end.
  std::optional<Begun> Begin();

  enum class FetchResult { kPage, kNothingYet, kNoSuchToken };
  struct Page {
    http::Response response;
    // "" behind the last piece.
    std::string next_token;
  };
  // Up to `max_items` pieces of the answer, from the one on that the token names. `page` is filled for kPage.
  FetchResult Fetch(std::string_view token, size_t max_items, Page& page);

 private:
  class Writer;
  using Clock = std::chrono::steady_clock;
  struct Answer {
    http::ResponseHead head;
    bool has_head = false;
    bool ended = false;
    // A client has got its last piece.
    bool fetched = false;
    std::vector<std::string> pieces;
    size_t bytes = 0;
    Clock::time_point last_use;
    std::function<void()> on_cancel;
  };
  using Answers = std::unordered_map<std::string, Answer>;
  // What is to be called once the mutex is free.
  using Callbacks = std::vector<std::function<void()>>;

  // The following need the mutex.
  Callbacks Forget(Answers::iterator answer);
  Callbacks ForgetExpired(Clock::time_point now);
  Callbacks ForgetFetched();

  const Limits limits_;
  std::mutex mutex_;
  Answers answers_;
  size_t total_bytes_ = 0;
};

}  // namespace dray::api
