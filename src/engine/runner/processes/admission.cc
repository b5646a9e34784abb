#include "engine/runner/processes/admission.h"

#include <utility>

#include "engine/runner/processes/wire/rank_messages.h"

namespace dray::engine {
namespace {

constexpr int kHelloMs = 1000;

}  // namespace

std::optional<int64_t> RankOfHello(std::span<const std::byte> message, std::string_view secret,
                                   int64_t num_ranks) {
  const auto hello = DecodeHello(message);
  if (!hello.ok() || hello->secret != secret || hello->rank >= num_ranks) return std::nullopt;
  return hello->rank;
}

std::optional<AdmittedRank> AdmitRank(const parallel::FrontListener& listener, int64_t num_ranks) {
  auto socket = listener.Accept();
  if (!socket || !socket->AwaitMessage(kHelloMs)) return std::nullopt;
  const auto message = socket->Receive();
  if (!message.ok()) return std::nullopt;
  const auto rank = RankOfHello(message->bytes, parallel::SecretOf(listener.address()), num_ranks);
  if (!rank) return std::nullopt;
  return AdmittedRank{*rank, std::move(*socket)};
}

}  // namespace dray::engine
