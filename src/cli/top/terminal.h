// The terminal that `dray top` draws on: plain ANSI sequences, which every terminal of the last decades understands. A
// library such as ncurses would describe other terminals, too, and brings its own idea of signals and locales.
#pragma once

#include <termios.h>

#include <cstddef>
#include <string>
#include <vector>

#include "base/status.h"

namespace dray::cli {

class Terminal {
 public:
  struct Size {
    size_t columns = 80;
    size_t rows = 24;
  };

  // Fails if standard output is no terminal, or one that cannot move its cursor, or if the process's terminal cannot
  // be opened.
  static Result<Terminal> Open();
  Terminal(Terminal&& other) noexcept;
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  Terminal& operator=(Terminal&&) = delete;
  // Leaves the screen.
  ~Terminal();

  // Shows an empty screen of its own, without a cursor, and lets keys come at once and unseen.
  void Enter();
  // Brings back what the terminal showed, and how it was set, before.
  void Leave();
  // Replaces what is on the screen. There must be as many lines as rows, none with more columns than there are.
  void Show(const std::vector<std::string>& lines) const;
  Size size() const;
  // The descriptor that keys come from. It does not wait for any.
  int keys() const { return keys_; }

 private:
  explicit Terminal(int keys) : keys_(keys) {}

  int keys_ = -1;
  bool entered_ = false;
  termios before_ = {};
};

}  // namespace dray::cli
