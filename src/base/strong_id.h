// Integers that cannot be mixed up: a RequestId is not a BlockId, though both are numbers.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace dray {

// using BlockId = StrongId<struct BlockIdTag, int32_t>;
template <typename Tag, typename Rep = uint64_t>
class StrongId {
 public:
  constexpr StrongId() = default;
  constexpr explicit StrongId(Rep value) : value_(value) {}
  constexpr Rep value() const { return value_; }
  constexpr auto operator<=>(const StrongId&) const = default;

 private:
  Rep value_ = 0;
};

}  // namespace dray

template <typename Tag, typename Rep>
struct std::hash<dray::StrongId<Tag, Rep>> {
  size_t operator()(const dray::StrongId<Tag, Rep>& id) const noexcept {
    return std::hash<Rep>()(id.value());
  }
};
