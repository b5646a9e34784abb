// SageMaker's stateful sessions: ids that a client asks for, sends with its requests, and closes.
//
// A session keeps the client's requests on one server. Nothing else hangs on it: the cache finds a
// prompt's known beginning whether or not there is a session.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"

namespace dray::api {

// In requests: the session, or kNewSession. In answers to "NEW_SESSION" and "CLOSE": the session.
inline constexpr std::string_view kSessionHeader = "X-Amzn-SageMaker-Session-Id";
inline constexpr std::string_view kNewSessionHeader = "X-Amzn-SageMaker-New-Session-Id";
inline constexpr std::string_view kClosedSessionHeader = "X-Amzn-SageMaker-Closed-Session-Id";
inline constexpr std::string_view kNewSession = "NEW_SESSION";

// Threads: any may call.
class SessionTable {
 public:
  using Clock = std::chrono::system_clock;

  // So many at a time; with their ids about 6 MB.
  static constexpr size_t kMaxSessions = 1 << 15;

  struct Session {
    std::string id;
    Clock::time_point expires;
  };

  // A new session that expires after `lifetime`. kResourceExhausted if there are kMaxSessions that
  // have not expired.
  Result<Session> Create(Clock::time_point now, std::chrono::seconds lifetime);
  // kInvalidArgument if there is no session of that id. One that has expired is forgotten, but
  // reported as found once: its client goes on without it, as in DJLServing.
  Status Find(std::string_view id, Clock::time_point now);
  // kInvalidArgument as before.
  Status Close(std::string_view id);

 private:
  using ById = std::map<std::string, Clock::time_point, std::less<>>;
  void Remove(ById::iterator entry);

  std::mutex mutex_;
  // The sessions, with the times at which they expire.
  ById by_id_;
  // The same in the order in which they expire. The ids are those of `by_id_`.
  std::set<std::pair<Clock::time_point, const std::string*>> by_expiry_;
};

// "2026-01-31T23:59:59Z".
std::string FormatUtc(SessionTable::Clock::time_point time);

}  // namespace dray::api
