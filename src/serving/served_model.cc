// What happens to a request, in which order, before it reaches the engine.
#include "serving/served_model.h"

#include <utility>

#include "serving/prepare_request.h"

namespace dray::serving {
namespace {

// How often requests are looked at for being late; timeouts are seconds.
constexpr std::chrono::milliseconds kWatchInterval{50};

}  // namespace

ServedModel::ServedModel(ModelOptions options, std::unique_ptr<engine::Engine> engine,
                         std::unique_ptr<TextCodec> codec)
    : options_(std::move(options)),
      admission_(options_.max_running + options_.job_queue_size),
      codec_(std::move(codec)),
      engine_(std::move(engine)),
      watcher_([this] { Watch(); }) {}

ServedModel::~ServedModel() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stopping_.notify_all();
  watcher_.join();
  // Before the codec, which its last events still use.
  engine_.reset();
}

OrReason<Admission::Ticket> ServedModel::Admit() {
  auto entered = admission_.Enter();
  if (auto* ticket = std::get_if<Admission::Ticket>(&entered)) return std::move(*ticket);
  if (std::get<Admission::Refusal>(entered) == Admission::Refusal::kDraining) {
    return Reason(ModelDraining{options_.name});
  }
  return Reason(QueueFull{options_.name, admission_.max_requests()});
}

OrReason<std::shared_ptr<Generation>> ServedModel::Submit(const TextRequest& request,
                                                          std::shared_ptr<TextSink> sink) {
  auto generation = TrySubmit(request, std::move(sink));
  if (!generation.ok()) {
    const bool is_full = std::holds_alternative<QueueFull>(generation.reason());
    ++(is_full ? metrics_.refused_queue_full : metrics_.refused_other);
  }
  return generation;
}

OrReason<std::shared_ptr<Generation>> ServedModel::TrySubmit(const TextRequest& request,
                                                             std::shared_ptr<TextSink> sink) {
  auto ticket = Admit();
  if (!ticket.ok()) return ticket.reason();
  auto prepared =
      PrepareRequest(request, *codec_, engine_->limits(), options_.default_max_new_tokens,
                     [&sink] { return sink->cancelled(); });
  if (!prepared.ok()) return prepared.reason();
  auto generation = std::make_shared<Generation>(Generation::Setup{
      .engine = engine_.get(),
      .codec = codec_.get(),
      .sink = std::move(sink),
      .params = prepared->params,
      .prompt = prepared->prompt,
      .special_tokens = request.special_tokens,
      .eos_token_ids = options_.eos_token_ids,
      .ticket = std::move(*ticket),
      .metrics = &metrics_,
  });
  const auto id = engine_->Submit(std::move(*prepared), generation);
  if (!id.ok()) return Reason(id.status());
  generation->SetId(*id);
  const std::lock_guard lock(mutex_);
  watched_.push_back(generation);
  if (cancel_reason_) generation->Cancel(*cancel_reason_);
  return generation;
}

void ServedModel::CancelAll(const Reason& reason) {
  const std::lock_guard lock(mutex_);
  cancel_reason_ = reason;
  for (const std::weak_ptr<Generation>& weak : watched_) {
    if (const auto generation = weak.lock()) generation->Cancel(reason);
  }
}

WorkerGroupStatus ServedModel::workers() const {
  WorkerGroupStatus status;
  status.workers.push_back({.id = 1, .start_time = start_time_});
  status.num_queued = engine_->stats().waiting_sequences;
  return status;
}

void ServedModel::Watch() {
  std::unique_lock lock(mutex_);
  while (!stopping_.wait_for(lock, kWatchInterval, [this] { return stop_; })) {
    // Those that are over, and those that nobody holds.
    std::erase_if(watched_, [](const std::weak_ptr<Generation>& weak) {
      const auto generation = weak.lock();
      return generation == nullptr || generation->over();
    });
    const auto now = Generation::Clock::now();
    for (const std::weak_ptr<Generation>& weak : watched_) {
      if (const auto generation = weak.lock()) {
        generation->CancelIfLate(now, options_.predict_timeout, options_.chunked_read_timeout);
      }
    }
  }
}

}  // namespace dray::serving
