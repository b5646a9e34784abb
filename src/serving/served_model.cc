// What happens to a request, in which order, before it reaches the engine.
#include "serving/served_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/encoder/encoder_worker.h"
#include "serving/encoder/encode_call.h"
#include "serving/encoder/encoder_service.h"
#include "serving/encoder/encoding.h"
#include "serving/prepare_request.h"

namespace dray::serving {
namespace {

int64_t MaxRequests(const ModelOptions& options, int64_t max_workers) {
  return options.pool.max_running * std::max<int64_t>(1, max_workers) + options.job_queue_size;
}

std::vector<WorkerParts> OneWorker(std::unique_ptr<engine::Engine> engine) {
  std::vector<WorkerParts> workers;
  workers.push_back({.engine = std::move(engine)});
  return workers;
}

Result<WorkerParts> RefuseWorker(int64_t, const std::stop_token&) {
  return Status(StatusCode::kResourceExhausted, "this model cannot have a further worker");
}

// The worker of an encoder, which may end and come again, but has no others beside it.
WorkerPool::WorkerMaker EncoderWorkers(const EncoderService& encoder) {
  return [engine = encoder.shared_engine()](int64_t max_workers,
                                            const std::stop_token&) -> Result<WorkerParts> {
    if (max_workers > 1) {
      return Status(StatusCode::kUnsupported,
                    "an encoder has one worker, which computes with all threads: set maxWorkers to "
                    "1");
    }
    return WorkerParts{.engine = engine::MakeEncoderWorker(engine)};
  };
}

}  // namespace

ServedModel::ServedModel(ModelOptions options, std::unique_ptr<EncoderService> encoder)
    : options_(std::move(options)),
      admission_(MaxRequests(options_, options_.pool.max_workers)),
      encoder_(std::move(encoder)),
      limits_({.vocab_size = encoder_->limits().vocab_size,
               .max_context_tokens = encoder_->limits().max_tokens}),
      pool_(options_.pool, OneWorker(engine::MakeEncoderWorker(encoder_->shared_engine())),
            EncoderWorkers(*encoder_)),
      watcher_([this] { Watch(); }) {}

ServedModel::ServedModel(ModelOptions options, std::vector<WorkerParts> workers,
                         WorkerPool::WorkerMaker make_worker, std::unique_ptr<TextCodec> codec)
    : options_(std::move(options)),
      admission_(MaxRequests(options_, options_.pool.max_workers)),
      codec_(std::move(codec)),
      limits_(workers.front().engine->limits()),
      pool_(options_.pool, std::move(workers), std::move(make_worker)),
      watcher_([this] { Watch(); }) {}

ServedModel::ServedModel(ModelOptions options, std::unique_ptr<engine::Engine> engine,
                         std::unique_ptr<TextCodec> codec)
    : ServedModel(std::move(options), OneWorker(std::move(engine)), RefuseWorker,
                  std::move(codec)) {}

ServedModel::~ServedModel() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  watcher_.join();
}

Reason ServedModel::RefusalReason(Admission::Refusal refusal) const {
  if (refusal == Admission::Refusal::kDraining) return ModelDraining{options_.name};
  return QueueFull{options_.name, admission_.max_requests()};
}

void ServedModel::CountRefusal(const Reason& reason) {
  ++(std::holds_alternative<QueueFull>(reason) ? metrics_.refused_queue_full
                                               : metrics_.refused_other);
}

OrReason<Admission::Ticket> ServedModel::Admit() {
  auto entered = admission_.Enter();
  if (auto* ticket = std::get_if<Admission::Ticket>(&entered)) return std::move(*ticket);
  return RefusalReason(std::get<Admission::Refusal>(entered));
}

std::optional<Reason> ServedModel::RefuseUnread() {
  std::optional<Reason> reason;
  if (const auto refusal = admission_.RefusalNow()) {
    reason = RefusalReason(*refusal);
  } else if (pool_.options().max_workers == 0) {
    reason = NoWorkers{options_.name};
  } else {
    return std::nullopt;
  }
  CountRefusal(*reason);
  return reason;
}

OrReason<std::shared_ptr<Generation>> ServedModel::Submit(const TextRequest& request,
                                                          std::shared_ptr<TextSink> sink) {
  auto generation = TrySubmit(request, std::move(sink));
  if (!generation.ok()) CountRefusal(generation.reason());
  return generation;
}

OrReason<std::shared_ptr<Generation>> ServedModel::TrySubmit(const TextRequest& request,
                                                             std::shared_ptr<TextSink> sink) {
  if (encoder_ != nullptr) {
    return Reason(Status(StatusCode::kUnsupported,
                         fmt::format("model \"{}\" is an encoder: it makes vectors or classes of "
                                     "texts, and generates no text",
                                     options_.name)));
  }
  auto ticket = Admit();
  if (!ticket.ok()) return ticket.reason();
  if (pool_.options().max_workers == 0) return Reason(NoWorkers{options_.name});
  auto prepared = PrepareRequest(request, *codec_, limits_, options_.default_max_new_tokens,
                                 [&sink] { return sink->cancelled(); });
  if (!prepared.ok()) return prepared.reason();
  auto generation = std::make_shared<Generation>(Generation::Setup{
      .codec = codec_.get(),
      .sink = std::move(sink),
      .params = prepared->params,
      .prompt = prepared->prompt,
      .continues_prompt = !limits_.encodes_prompt,
      .special_tokens = request.special_tokens,
      .eos_token_ids = options_.eos_token_ids,
      .ticket = std::move(*ticket),
      .metrics = &metrics_,
  });
  const Status submitted = pool_.Submit({request.priority, std::move(*prepared), generation});
  if (!submitted.ok()) return Reason(submitted);
  if (pool_.NeedsTending()) WakeWatcher();
  WatchRequest(generation);
  return generation;
}

OrReason<std::shared_ptr<Encoding>> ServedModel::Encode(const EncodeCall& call,
                                                        std::shared_ptr<EncodeReceiver> receiver) {
  auto encoding = TryEncode(call, std::move(receiver));
  if (!encoding.ok()) CountRefusal(encoding.reason());
  return encoding;
}

OrReason<std::shared_ptr<Encoding>> ServedModel::TryEncode(
    const EncodeCall& call, std::shared_ptr<EncodeReceiver> receiver) {
  if (encoder_ == nullptr) {
    return Reason(Status(StatusCode::kUnsupported,
                         fmt::format("model \"{}\" is a decoder: it generates text, and makes no "
                                     "vectors or classes of it",
                                     options_.name)));
  }
  auto ticket = Admit();
  if (!ticket.ok()) return ticket.reason();
  if (pool_.options().max_workers == 0) return Reason(NoWorkers{options_.name});
  auto prepared = encoder_->Prepare(call, [&receiver] { return receiver->cancelled(); });
  if (!prepared.ok()) return prepared.reason();
  auto encoding =
      std::make_shared<Encoding>(Encoding::Setup{.receiver = std::move(receiver),
                                                 .num_tokens = std::move(prepared->num_tokens),
                                                 .ticket = std::move(*ticket),
                                                 .metrics = &metrics_});
  const auto id = encoder_->engine().Submit(std::move(prepared->request), encoding);
  if (!id.ok()) return Reason(id.status());
  encoding->SetStarted(encoder_->engine(), *id);
  WatchRequest(encoding);
  return encoding;
}

void ServedModel::WatchRequest(const std::shared_ptr<RequestInFlight>& request) {
  const std::lock_guard lock(mutex_);
  watched_.push_back(request);
  if (cancel_reason_) request->Cancel(*cancel_reason_);
}

void ServedModel::CancelAll(const Reason& reason) {
  const std::lock_guard lock(mutex_);
  cancel_reason_ = reason;
  for (const std::weak_ptr<RequestInFlight>& weak : watched_) {
    if (const auto request = weak.lock()) request->Cancel(reason);
  }
}

Status ServedModel::Apply(const WorkerPool::Change& change) {
  admission_.SetMaxRequests(MaxRequests(options_, change.max_workers));
  Status status = pool_.Apply(change);
  // A change that no worker can follow is not made.
  admission_.SetMaxRequests(MaxRequests(options_, pool_.options().max_workers));
  WakeWatcher();
  return status;
}

void ServedModel::WakeWatcher() {
  {
    const std::lock_guard lock(mutex_);
    tend_now_ = true;
  }
  wake_.notify_all();
}

void ServedModel::Watch() {
  bool has_failed = false;
  while (true) {
    const auto next = pool_.Tend();
    if (!has_failed && !pool_.healthy()) {
      has_failed = true;
      if (options_.on_failed) options_.on_failed();
    }
    std::unique_lock lock(mutex_);
    wake_.wait_until(lock, next, [this] { return stop_ || tend_now_; });
    if (stop_) return;
    tend_now_ = false;
    // Those that are over, and those that nobody holds.
    std::erase_if(watched_, [](const std::weak_ptr<RequestInFlight>& weak) {
      const auto request = weak.lock();
      return request == nullptr || request->over();
    });
    const auto now = Generation::Clock::now();
    for (const std::weak_ptr<RequestInFlight>& weak : watched_) {
      if (const auto request = weak.lock()) {
        request->CancelIfLate(now, options_.predict_timeout, options_.chunked_read_timeout);
      }
    }
  }
}

}  // namespace dray::serving
