#include "http/trace/request_id.h"

#include <fmt/format.h>
#include <openssl/rand.h>

#include <array>
#include <cstdint>
#include <stdexcept>
#include <utility>

namespace dray::http {
namespace {

// Two random numbers. OpenSSL is asked for those of several calls at once, since each question to it costs a
// system call.
std::array<uint64_t, 2> RandomBits() {
  thread_local std::array<std::array<uint64_t, 2>, 32> numbers;
  thread_local size_t num_left = 0;
  if (num_left == 0) {
    if (RAND_bytes(reinterpret_cast<unsigned char*>(numbers.data()), sizeof(numbers)) != 1) {
      throw std::runtime_error("OpenSSL gives no random numbers");
    }
    num_left = numbers.size();
  }
  // A number that was given away does not stay in memory.
  return std::exchange(numbers[--num_left], {});
}

}  // namespace

// RFC 9562, 5.4: four bits are the version, two the variant, the rest is random.
std::string RandomUuid() {
  const std::array<uint64_t, 2> bits = RandomBits();
  const uint64_t high = (bits[0] & 0xFFFFFFFFFFFF0FFFU) | 0x4000U;
  const uint64_t low = (bits[1] & 0x3FFFFFFFFFFFFFFFU) | 0x8000000000000000U;
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, (high >> 16) & 0xFFFF,
                     high & 0xFFFF, low >> 48, low & 0xFFFFFFFFFFFFU);
}

std::string RequestId(const Headers& headers, std::string_view header) {
  const std::string* const sent = headers.Find(header);
  if (sent == nullptr || sent->empty()) return RandomUuid();
  return sent->substr(0, kMaxRequestIdBytes);
}

}  // namespace dray::http
