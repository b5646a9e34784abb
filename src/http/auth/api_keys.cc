#include "http/auth/api_keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <string_view>

namespace dray::http {

ApiKeys::ApiKeys(std::span<const std::string> keys) {
  for (const std::string& key : keys) digests_.push_back(DigestOf(key));
}

ApiKeys::Digest ApiKeys::DigestOf(std::string_view key) {
  Digest digest;
  SHA256(reinterpret_cast<const uint8_t*>(key.data()), key.size(), digest.data());
  return digest;
}

bool ApiKeys::Holds(std::string_view key) const {
  const Digest shown = DigestOf(key);
  bool found = false;
  for (const Digest& digest : digests_) {
    found |= CRYPTO_memcmp(digest.data(), shown.data(), shown.size()) == 0;
  }
  return found;
}

bool ApiKeys::Accepts(const Headers& headers) const {
  constexpr std::string_view kScheme = "Bearer ";
  if (const std::string* header = headers.Find("Authorization")) {
    const std::string_view value = *header;
    if (EqualsIgnoreCase(value.substr(0, kScheme.size()), kScheme) &&
        Holds(value.substr(kScheme.size()))) {
      return true;
    }
  }
  const std::string* const header = headers.Find("x-api-key");
  return header != nullptr && Holds(*header);
}

}  // namespace dray::http
