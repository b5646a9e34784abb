#include "api/sagemaker/sessions.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "http/trace/request_id.h"

namespace dray::api {
namespace {

Status NotFound(std::string_view id) {
  return {StatusCode::kInvalidArgument,
          fmt::format("session not found: {}; send {{\"requestType\": \"NEW_SESSION\"}} for one",
                      id.substr(0, 100))};
}

}  // namespace

Result<SessionTable::Session> SessionTable::Create(Clock::time_point now,
                                                   std::chrono::seconds lifetime) {
  const std::lock_guard lock(mutex_);
  while (!by_expiry_.empty() && by_expiry_.begin()->first <= now) {
    Remove(by_id_.find(*by_expiry_.begin()->second));
  }
  if (by_id_.size() >= kMaxSessions) {
    return Status(
        StatusCode::kResourceExhausted,
        fmt::format("there are {} sessions, as many as there may be; close some, or lower "
                    "option.sessions_expiration",
                    kMaxSessions));
  }
  Session session{.id = http::RandomUuid(), .expires = now + lifetime};
  const auto entry = by_id_.emplace(session.id, session.expires).first;
  by_expiry_.emplace(session.expires, &entry->first);
  return session;
}

Status SessionTable::Find(std::string_view id, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return NotFound(id);
  if (found->second <= now) Remove(found);
  return OkStatus();
}

Status SessionTable::Close(std::string_view id) {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return NotFound(id);
  Remove(found);
  return OkStatus();
}

void SessionTable::Remove(ById::iterator entry) {
  by_expiry_.erase({entry->second, &entry->first});
  by_id_.erase(entry);
}

std::string FormatUtc(SessionTable::Clock::time_point time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(SessionTable::Clock::to_time_t(time)));
}

}  // namespace dray::api
