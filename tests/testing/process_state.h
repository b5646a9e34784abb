// Which processes there are, and how they are: what tests of ranks in processes ask the system.
#pragma once

#include <dirent.h>
#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace dray::testing {

// The whole of a file of /proc, whose size the system does not tell.
inline std::string ReadProcFile(pid_t pid, const std::string& name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/" + name);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

struct ProcessState {
  char letter = '-';  // 'T' if it is stopped; '-' if there is no such process
  pid_t parent = 0;
};

// A process that has ended, and that its parent has not waited for, is none.
inline ProcessState StateOf(pid_t pid) {
  const std::string text = ReadProcFile(pid, "stat");
  const size_t name_end = text.rfind(") ");
  if (name_end == std::string::npos) return {};
  std::stringstream rest(text.substr(name_end + 2));
  ProcessState state;
  rest >> state.letter >> state.parent;
  return state.letter == 'Z' ? ProcessState() : state;
}

// Which rank a process is, by the variables that it was started with; -1 if it is none.
inline int RankOf(pid_t pid) {
  const std::string variables = std::string(1, '\0') + ReadProcFile(pid, "environ");
  for (const std::string name : {"OMPI_COMM_WORLD_RANK=", "RANK="}) {
    const size_t found = variables.find(std::string(1, '\0') + name);
    if (found != std::string::npos) return std::atoi(variables.c_str() + found + 1 + name.size());
  }
  return -1;
}

// The processes that `parent` has started, in the order of their ranks.
inline std::vector<pid_t> ChildrenOf(pid_t parent) {
  std::vector<pid_t> children;
  DIR* const folder = ::opendir("/proc");
  while (const dirent* entry = ::readdir(folder)) {
    const pid_t pid = std::atoi(entry->d_name);
    if (pid > 0 && StateOf(pid).parent == parent) children.push_back(pid);
  }
  ::closedir(folder);
  std::sort(children.begin(), children.end(),
            [](pid_t one, pid_t other) { return RankOf(one) < RankOf(other); });
  return children;
}

// Sends a signal; returns when a process that it stops is stopped.
inline void SignalRank(pid_t rank, int signal) {
  ::kill(rank, signal);
  while (signal == SIGSTOP && StateOf(rank).letter != 'T') ::usleep(1000);
}

}  // namespace dray::testing
