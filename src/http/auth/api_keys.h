// The keys of which a client must show one.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "http/request.h"

namespace dray::http {

// Keeps digests only, so that no key can reach a log or a memory dump.
//
// Threads: any.
class ApiKeys {
 public:
  explicit ApiKeys(std::span<const std::string> keys);

  // Whether the request shows one of them, as "Authorization: Bearer KEY" or as "x-api-key: KEY". How long that
  // takes depends on the number of keys and on the length of what is shown, but not on how alike they are.
  bool Accepts(const Headers& headers) const;

 private:
  using Digest = std::array<uint8_t, 32>;
  static Digest DigestOf(std::string_view key);
  bool Holds(std::string_view key) const;

  std::vector<Digest> digests_;
};

}  // namespace dray::http
