#include "cli/calibrate_command.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <memory>
#include <ostream>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"
#include "cli/progress.h"
#include "engine/calibrate.h"
#include "serving/load/open_tokenizer.h"
#include "settings/engine_settings.h"
#include "tokenizer/tokenizer.h"

namespace dray::cli {
namespace {

// A few hundred tokens, about as many as one sequence can have.
constexpr size_t kPieceBytes = 2048;

// Takes the next piece of `text`. It ends after a line, or else after a word, if it contains one.
std::string_view TakePiece(std::string_view& text) {
  size_t end = std::min(text.size(), kPieceBytes);
  if (end < text.size()) {
    const std::string_view most = text.substr(0, end);
    const size_t line = most.rfind('\n'), word = most.rfind(' ');
    const size_t last = line != std::string_view::npos ? line : word;
    if (last != std::string_view::npos) end = last + 1;
    // Continuation bytes of a code point stay in its piece, so that no code point is cut.
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
  }
  const std::string_view piece = text.substr(0, end);
  text.remove_prefix(end);
  return piece;
}

std::string HumanTokens(uint64_t count) { return fmt::format("{} tokens", count); }

Result<std::unique_ptr<engine::Calibrator>> LoadCalibrator(const ResolvedModel& resolved) {
  DRAY_ASSIGN_OR_RETURN(
      engine::LoadModelOptions load,
      settings::MakeLoadModelOptions(resolved.settings.model, resolved.files.model));
  ProgressLine line("loading");
  load.progress = [&](uint64_t done, uint64_t total) { line.Update(done, total); };
  return engine::Calibrator::Load(std::move(load));
}

Status ReadText(const CalibrateOptions& options, const tokenizer::Tokenizer& tokenizer,
                std::string_view text, engine::Calibrator& calibrator) {
  ProgressLine line("calibrating", HumanTokens);
  int64_t done = 0;
  while (!text.empty() && done < options.num_tokens) {
    DRAY_ASSIGN_OR_RETURN(std::vector<int32_t> ids, tokenizer.Encode(TakePiece(text), {}));
    const int64_t most = std::min(calibrator.max_sequence_tokens(), options.num_tokens - done);
    if (static_cast<int64_t>(ids.size()) > most) ids.resize(static_cast<size_t>(most));
    if (ids.empty()) continue;
    DRAY_RETURN_IF_ERROR(calibrator.Read(std::move(ids)));
    done = calibrator.calibration().num_tokens;
    line.Update(static_cast<uint64_t>(done), static_cast<uint64_t>(options.num_tokens));
  }
  if (done > 0) return OkStatus();
  return {StatusCode::kInvalidArgument,
          fmt::format("{} holds no text; name a file of some pages of what the model will read",
                      options.text_file)};
}

Status Calibrate(const CalibrateOptions& options, std::ostream& out) {
  DRAY_ASSIGN_OR_RETURN(ResolvedModel resolved, ResolveModel(options.model));
  // Small files are read first, so that a wrong name is reported before gigabytes are read.
  DRAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(options.text_file, uint64_t{1} << 30));
  DRAY_ASSIGN_OR_RETURN(const auto tokenizer, serving::OpenTokenizer(resolved.files.tokenizer));
  DRAY_ASSIGN_OR_RETURN(const auto calibrator, LoadCalibrator(resolved));
  // The demo model's files have been read.
  resolved.demo.reset();
  DRAY_RETURN_IF_ERROR(ReadText(options, *tokenizer, text, *calibrator));
  const model::Calibration& calibration = calibrator->calibration();
  DRAY_RETURN_IF_ERROR(model::WriteCalibration(calibration, options.out_file));
  const bool fewer = calibration.num_tokens < options.num_tokens;
  fmt::print(out,
             "{}: {} layers, {} tokens of {}{}\n"
             "use it with: dray serve {} --quantize smoothquant --calibration-file {}\n",
             options.out_file, calibration.num_layers(), calibration.num_tokens, options.text_file,
             fewer ? ", which is all of it" : "", options.model.model, options.out_file);
  return OkStatus();
}

}  // namespace

void AddCalibrateOptions(Command command, CalibrateOptions& options) {
  command.Add({.names = "model",
               .target = &options.model.model,
               .help = "Folder of the model, or: demo",
               .type = "MODEL",
               .is_required = true});
  command.Add({.names = "--text",
               .target = &options.text_file,
               .help = "Text such as the model will read; some pages are enough",
               .type = "FILE",
               .is_required = true});
  command.Add({.names = "--out",
               .target = &options.out_file,
               .help = "Where the calibration goes, as JSON",
               .type = "FILE",
               .is_required = true});
  command.Add({.names = "--tokens",
               .target = &options.num_tokens,
               .help = "At most so many tokens of the text",
               .type = "N",
               .check = FlagLimits<int64_t>{1, int64_t{1} << 30},
               .shows_default = true});
  command.Add(
      {.names = "--dtype",
       .target = TakeFlag("dtype", options.model),
       .help =
           "Floats that the model is computed in: auto (as in the checkpoint), fp32, fp16, bf16",
       .type = "TYPE"});
  command.Add({.names = "--threads",
               .target = TakeFlag("threads", options.model),
               .help = "Processor threads; 0: all that this process may use",
               .type = "N"});
}

int RunCalibrate(const CalibrateOptions& options, std::ostream& out, std::ostream& err) {
  const Status status = Calibrate(options, out);
  if (status.ok()) return 0;
  fmt::print(err, "dray calibrate: {}\n", status.message());
  return 1;
}

}  // namespace dray::cli
