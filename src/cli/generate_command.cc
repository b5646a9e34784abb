#include "cli/generate_command.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <ostream>
#include <thread>
#include <utility>

#include "cli/progress.h"

namespace dray::cli {
namespace {

using Clock = std::chrono::steady_clock;

// Prints the first sequence's text as it comes, and that of the others when they are complete.
class TerminalSink : public serving::TextSink {
 public:
  explicit TerminalSink(std::ostream& out) : out_(out) {}

  void OnEvent(serving::TextEvent event) override {
    const std::lock_guard lock(mutex_);
    if (const auto* sequence = std::get_if<serving::SequenceTextEvent>(&event)) Take(*sequence);
    if (const auto* end = std::get_if<serving::EndEvent>(&event)) {
      status_ = end->status();
      ended_ = true;
      changed_.notify_all();
    }
  }

  Status Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_; });
    for (size_t i = 1; i < texts_.size(); ++i) fmt::print(out_, "--- {}\n{}\n", i + 1, texts_[i]);
    return status_;
  }

  int64_t num_tokens() const { return num_tokens_; }
  double decode_seconds() const { return std::chrono::duration<double>(last_ - first_).count(); }

 private:
  void Take(const serving::SequenceTextEvent& event) {
    std::string text;
    for (const auto& token : event.tokens) text += token.text;
    text += event.tail_text;
    if (num_tokens_ == 0) first_ = Clock::now();
    last_ = Clock::now();
    num_tokens_ += static_cast<int64_t>(event.tokens.size());
    const auto idx = static_cast<size_t>(event.sequence_idx);
    if (idx == 0) {
      out_ << text << std::flush;
      if (event.finish) out_ << std::endl;
      return;
    }
    if (texts_.size() <= idx) texts_.resize(idx + 1);
    texts_[idx] += text;
  }

  std::ostream& out_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> texts_{1};
  Status status_;
  bool ended_ = false;
  int64_t num_tokens_ = 0;
  Clock::time_point first_;
  Clock::time_point last_;
};

// "; 30 of 40 guesses were right", or "" if there were none.
std::string DescribeGuesses(const serving::ServedModel& model) {
  // The engine publishes its counters shortly after the last step, so wait for them.
  for (int i = 0; i < 100 && model.stats().running_sequences > 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const engine::EngineStats stats = model.stats();
  if (stats.drafted_tokens == 0) return "";
  return fmt::format("; {} of {} guesses were right", stats.accepted_tokens, stats.drafted_tokens);
}

Status Generate(const GenerateOptions& options, std::ostream& out, std::ostream& err) {
  DRAY_ASSIGN_OR_RETURN(ResolvedModel resolved, ResolveModel(options.model));
  DRAY_ASSIGN_OR_RETURN(const auto model, OpenWithProgress(resolved));
  // The demo model's files have been read; nothing of them stays behind, however this ends. Ranks in
  // processes that are started again read them again.
  if (resolved.settings.model.rank_transport == engine::RankTransport::kThreads) {
    resolved.demo.reset();
  }
  auto sink = std::make_shared<TerminalSink>(out);
  const auto generation = model->Submit(options.request, sink);
  if (!generation.ok()) return generation.status();
  DRAY_RETURN_IF_ERROR(sink->Wait());
  if (sink->num_tokens() > 1 && sink->decode_seconds() > 0) {
    fmt::print(err, "{} tokens, {:.1f} a second{}\n", sink->num_tokens(),
               static_cast<double>(sink->num_tokens() - 1) / sink->decode_seconds(),
               DescribeGuesses(*model));
  }
  return OkStatus();
}

}  // namespace

int RunGenerate(const GenerateOptions& options, std::ostream& out, std::ostream& err) {
  const Status status = Generate(options, out, err);
  if (status.ok()) return 0;
  fmt::print(err, "dray generate: {}\n", status.message());
  return 1;
}

}  // namespace dray::cli
