#include "cli/top/live_view.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cctype>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <iterator>
#include <string_view>
#include <utility>

#include "cli/top/screen/screen.h"
#include "cli/top/server_view.h"
#include "cli/top/terminal.h"

namespace dray::cli {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// Over how long latencies are taken: long enough for a few requests, short enough to see a change.
constexpr double kWindowSeconds = 30;
// What the keys + and - choose among.
constexpr double kIntervals[] = {0.2, 0.5, 1, 2, 5, 10, 30, 60};

std::string TextOfEnvironment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// By the first variable that says anything, in the order in which the C library asks them.
Glyphs GlyphsOfLocale() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    std::string locale = TextOfEnvironment(name);
    if (locale.empty()) continue;
    for (char& c : locale) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const bool is_utf8 =
        locale.find("utf-8") != std::string::npos || locale.find("utf8") != std::string::npos;
    return is_utf8 ? Glyphs::kUnicode : Glyphs::kAscii;
  }
  return Glyphs::kAscii;
}

std::string ClockText() {
  const std::time_t now = std::time(nullptr);
  std::tm parts = {};
  ::localtime_r(&now, &parts);
  return fmt::format("{:02}:{:02}:{:02}", parts.tm_hour, parts.tm_min, parts.tm_sec);
}

double UnixSeconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

class LiveView {
 public:
  LiveView(const LiveViewOptions& options, Terminal terminal)
      : url_(Printable(options.url)),
        interval_seconds_(options.interval_seconds),
        colors_(TextOfEnvironment("NO_COLOR").empty() ? Colors::kAnsi : Colors::kNone),
        terminal_(std::move(terminal)),
        keys_(io_, ::fcntl(terminal_.keys(), F_DUPFD_CLOEXEC, 0)),
        signals_(io_, SIGINT, SIGTERM, SIGHUP),
        timer_(io_),
        poller_(io_, options.target) {
    signals_.add(SIGWINCH);
    signals_.add(SIGTSTP);
  }

  void Run() {
    terminal_.Enter();
    WaitForSignal();
    ReadKeys();
    Ask();
    Draw();
    io_.run();
    terminal_.Leave();
  }

 private:
  void Ask() {
    is_asking_ = true;
    poller_.Poll([this](Result<ServerSample> sample) {
      is_asking_ = false;
      if (sample.ok()) {
        trouble_.clear();
        history_.Add(std::move(sample).value());
      } else {
        trouble_ = Printable(sample.status().message());
      }
      Draw();
      if (!is_paused_) AskLater();
    });
  }

  void AskLater() {
    timer_.expires_after(std::chrono::duration_cast<std::chrono::steady_clock::duration>(
        std::chrono::duration<double>(interval_seconds_)));
    timer_.async_wait([this](const error_code& error) {
      if (!error && !is_paused_ && !is_asking_) Ask();
    });
  }

  void WaitForSignal() {
    signals_.async_wait([this](const error_code& error, int signal) {
      if (error) return;
      if (signal == SIGTSTP) {
        Suspend();
      } else if (signal != SIGWINCH) {
        return io_.stop();
      }
      Draw();
      WaitForSignal();
    });
  }

  // Gives the terminal back, stops the process, and goes on here when it is continued.
  void Suspend() {
    terminal_.Leave();
    ::raise(SIGSTOP);
    terminal_.Enter();
  }

  void ReadKeys() {
    keys_.async_read_some(asio::buffer(typed_), [this](const error_code& error, size_t count) {
      if (error) return io_.stop();  // the terminal is gone
      TakeKeys({typed_.data(), count});
      Draw();
      ReadKeys();
    });
  }

  // Cursor keys are sequences of three bytes, in one of two modes.
  void TakeKeys(std::string_view typed) {
    while (!typed.empty()) {
      const std::string_view sequence = typed.substr(0, 3);
      const bool is_up = sequence == "\x1b[A" || sequence == "\x1bOA";
      const bool is_down = sequence == "\x1b[B" || sequence == "\x1bOB";
      if (is_up || is_down) {
        TakeKey(is_up ? 'k' : 'j');
      } else {
        TakeKey(typed.front());
      }
      typed.remove_prefix(is_up || is_down ? sequence.size() : 1);
    }
  }

  void TakeKey(char key) {
    if (key == 'q') io_.stop();
    if (key == 'k' && chosen_model_ > 0) --chosen_model_;
    if (key == 'j') ++chosen_model_;
    if (key == '+') SetInterval(Faster());
    if (key == '-') SetInterval(Slower());
    if (key == 'p') {
      is_paused_ = !is_paused_;
      if (!is_paused_ && !is_asking_) Ask();
    }
  }

  double Faster() const {
    const auto* const next =
        std::lower_bound(std::begin(kIntervals), std::end(kIntervals), interval_seconds_);
    return next == std::begin(kIntervals) ? interval_seconds_ : *std::prev(next);
  }
  double Slower() const {
    const auto* const next =
        std::upper_bound(std::begin(kIntervals), std::end(kIntervals), interval_seconds_);
    return next == std::end(kIntervals) ? interval_seconds_ : *next;
  }
  void SetInterval(double seconds) {
    interval_seconds_ = seconds;
    if (!is_asking_ && !is_paused_) AskLater();
  }

  ScreenOptions Options() const {
    const Terminal::Size size = terminal_.size();
    ScreenOptions options;
    options.columns = size.columns;
    options.rows = size.rows;
    options.colors = colors_;
    options.glyphs = glyphs_;
    options.url = url_;
    options.clock = ClockText();
    options.refresh = is_paused_ ? "paused" : fmt::format("{:g} s", interval_seconds_);
    options.chosen_model = chosen_model_;
    if (!trouble_.empty()) {
      options.trouble = trouble_ + (is_paused_ ? "" : "; trying again");
    } else if (history_.empty()) {
      options.trouble = "waiting for the server's first answer";
    }
    return options;
  }

  void Draw() {
    if (history_.empty()) return terminal_.Show(DrawWaitingScreen(Options()));
    const ServerView view = history_.View(UnixSeconds());
    if (!view.models.empty()) chosen_model_ = std::min(chosen_model_, view.models.size() - 1);
    terminal_.Show(DrawScreen(view, Options()));
  }

  const std::string url_;
  double interval_seconds_;
  const Colors colors_;
  const Glyphs glyphs_ = GlyphsOfLocale();
  Terminal terminal_;
  asio::io_context io_;
  asio::posix::stream_descriptor keys_;
  asio::signal_set signals_;
  asio::steady_timer timer_;
  ServerPoller poller_;
  SampleHistory history_{kWindowSeconds};
  std::array<char, 64> typed_{};
  std::string trouble_;
  size_t chosen_model_ = 0;
  bool is_asking_ = false;
  bool is_paused_ = false;
};

}  // namespace

Status RunLiveView(const LiveViewOptions& options) {
  DRAY_ASSIGN_OR_RETURN(Terminal terminal, Terminal::Open());
  LiveView(options, std::move(terminal)).Run();
  return OkStatus();
}

}  // namespace dray::cli
