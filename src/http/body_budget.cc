#include "http/body_budget.h"

#include <utility>

namespace dray::http {

BodyLease::BodyLease(BodyLease&& other) noexcept
    : budget_(std::move(other.budget_)), bytes_(std::exchange(other.bytes_, 0)) {}

BodyLease& BodyLease::operator=(BodyLease&& other) noexcept {
  std::swap(budget_, other.budget_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

BodyLease::~BodyLease() { Resize(0); }

bool BodyLease::Resize(uint64_t bytes) {
  if (budget_ == nullptr) return true;
  if (bytes > bytes_) {
    const uint64_t added = bytes - bytes_;
    if (budget_->used_bytes_.fetch_add(added) + added > budget_->LimitFor(bytes)) {
      budget_->used_bytes_ -= added;
      return false;
    }
  } else {
    budget_->used_bytes_ -= bytes_ - bytes;
  }
  bytes_ = bytes;
  return true;
}

}  // namespace dray::http
