// What an operator may choose about the host's processors.
#pragma once

#include <string>

namespace dray::kernels {

struct CpuOptions {
  int num_threads = 0;  // 0: one for each processor that this process may use
  // Threads of steps of 32 tokens or more, which are bound by arithmetic instead of memory; 0:
  // num_threads.
  int num_prompt_threads = 0;
  // Threads stay on their processors if they take all of them, else on their memory node.
  bool pin_threads = true;
  // Whether the ranks of a group may be more than processors: then several ranks share one.
  bool oversubscribe = false;
  // "", or one of portable, avx2, avx-vnni, avx512, avx512-vnni, avx512-bf16; empty asks the
  // environment (DRAY_ISA), then the processor.
  std::string isa = {};
};

}  // namespace dray::kernels
