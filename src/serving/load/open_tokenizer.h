// Opens a model's tokenizer from the files of its folder or from its GGUF file.
#pragma once

#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <thread>

#include "base/status.h"
#include "tokenizer/tokenizer.h"

namespace dray::serving {

// `path` is a folder or a .gguf file. If the folder has a tokenizer.json or the files of a vocabulary, they are
// used rather than a GGUF file, which has only the texts of added tokens. Errors name the file.
Result<std::unique_ptr<tokenizer::Tokenizer>> OpenTokenizer(const std::filesystem::path& path);

// Opens a tokenizer while its model's weights are loaded, which wait for memory more than for the processor.
//
// Threads: owns the one that opens it; one caller.
class TokenizerLoad {
 public:
  using Opened = Result<std::unique_ptr<tokenizer::Tokenizer>>;

  // Calls `on_error` on the thread if the tokenizer cannot be opened. Opens it at once if the system gives no more threads.
  TokenizerLoad(std::filesystem::path path, std::function<void()> on_error);
  TokenizerLoad(const TokenizerLoad&) = delete;
  TokenizerLoad& operator=(const TokenizerLoad&) = delete;
  ~TokenizerLoad();

  // Waits until the tokenizer is open. To be called once. Throws what opening it has thrown.
  Opened Take() { return opened_.get(); }

 private:
  std::future<Opened> opened_;
  std::thread thread_;
};

}  // namespace dray::serving
