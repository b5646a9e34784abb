#include "engine/runner/processes/wire/rank_messages.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "base/parse/byte_reader.h"
#include "base/parse/byte_writer.h"
#include "tensor/dtype.h"

namespace dray::engine {
namespace {

using Bytes = std::vector<std::byte>;
using Kind = RankMessageKind;

// A message is small, but for paths; a longer error is cut.
constexpr size_t kMaxErrorBytes = 4096;
// As many as a degree can be (settings/rank_settings.cc), and fewer than a message has room for.
constexpr int64_t kMostRanksOfMessage = 4096;

Status Corrupt(std::string_view what, int64_t value) {
  return {StatusCode::kCorrupt,
          fmt::format("a message between the processes of a group with the {} {}; start all of "
                      "them with one version of dray",
                      what, value)};
}

// Writes a message of one kind. Enums and flags are written as int64_t.
class MessageWriter {
 public:
  explicit MessageWriter(Kind kind) : writer_(bytes_) { writer_.Write(static_cast<uint8_t>(kind)); }

  void Number(int64_t value) { writer_.Write(value); }
  template <typename Enum>
  void Name(Enum value) {
    Number(static_cast<int64_t>(value));
  }
  void Real(double value) { writer_.Write(value); }
  void Text(std::string_view text) { writer_.WriteText(text); }
  Bytes Take() { return std::move(bytes_); }

 private:
  Bytes bytes_;
  ByteWriter writer_;
};

// Reads it again. The first error stays, and everything after it reads as nothing.
class MessageReader {
 public:
  MessageReader(std::span<const std::byte> message, Kind kind)
      : reader_(message, "a message of a group of ranks") {
    const auto found = reader_.Read<uint8_t>();
    if (!found.ok()) Keep(found.status());
    if (found.ok() && *found != static_cast<uint8_t>(kind)) Keep(Corrupt("kind", *found));
  }

  int64_t Number() { return Take<int64_t>(); }
  double Real() { return Take<double>(); }
  // A number in [0, limit].
  int64_t Number(std::string_view what, int64_t limit) {
    const int64_t value = Number();
    if (value >= 0 && value <= limit) return value;
    Keep(Corrupt(what, value));
    return 0;
  }
  bool Flag() { return Number("flag", 1) == 1; }
  template <typename Enum>
  Enum Name(std::string_view what, Enum last) {
    return static_cast<Enum>(Number(what, static_cast<int64_t>(last)));
  }
  std::string Text() {
    const auto size = Take<uint32_t>();
    if (!status_.ok()) return {};
    const auto text = reader_.ReadText(size);
    if (text.ok()) return std::string(*text);
    Keep(text.status());
    return {};
  }
  // OK if all was well and nothing is left.
  Status End() {
    if (status_.ok() && reader_.remaining() > 0) {
      Keep(Corrupt("unread bytes", static_cast<int64_t>(reader_.remaining())));
    }
    return status_;
  }

 private:
  template <typename T>
  T Take() {
    if (!status_.ok()) return {};
    const auto value = reader_.Read<T>();
    if (value.ok()) return *value;
    Keep(value.status());
    return {};
  }
  void Keep(const Status& status) {
    if (status_.ok()) status_ = status;
  }

  ByteReader reader_;
  Status status_;
};

void WriteForm(MessageWriter& writer, const std::optional<kernels::WeightForm>& form) {
  writer.Number(form.has_value() ? 1 : 0);
  const kernels::WeightForm value = form.value_or(kernels::WeightForm());
  writer.Name(value.format);
  writer.Number(value.group);
  writer.Name(value.zero);
  writer.Name(value.inputs);
}

std::optional<kernels::WeightForm> ReadForm(MessageReader& reader) {
  const bool has_form = reader.Flag();
  kernels::WeightForm form;
  form.format = reader.Name("weight format", kernels::WeightFormat::kI4);
  form.group = reader.Number("group of columns", kernels::kLargestGroup);
  form.zero = reader.Name("kind of zero points", kernels::ZeroPoint::kPerGroup);
  form.inputs = reader.Name("kind of inputs", kernels::Inputs::kFloat);
  if (!has_form) return std::nullopt;
  return form;
}

void WriteCpu(MessageWriter& writer, const kernels::CpuOptions& cpu) {
  writer.Number(cpu.num_threads);
  writer.Number(cpu.num_prompt_threads);
  writer.Number(cpu.pin_threads ? 1 : 0);
  writer.Number(cpu.oversubscribe ? 1 : 0);
  writer.Text(cpu.isa);
}

kernels::CpuOptions ReadCpu(MessageReader& reader) {
  constexpr int64_t kMostThreads = 1 << 20;
  kernels::CpuOptions cpu;
  cpu.num_threads = static_cast<int>(reader.Number("number of threads", kMostThreads));
  cpu.num_prompt_threads = static_cast<int>(reader.Number("number of threads", kMostThreads));
  cpu.pin_threads = reader.Flag();
  cpu.oversubscribe = reader.Flag();
  cpu.isa = reader.Text();
  return cpu;
}

}  // namespace

Result<Kind> KindOf(std::span<const std::byte> message) {
  if (message.empty()) return Corrupt("size", 0);
  const auto kind = static_cast<uint8_t>(message.front());
  if (kind > static_cast<uint8_t>(Kind::kTraffic)) return Corrupt("kind", kind);
  return static_cast<Kind>(kind);
}

Bytes EncodeLoad(const LoadModelOptions& options) {
  MessageWriter writer(Kind::kLoad);
  writer.Text(options.model_dir.string());
  WriteForm(writer, options.format);
  WriteForm(writer, options.table_format);
  const SmoothingOptions smoothing = options.smoothing.value_or(SmoothingOptions());
  writer.Number(options.smoothing.has_value() ? 1 : 0);
  writer.Text(smoothing.calibration_file.string());
  writer.Real(smoothing.alpha);
  writer.Number(options.int8_cache ? 1 : 0);
  writer.Text(options.quantized_by);
  writer.Number(options.tensor_parallel_degree);
  writer.Number(options.pipeline_parallel_degree);
  writer.Number(options.ranks.timeout.count());
  writer.Number(options.only_rank.value_or(0));
  writer.Number(options.ranks.share.index);
  writer.Number(options.ranks.share.count);
  WriteCpu(writer, options.backend_options.cpu);
  writer.Number(options.forbid_pickle ? 1 : 0);
  writer.Number(options.verify_artifact ? 1 : 0);
  writer.Name(options.load_format);
  return writer.Take();
}

Result<LoadModelOptions> DecodeLoad(std::span<const std::byte> message) {
  constexpr int64_t kMostRanks = 1 << 20;
  constexpr int64_t kMostShares = 1 << 20;
  constexpr int64_t kMostMilliseconds = int64_t{1} << 40;
  MessageReader reader(message, Kind::kLoad);
  LoadModelOptions options;
  options.model_dir = reader.Text();
  options.format = ReadForm(reader);
  options.table_format = ReadForm(reader);
  const bool has_smoothing = reader.Flag();
  SmoothingOptions smoothing;
  smoothing.calibration_file = reader.Text();
  smoothing.alpha = reader.Real();
  if (has_smoothing) options.smoothing = std::move(smoothing);
  options.int8_cache = reader.Flag();
  options.quantized_by = reader.Text();
  options.tensor_parallel_degree = reader.Number("tensor parallel degree", kMostRanks);
  options.pipeline_parallel_degree = reader.Number("pipeline parallel degree", kMostRanks);
  options.ranks.timeout = std::chrono::milliseconds(reader.Number("time limit", kMostMilliseconds));
  options.only_rank = reader.Number("rank", kMostRanks);
  options.ranks.share.index = reader.Number("share of the processors", kMostShares);
  options.ranks.share.count = reader.Number("number of shares", kMostShares);
  options.backend_options.cpu = ReadCpu(reader);
  options.forbid_pickle = reader.Flag();
  options.verify_artifact = reader.Flag();
  options.load_format = reader.Name("load format", LoadFormat::kDummy);
  DRAY_RETURN_IF_ERROR(reader.End());
  const int64_t world = options.tensor_parallel_degree * options.pipeline_parallel_degree;
  if (*options.only_rank >= world) return Corrupt("rank", *options.only_rank);
  const ProcessorShare& share = options.ranks.share;
  if (share.index >= share.count) return Corrupt("share of the processors", share.index);
  return options;
}

Bytes EncodeRun(const RunMessage& run) {
  MessageWriter writer(Kind::kRun);
  writer.Number(run.spec.cache.num_blocks);
  writer.Number(run.spec.cache.block_size);
  writer.Name(run.spec.cache.dtype);
  writer.Number(run.spec.step.max_batch_tokens);
  writer.Number(run.spec.step.max_sequences);
  writer.Number(run.spec.step.max_logit_rows);
  writer.Number(run.spec.step.max_table_entries);
  for (const bool flag :
       {run.has_group, run.has_before, run.has_next, run.has_state_link, run.has_results}) {
    writer.Number(flag ? 1 : 0);
  }
  return writer.Take();
}

Result<RunMessage> DecodeRun(std::span<const std::byte> message) {
  // Of any size in the message; memory for what they say is refused by the system.
  constexpr int64_t kMost = INT32_MAX;
  MessageReader reader(message, Kind::kRun);
  RunMessage run;
  run.spec.cache.num_blocks = reader.Number("number of cache blocks", kMost);
  run.spec.cache.block_size = reader.Number("size of a cache block", kMost);
  run.spec.cache.dtype = reader.Name("number format", DType::kBool);
  run.spec.step.max_batch_tokens = reader.Number("number of tokens", kMost);
  run.spec.step.max_sequences = reader.Number("number of sequences", kMost);
  run.spec.step.max_logit_rows = reader.Number("number of rows", kMost);
  run.spec.step.max_table_entries = reader.Number("number of table entries", kMost);
  for (bool* flag :
       {&run.has_group, &run.has_before, &run.has_next, &run.has_state_link, &run.has_results}) {
    *flag = reader.Flag();
  }
  DRAY_RETURN_IF_ERROR(reader.End());
  return run;
}

Bytes EncodeProgress(const ProgressMessage& progress) {
  MessageWriter writer(Kind::kProgress);
  writer.Number(static_cast<int64_t>(progress.done_bytes));
  writer.Number(static_cast<int64_t>(progress.total_bytes));
  return writer.Take();
}

Result<ProgressMessage> DecodeProgress(std::span<const std::byte> message) {
  MessageReader reader(message, Kind::kProgress);
  ProgressMessage progress;
  progress.done_bytes = static_cast<uint64_t>(reader.Number("number of bytes", INT64_MAX));
  progress.total_bytes = static_cast<uint64_t>(reader.Number("number of bytes", INT64_MAX));
  DRAY_RETURN_IF_ERROR(reader.End());
  return progress;
}

Bytes EncodeLoaded(const LoadedMessage& loaded) {
  MessageWriter writer(Kind::kLoaded);
  writer.Number(static_cast<int64_t>(loaded.weight_bytes.size()));
  for (const uint64_t bytes : loaded.weight_bytes) writer.Number(static_cast<int64_t>(bytes));
  writer.Text(loaded.backend);
  return writer.Take();
}

Result<LoadedMessage> DecodeLoaded(std::span<const std::byte> message) {
  MessageReader reader(message, Kind::kLoaded);
  LoadedMessage loaded;
  const int64_t count = reader.Number("number of ranks", kMostRanksOfMessage);
  for (int64_t i = 0; i < count; ++i) {
    loaded.weight_bytes.push_back(
        static_cast<uint64_t>(reader.Number("number of bytes", INT64_MAX)));
  }
  loaded.backend = reader.Text();
  DRAY_RETURN_IF_ERROR(reader.End());
  return loaded;
}

Bytes EncodeTraffic(std::span<const RankTraffic> traffic) {
  MessageWriter writer(Kind::kTraffic);
  writer.Number(static_cast<int64_t>(traffic.size()));
  for (const RankTraffic& rank : traffic) {
    for (const uint64_t counter : CountersOf(rank)) writer.Number(static_cast<int64_t>(counter));
  }
  return writer.Take();
}

Result<std::vector<RankTraffic>> DecodeTraffic(std::span<const std::byte> message) {
  MessageReader reader(message, Kind::kTraffic);
  std::vector<RankTraffic> traffic;
  const int64_t count = reader.Number("number of ranks", kMostRanksOfMessage);
  for (int64_t i = 0; i < count; ++i) {
    TrafficCounters counters;
    for (uint64_t& counter : counters) {
      counter = static_cast<uint64_t>(reader.Number("counter", INT64_MAX));
    }
    traffic.push_back(TrafficOf(counters));
  }
  DRAY_RETURN_IF_ERROR(reader.End());
  return traffic;
}

Bytes EncodeHello(const HelloMessage& hello) {
  MessageWriter writer(Kind::kHello);
  writer.Number(hello.rank);
  writer.Text(hello.secret);
  return writer.Take();
}

Result<HelloMessage> DecodeHello(std::span<const std::byte> message) {
  MessageReader reader(message, Kind::kHello);
  HelloMessage hello;
  hello.rank = reader.Number("rank", INT32_MAX);
  hello.secret = reader.Text();
  DRAY_RETURN_IF_ERROR(reader.End());
  return hello;
}

Bytes EncodeKind(Kind kind) { return MessageWriter(kind).Take(); }

Bytes EncodeFailed(const Status& status) {
  MessageWriter writer(Kind::kFailed);
  writer.Name(status.code());
  writer.Text(std::string_view(status.message()).substr(0, kMaxErrorBytes));
  return writer.Take();
}

Status DecodeFailed(std::span<const std::byte> message) {
  MessageReader reader(message, Kind::kFailed);
  const StatusCode code = reader.Name("error", StatusCode::kInternal);
  std::string text = reader.Text();
  DRAY_RETURN_IF_ERROR(reader.End());
  if (code == StatusCode::kOk) return Corrupt("error", 0);
  return {code, std::move(text)};
}

}  // namespace dray::engine
