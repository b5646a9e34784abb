// Errors as values. Anything that a user, a file, the network or a peer can cause is returned as a
// Status or a Result<T>; only bugs end in DRAY_CHECK (base/check.h). A message names the value, the
// limit and the next step.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace dray {

// What the receiver can do about an error; the HTTP layer maps each code to one status line.
enum class StatusCode {
  kOk,
  kInvalidArgument,    // the value itself is wrong: fix the request, the option or the file
  kNotFound,           // a named file, model or tensor does not exist
  kUnsupported,        // valid, but outside what dray can do
  kCorrupt,            // a file's bytes contradict each other
  kIo,                 // the operating system refused to read or write
  kResourceExhausted,  // does not fit: memory, a size limit
  kUnavailable,        // a queue is full, or the server is not ready or is draining: try again
  kCancelled,          // the caller went away
  kDeadlineExceeded,   // took longer than allowed
  kInternal,           // a bug of ours that was contained
};

// The code's name, as it appears in logs: "invalid argument", "not found", ...
std::string_view ToString(StatusCode code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // The same error with "`prefix`: " before its message; an ok status stays as it is.
  Status WithPrefix(std::string_view prefix) const;
  // "not found: no file ...", for logs.
  std::string ToString() const;

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

inline Status OkStatus() { return {}; }

// Ends the process: the access of a Result's value while it holds an error is a bug.
[[noreturn]] void DieOnErrorAccess(const Status& status);

// A value of type T or the error that stands in its place.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {  // NOLINT(google-explicit-constructor)
    if (status_.ok()) DieOnErrorAccess(status_);
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  T& value() & {
    if (!ok()) DieOnErrorAccess(status_);
    return *value_;
  }
  const T& value() const& {
    if (!ok()) DieOnErrorAccess(status_);
    return *value_;
  }
  T&& value() && {
    if (!ok()) DieOnErrorAccess(status_);
    return std::move(*value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace dray

#define DRAY_CONCAT_INNER(a, b) a##b
#define DRAY_CONCAT(a, b) DRAY_CONCAT_INNER(a, b)

// Returns from the enclosing function if the expression yields an error.
#define DRAY_RETURN_IF_ERROR(expr)               \
  do {                                           \
    ::dray::Status dray_status_ = (expr);        \
    if (!dray_status_.ok()) return dray_status_; \
  } while (false)

// DRAY_ASSIGN_OR_RETURN(auto file, MappedFile::Open(path));
#define DRAY_ASSIGN_OR_RETURN(lhs, expr) \
  DRAY_ASSIGN_OR_RETURN_IMPL(DRAY_CONCAT(dray_result_, __LINE__), lhs, expr)
#define DRAY_ASSIGN_OR_RETURN_IMPL(result, lhs, expr) \
  auto result = (expr);                               \
  if (!result.ok()) return result.status();           \
  lhs = std::move(result).value()
