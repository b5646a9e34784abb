#include "engine/runner/processes/mpi_rank.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/runner/loaded_model.h"
#include "engine/runner/processes/rank_loop.h"
#include "engine/runner/processes/rank_share.h"
#include "engine/runner/processes/rank_wiring.h"
#include "engine/runner/processes/wire/rank_messages.h"
#include "parallel/mpi/mpi_group.h"
#include "parallel/mpi/mpi_library.h"
#include "parallel/mpi/mpi_link.h"

namespace dray::engine {
namespace {

using parallel::ControlSocket;
using parallel::LinkReceiver;
using parallel::LinkSender;

using Bytes = std::vector<std::byte>;

// Whole numbers go over MPI as digits to this base, which floats hold exactly.
constexpr uint64_t kDigitBase = uint64_t{1} << 20;
constexpr size_t kDigits = 4;
// The most whole numbers that a rank gives to one gather.
constexpr size_t kMostGathered = std::tuple_size_v<TrafficCounters>;

// What channels of MPI are for. A purpose has a channel for each rank, stage or link.
enum class Purpose : int32_t {
  kJob,
  kMessages,
  kOrders,
  kStage,
  kStageLink,
  kStateLink,
  kResults,
  kCount
};

// Orders of the front, which the head gives to all other ranks before it computes them itself.
class ForwardingReceiver final : public LinkReceiver {
 public:
  ForwardingReceiver(std::unique_ptr<LinkReceiver> from,
                     std::vector<std::unique_ptr<LinkSender>> to)
      : from_(std::move(from)), to_(std::move(to)) {}

  Result<int64_t> Receive(std::span<std::byte> into) override {
    DRAY_ASSIGN_OR_RETURN(const int64_t size, from_->Receive(into));
    for (const auto& to : to_) {
      DRAY_RETURN_IF_ERROR(to->Send(into.first(static_cast<size_t>(size))));
    }
    return size;
  }
  void Abort(const Status& reason) override {
    from_->Abort(reason);
    for (const auto& to : to_) to->Abort(reason);
  }
  parallel::LinkTraffic traffic() const override { return from_->traffic(); }

 private:
  std::unique_ptr<LinkReceiver> from_;
  std::vector<std::unique_ptr<LinkSender>> to_;
};

// At the head: passes pieces of logits from the last stage on to the front, until an empty one.
class Relay {
 public:
  Relay(std::unique_ptr<LinkReceiver> from, std::unique_ptr<LinkSender> to, int64_t max_bytes)
      : from_(std::move(from)), to_(std::move(to)), piece_(static_cast<size_t>(max_bytes)) {
    thread_ = std::thread([this] { Pass(); });
  }
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;
  ~Relay() { thread_.join(); }

  void Abort(const Status& reason) {
    from_->Abort(reason);
    to_->Abort(reason);
  }

 private:
  void Pass() {
    for (;;) {
      const auto size = from_->Receive(piece_);
      if (size.ok() && *size == 0) return;
      const Status status = size.ok()
                                ? to_->Send(std::span(piece_).first(static_cast<size_t>(*size)))
                                : size.status();
      if (!status.ok()) return Abort(status);
    }
  }

  std::unique_ptr<LinkReceiver> from_;
  std::unique_ptr<LinkSender> to_;
  Bytes piece_;
  std::thread thread_;
};

class MpiRank {
 public:
  explicit MpiRank(const ControlSocket* front) : front_(front) {}

  Status Run() {
    DRAY_ASSIGN_OR_RETURN(library_, parallel::MpiLibrary::Open(parallel::MpiLibraryPath()));
    rank_ = library_->job().rank;
    world_ = library_->job().world;
    DRAY_RETURN_IF_ERROR(JoinJob());
    Status status = RunJob();
    if (!status.ok()) Abort(status);
    return status;
  }

 private:
  bool is_head() const { return rank_ == 0; }
  int32_t ChannelOf(Purpose purpose, int64_t index) const {
    return static_cast<int32_t>(static_cast<int64_t>(purpose) * world_ + index);
  }

  parallel::MpiLinkSpec LinkOf(Purpose purpose, int64_t index,
                               const parallel::LinkSpec& link) const {
    return {.library = library_, .link = link, .channel = ChannelOf(purpose, index)};
  }

  // What connects all ranks before the sizes of a model are known.
  Status JoinJob() {
    parallel::MpiChannelSpec whole = WholeJob(library_);
    whole.timeout = std::chrono::milliseconds(0);  // loading takes as long as it takes
    DRAY_ASSIGN_OR_RETURN(job_,
                          parallel::MakeMpiGroup({std::move(whole), kMostGathered * kDigits}));
    parallel::LinkSpec link;
    link.max_bytes = ControlSocket::kMaxBytes;
    return ConnectHead(Purpose::kMessages, link, messages_to_, messages_from_);
  }

  // Makes links like `link` from the head to all others: at the head its senders, at another rank its
  // receiver. No end has a time limit, since the front may have no work.
  Status ConnectHead(Purpose purpose, parallel::LinkSpec link,
                     std::vector<std::unique_ptr<LinkSender>>& senders,
                     std::unique_ptr<LinkReceiver>& receiver) {
    for (int64_t to = 1; to < world_; ++to) {
      link.to = to;
      link.send_timeout = std::chrono::milliseconds(0);
      const auto spec = LinkOf(purpose, to, link);
      if (is_head()) {
        DRAY_ASSIGN_OR_RETURN(senders.emplace_back(), parallel::MakeMpiSender(spec));
      } else if (to == rank_) {
        DRAY_ASSIGN_OR_RETURN(receiver, parallel::MakeMpiReceiver(spec));
      }
    }
    return OkStatus();
  }

  Status RunJob() {
    DRAY_ASSIGN_OR_RETURN(const auto load, NextMessage());
    DRAY_RETURN_IF_ERROR(Load(load.bytes));
    DRAY_ASSIGN_OR_RETURN(const auto run, NextMessage());
    DRAY_RETURN_IF_ERROR(Connect(run));
    // When the head has something of all ranks, all are ready.
    DRAY_RETURN_IF_ERROR(GatherNumbers({}).status());
    if (is_head()) DRAY_RETURN_IF_ERROR(front_->Send(EncodeKind(RankMessageKind::kReady)));
    DRAY_RETURN_IF_ERROR(RunRankLoop(duties_));
    // Ends the relay at the head.
    return results_to_head_ != nullptr ? results_to_head_->Send({}) : OkStatus();
  }

  // The front's next message, at all ranks; its descriptors at the head only.
  Result<parallel::ControlMessage> NextMessage() {
    if (is_head()) {
      DRAY_ASSIGN_OR_RETURN(auto message, front_->Receive());
      for (const auto& to : messages_to_) DRAY_RETURN_IF_ERROR(to->Send(message.bytes));
      return message;
    }
    parallel::ControlMessage message;
    message.bytes.resize(ControlSocket::kMaxBytes);
    DRAY_ASSIGN_OR_RETURN(const int64_t size, messages_from_->Receive(message.bytes));
    message.bytes.resize(static_cast<size_t>(size));
    return message;
  }

  // Returns when the head has got the numbers of all ranks, one rank's behind the other's; only the
  // head has a result.
  Result<std::vector<uint64_t>> GatherNumbers(std::span<const uint64_t> mine) {
    std::vector<float> digits;
    for (uint64_t number : mine) {
      for (size_t i = 0; i < kDigits; ++i) {
        digits.push_back(static_cast<float>(number % kDigitBase));
        number /= kDigitBase;
      }
    }
    std::vector<float> all(is_head() ? static_cast<size_t>(world_) * digits.size() : 0);
    const auto count = static_cast<int64_t>(digits.size());
    DRAY_RETURN_IF_ERROR(job_->Gather(digits.data(), count, all.data()));
    std::vector<uint64_t> numbers;
    for (size_t first = 0; first < all.size(); first += kDigits) {
      uint64_t number = 0;
      for (size_t i = kDigits; i-- > 0;) {
        number = number * kDigitBase + static_cast<uint64_t>(all[first + i]);
      }
      numbers.push_back(number);
    }
    return numbers;
  }

  Status Load(std::span<const std::byte> message) {
    DRAY_ASSIGN_OR_RETURN(options_, DecodeLoad(message));
    const int64_t num_ranks = options_.tensor_parallel_degree * options_.pipeline_parallel_degree;
    if (num_ranks != world_) {
      return {StatusCode::kInvalidArgument,
              fmt::format("mpirun has started {} processes, but tensor_parallel_degree {} times "
                          "pipeline_parallel_degree {} is {}: start {}, or change the degrees",
                          world_, options_.tensor_parallel_degree,
                          options_.pipeline_parallel_degree, num_ranks, num_ranks)};
    }
    options_.only_rank = rank_;
    TakeShare(library_->job().local_rank, library_->job().local_world, options_.ranks.share,
              options_.backend_options.cpu);
    if (is_head()) {
      options_.progress = [this](uint64_t done, uint64_t total) {
        static_cast<void>(front_->TrySend(EncodeProgress({done, total})));
      };
    }
    DRAY_ASSIGN_OR_RETURN(model_, LoadModel(options_));
    const RankModel& rank = model_->ranks.front();
    const uint64_t size = rank.weight_bytes();
    DRAY_ASSIGN_OR_RETURN(auto sizes, GatherNumbers({&size, 1}));
    if (!is_head()) return OkStatus();
    return front_->Send(EncodeLoaded({std::move(sizes), rank.backend->Describe()}));
  }

  Status Connect(const parallel::ControlMessage& message) {
    DRAY_ASSIGN_OR_RETURN(const RunMessage run, DecodeRun(message.bytes));
    RankModel& rank = model_->ranks.front();
    rank.backend->AdoptThread();
    const model::ModelConfig& config = model_->description.config;
    duties_.bounds = StepBounds::Of(config, run.spec);
    DRAY_RETURN_IF_ERROR(ConnectStage(rank));
    DRAY_RETURN_IF_ERROR(ConnectStages(rank));
    DRAY_RETURN_IF_ERROR(ConnectOrders(message));
    DRAY_RETURN_IF_ERROR(ConnectResults(rank, message));
    DRAY_ASSIGN_OR_RETURN(worker_, RankWorker::Make(config, rank, rank.backend, run.spec,
                                                    connections_.communicator.get()));
    duties_.report = [this] { return Report(); };
    duties_.worker = worker_.get();
    duties_.connections = &connections_;
    duties_.orders = orders_.get();
    duties_.is_last_stage = rank.stage.is_last();
    return OkStatus();
  }

  Status Report() {
    DRAY_ASSIGN_OR_RETURN(const auto numbers, GatherNumbers(CountersOf(connections_.traffic())));
    if (!is_head()) return OkStatus();
    std::vector<RankTraffic> traffic;
    TrafficCounters counters;
    for (size_t first = 0; first < numbers.size(); first += counters.size()) {
      std::copy_n(numbers.begin() + static_cast<ptrdiff_t>(first), counters.size(),
                  counters.begin());
      traffic.push_back(TrafficOf(counters));
    }
    return front_->Send(EncodeTraffic(traffic));
  }

  Status ConnectStage(const RankModel& rank) {
    if (rank.rank.world == 1) return OkStatus();
    parallel::MpiChannelSpec channel;
    channel.library = library_;
    for (int64_t i = 0; i < rank.rank.world; ++i) {
      channel.members.push_back(static_cast<int32_t>(rank_ - rank.rank.index + i));
    }
    channel.rank = rank.rank.index;
    channel.channel = ChannelOf(Purpose::kStage, rank.stage.index);
    channel.timeout = CallTimeout(options_);
    const ThreadPool* pool = rank.backend->host_threads();
    channel.threads_per_rank = pool == nullptr ? 1 : pool->max_threads();
    const int64_t max_count = model::Decoder::MaxCount(model_->description.config,
                                                       duties_.bounds.spec.step, rank.rank.world);
    DRAY_ASSIGN_OR_RETURN(connections_.communicator,
                          parallel::MakeMpiGroup({std::move(channel), max_count}));
    return OkStatus();
  }

  Status ConnectStages(const RankModel& rank) {
    const int64_t in_stage = rank.rank.world;
    parallel::LinkSpec link;
    link.max_bytes = MaxStreamBytes(model_->description.config, duties_.bounds.spec);
    link.send_timeout = PieceTimeout(options_);
    if (!rank.stage.is_first()) {
      link.from = rank_ - in_stage;
      link.to = rank_;
      DRAY_ASSIGN_OR_RETURN(connections_.from_before, parallel::MakeMpiReceiver(LinkOf(
                                                          Purpose::kStageLink, link.from, link)));
    }
    if (!rank.stage.is_last()) {
      link.from = rank_;
      link.to = rank_ + in_stage;
      DRAY_ASSIGN_OR_RETURN(connections_.to_next,
                            parallel::MakeMpiSender(LinkOf(Purpose::kStageLink, link.from, link)));
    }
    return ConnectStates(rank, link);
  }

  // The link from the last stage to the first one, if there is one; `link` is one between stages.
  Status ConnectStates(const RankModel& rank, parallel::LinkSpec link) {
    if (!HasStateLinks(model_->description.config, rank.stage.count)) return OkStatus();
    link.to = rank.rank.index;
    link.from = (rank.stage.count - 1) * rank.rank.world + link.to;
    const auto spec = LinkOf(Purpose::kStateLink, link.from, link);
    if (rank.stage.is_first()) {
      DRAY_ASSIGN_OR_RETURN(connections_.from_last, parallel::MakeMpiReceiver(spec));
    } else if (rank.stage.is_last()) {
      DRAY_ASSIGN_OR_RETURN(connections_.to_first, parallel::MakeMpiSender(spec));
    }
    return OkStatus();
  }

  Status ConnectOrders(const parallel::ControlMessage& message) {
    std::vector<std::unique_ptr<LinkSender>> senders;
    parallel::LinkSpec link;
    link.max_bytes = MaxStepBytes(duties_.bounds.spec);
    // The head goes on while the last stage has not begun the first of the steps in flight.
    link.depth = options_.pipeline_parallel_degree + 1;
    DRAY_RETURN_IF_ERROR(ConnectHead(Purpose::kOrders, link, senders, orders_));
    if (!is_head()) return OkStatus();
    if (message.descriptors.size() != 2) {
      return {StatusCode::kCorrupt, "the front gave other memory files than those of two links"};
    }
    DRAY_ASSIGN_OR_RETURN(auto from_front,
                          parallel::JoinAsReceiver(message.descriptors[0].value()));
    orders_ = std::make_unique<ForwardingReceiver>(std::move(from_front), std::move(senders));
    return OkStatus();
  }

  Status ConnectResults(const RankModel& rank, const parallel::ControlMessage& message) {
    const int64_t from = (rank.stage.count - 1) * rank.rank.world;  // the rank that has the logits
    const int64_t max_bytes = MaxPieceBytes(duties_.bounds.spec, duties_.bounds.widths);
    parallel::LinkSpec link;
    link.from = from;
    link.to = 0;
    link.max_bytes = max_bytes;
    link.send_timeout = std::chrono::milliseconds(0);
    const auto over_mpi = LinkOf(Purpose::kResults, 0, link);
    if (is_head()) {
      DRAY_ASSIGN_OR_RETURN(auto to_front, parallel::JoinAsSender(message.descriptors[1].value()));
      if (from == 0) {
        results_ = std::move(to_front);
      } else {
        DRAY_ASSIGN_OR_RETURN(auto pieces, parallel::MakeMpiReceiver(over_mpi));
        relay_.emplace(std::move(pieces), std::move(to_front), max_bytes);
      }
    } else if (rank_ == from) {
      DRAY_ASSIGN_OR_RETURN(results_, parallel::MakeMpiSender(over_mpi));
      results_to_head_ = results_.get();
    }
    duties_.results = results_.get();
    return OkStatus();
  }

  // Ends everything that other ranks may wait for.
  void Abort(const Status& status) {
    const Status reason = status.WithPrefix(fmt::format("rank {}", rank_));
    library_->SetFailed();
    job_->Abort(reason);
    connections_.Abort(reason);
    if (orders_ != nullptr) orders_->Abort(reason);
    if (results_ != nullptr) results_->Abort(reason);
    if (relay_) relay_->Abort(reason);
  }

  const ControlSocket* front_;
  std::shared_ptr<parallel::MpiLibrary> library_;
  int64_t rank_ = 0;
  int64_t world_ = 1;
  LoadModelOptions options_;
  std::unique_ptr<LoadedModel> model_;

  std::unique_ptr<parallel::Communicator> job_;
  std::vector<std::unique_ptr<LinkSender>> messages_to_;
  std::unique_ptr<LinkReceiver> messages_from_;
  RankConnections connections_;
  std::unique_ptr<LinkReceiver> orders_;
  std::unique_ptr<LinkSender> results_;
  LinkSender* results_to_head_ = nullptr;  // results_, if they go to the head
  std::optional<Relay> relay_;
  std::unique_ptr<RankWorker> worker_;
  RankDuties duties_;
};

}  // namespace

Status RunMpiRank(const ControlSocket* front) {
  try {
    return MpiRank(front).Run();
  } catch (const std::exception& error) {
    return {StatusCode::kResourceExhausted, error.what()};
  }
}

}  // namespace dray::engine
