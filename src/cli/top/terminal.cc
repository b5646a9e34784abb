#include "cli/top/terminal.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

namespace dray::cli {
namespace {

// The alternate screen, the cursor's visibility and its place: DEC's private modes, as xterm has them.
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J";
constexpr std::string_view kLeave = "\x1b[?25h\x1b[?1049l";
constexpr std::string_view kHome = "\x1b[H";
// Comes before a line's text: behind a text that fills the line, it would erase the last character.
constexpr std::string_view kClearLine = "\x1b[K";

void Write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno != EINTR) return;  // the terminal is gone, and SIGHUP is on its way
    if (written > 0) text.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

Result<Terminal> Terminal::Open() {
  if (::isatty(STDOUT_FILENO) != 1) {
    return Status(StatusCode::kInvalidArgument,
                  "standard output is no terminal; --once prints one report anywhere");
  }
  const char* const type = std::getenv("TERM");
  if (type == nullptr || std::string_view(type) == "dumb") {
    return Status(StatusCode::kInvalidArgument,
                  "this terminal cannot move its cursor, says TERM; --once prints one report");
  }
  // Opened anew, so that waiting without blocking does not change the descriptors that other programs share.
  const int keys = ::open("/dev/tty", O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (keys >= 0) return Terminal(keys);
  return Status(StatusCode::kIo, std::string("cannot read keys from /dev/tty: ") +
                                     std::strerror(errno) + "; --once needs none");
}

Terminal::Terminal(Terminal&& other) noexcept
    : keys_(std::exchange(other.keys_, -1)),
      entered_(std::exchange(other.entered_, false)),
      before_(other.before_) {}

Terminal::~Terminal() {
  Leave();
  if (keys_ >= 0) ::close(keys_);
}

void Terminal::Enter() {
  if (entered_ || ::tcgetattr(keys_, &before_) != 0) return;
  termios raw = before_;
  // Ctrl-C and Ctrl-Z still make signals.
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  raw.c_cc[VMIN] = 1;
  raw.c_cc[VTIME] = 0;
  ::tcsetattr(keys_, TCSANOW, &raw);
  Write(kEnter);
  entered_ = true;
}

void Terminal::Leave() {
  if (!entered_) return;
  Write(kLeave);
  // Keys that nobody has read are thrown away, so that the shell does not get them.
  ::tcsetattr(keys_, TCSAFLUSH, &before_);
  entered_ = false;
}

void Terminal::Show(const std::vector<std::string>& lines) const {
  // One write for the whole screen, which is overwritten in place, so that nothing flickers.
  std::string out(kHome);
  for (size_t i = 0; i < lines.size(); ++i) {
    out.append(i == 0 ? "" : "\r\n").append(kClearLine).append(lines[i]);
  }
  Write(out);
}

Terminal::Size Terminal::size() const {
  winsize size = {};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) {
    return {};
  }
  return {.columns = size.ws_col, .rows = size.ws_row};
}

}  // namespace dray::cli
