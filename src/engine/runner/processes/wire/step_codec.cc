#include "engine/runner/processes/wire/step_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "base/checked_math.h"
#include "base/parse/byte_reader.h"
#include "base/parse/byte_writer.h"

namespace dray::engine {
namespace {

constexpr uint32_t kStepMark = 0x70657473;  // "step"
constexpr int64_t kNumberBytes = 4;
constexpr int64_t kSequenceNumbers = 5;  // of AttentionSequence
constexpr int64_t kTokenArrays = 4;      // ids, positions, slots, known_tokens
constexpr int64_t kSourceArrays = 3;     // ids, slots, types
constexpr uint32_t kWantsLogits = 1, kWantsStates = 2;
static_assert(sizeof(kernels::AttentionSequence) == kSequenceNumbers * kNumberBytes);
static_assert(sizeof(PieceHeader) == 16);

// How many entries the arrays of a step have.
struct Counts {
  uint32_t copies = 0;
  uint32_t tokens = 0;
  uint32_t sequences = 0;
  uint32_t table_entries = 0;
  uint32_t logit_rows = 0;
  uint32_t sources = 0;
  uint32_t source_tokens = 0;
  uint32_t source_slots = 0;
  uint32_t source_types = 0;
  uint32_t wants = 0;
};
constexpr int64_t kHeaderBytes = 11 * kNumberBytes;

template <typename T>
void WriteArray(ByteWriter& writer, const std::vector<T>& values) {
  writer.WriteBytes(std::as_bytes(std::span(values)));
}

template <typename T>
Status ReadArray(ByteReader& reader, uint32_t count, std::vector<T>& values) {
  DRAY_ASSIGN_OR_RETURN(const auto bytes, reader.ReadBytes(count * sizeof(T)));
  values.resize(count);
  if (count > 0) std::memcpy(values.data(), bytes.data(), bytes.size());
  return OkStatus();
}

Status Corrupt(std::string what) {
  return {StatusCode::kCorrupt,
          fmt::format("{}: not what a process of this group sends; start all of them with one "
                      "version of dray",
                      what)};
}

// kCorrupt unless all values are in [0, limit).
Status CheckRange(std::span<const int32_t> values, int64_t limit, std::string_view what) {
  for (const int32_t value : values) {
    if (value >= 0 && value < limit) continue;
    return Corrupt(fmt::format("a step with {} {}: it must be 0 to {}", what, value, limit - 1));
  }
  return OkStatus();
}

Status CheckCount(uint32_t count, int64_t limit, std::string_view what) {
  if (count <= limit) return OkStatus();
  return Corrupt(fmt::format("a step with {} {}: at most {} are allowed", count, what, limit));
}

Status CheckExactCount(uint32_t count, uint32_t wanted, std::string_view what) {
  if (count == wanted) return OkStatus();
  return Corrupt(fmt::format("a step with {} {}: it must have {}", count, what, wanted));
}

// Of a model with a decoder.
Status CheckSequenceCounts(const Counts& counts, const StepBounds& bounds) {
  DRAY_RETURN_IF_ERROR(CheckCount(counts.logit_rows, counts.tokens, "rows of logits"));
  DRAY_RETURN_IF_ERROR(
      CheckCount(counts.sources, bounds.has_encoder ? counts.sequences : 0, "sources"));
  DRAY_RETURN_IF_ERROR(
      CheckExactCount(counts.source_slots, counts.source_tokens, "places of sources"));
  DRAY_RETURN_IF_ERROR(CheckExactCount(counts.source_types, 0, "types of tokens"));
  if ((counts.wants | kWantsStates) == (kWantsLogits | kWantsStates)) return OkStatus();
  return Corrupt(fmt::format("a step that wants {}", counts.wants));
}

// Of an encoder, whose steps have texts and nothing else.
Status CheckTextCounts(const Counts& counts, const StepBounds& bounds) {
  for (const uint32_t none : {counts.copies, counts.tokens, counts.sequences, counts.table_entries,
                              counts.source_slots}) {
    DRAY_RETURN_IF_ERROR(CheckExactCount(none, 0, "entries of a decoder's step"));
  }
  DRAY_RETURN_IF_ERROR(CheckCount(counts.sources, bounds.spec.step.max_sequences, "texts"));
  DRAY_RETURN_IF_ERROR(CheckCount(counts.logit_rows, counts.source_tokens, "rows of results"));
  DRAY_RETURN_IF_ERROR(CheckExactCount(counts.source_types,
                                       bounds.num_token_types > 0 ? counts.source_tokens : 0,
                                       "types of tokens"));
  if (counts.wants >= kWantsLogits && counts.wants <= (kWantsLogits | kWantsStates)) {
    return OkStatus();
  }
  return Corrupt(fmt::format("a step that wants {}", counts.wants));
}

Result<Counts> ReadCounts(ByteReader& reader, const StepBounds& bounds) {
  const RunnerSpec& spec = bounds.spec;
  Counts counts;
  for (uint32_t* count : {&counts.copies, &counts.tokens, &counts.sequences, &counts.table_entries,
                          &counts.logit_rows, &counts.sources, &counts.source_tokens,
                          &counts.source_slots, &counts.source_types, &counts.wants}) {
    DRAY_ASSIGN_OR_RETURN(*count, reader.Read<uint32_t>());
  }
  DRAY_ASSIGN_OR_RETURN(const uint32_t mark, reader.Read<uint32_t>());
  if (mark != kStepMark) return Corrupt(fmt::format("a step with the mark {:#x}", mark));
  DRAY_RETURN_IF_ERROR(CheckCount(counts.copies, spec.cache.num_blocks, "block copies"));
  DRAY_RETURN_IF_ERROR(CheckCount(counts.tokens, spec.step.max_batch_tokens, "tokens"));
  DRAY_RETURN_IF_ERROR(CheckCount(counts.sequences, spec.step.max_sequences, "sequences"));
  DRAY_RETURN_IF_ERROR(
      CheckCount(counts.table_entries, spec.step.max_table_entries, "entries of block tables"));
  DRAY_RETURN_IF_ERROR(
      CheckCount(counts.source_tokens, spec.step.max_batch_tokens, "tokens of sources"));
  DRAY_RETURN_IF_ERROR(bounds.is_encoder ? CheckTextCounts(counts, bounds)
                                         : CheckSequenceCounts(counts, bounds));
  return counts;
}

// The sources must have all of their tokens.
Status CheckSources(const model::EncoderBatch& texts, const StepBounds& bounds) {
  // Relative positions of an encoder-decoder have no end.
  const int64_t longest =
      bounds.is_encoder ? bounds.max_positions : bounds.spec.step.max_batch_tokens;
  int64_t num_tokens = 0;
  for (const int32_t length : texts.lengths) {
    if (length < 1 || length > longest) {
      return Corrupt(fmt::format("a step with a source of {} tokens", length));
    }
    num_tokens += length;
  }
  if (num_tokens == static_cast<int64_t>(texts.ids.size())) return OkStatus();
  return Corrupt(fmt::format("a step of {} tokens of sources with sources of {}", texts.ids.size(),
                             num_tokens));
}

// The sequences must have all rows, one sequence after the other, and a block for each position.
Status CheckSequences(const model::RaggedBatch& batch, const StepBounds& bounds) {
  const auto num_entries = static_cast<int64_t>(batch.block_tables.size());
  int64_t next_row = 0;
  for (const kernels::AttentionSequence& sequence : batch.sequences) {
    if (sequence.first_row != next_row || sequence.num_rows < 1 ||
        sequence.context_tokens < sequence.num_rows ||
        sequence.context_tokens > bounds.max_positions || sequence.first_token < 0 ||
        sequence.first_token > sequence.context_tokens - sequence.num_rows) {
      return Corrupt(fmt::format(
          "a step with a sequence of {} rows from row {} on, and of {} "
          "tokens from token {} on",
          sequence.num_rows, sequence.first_row, sequence.context_tokens, sequence.first_token));
    }
    next_row += sequence.num_rows;
    const int64_t blocks =
        DivideRoundUp<int64_t>(sequence.context_tokens, bounds.spec.cache.block_size);
    if (sequence.table_offset < 0 || sequence.table_offset + blocks > num_entries) {
      return Corrupt(fmt::format("a step with a block table at {} to {} of {}",
                                 sequence.table_offset, sequence.table_offset + blocks,
                                 num_entries));
    }
  }
  if (next_row != static_cast<int64_t>(batch.ids.size())) {
    return Corrupt(
        fmt::format("a step of {} tokens with sequences of {}", batch.ids.size(), next_row));
  }
  return OkStatus();
}

Status CheckStep(const RunnerStep& step, const StepBounds& bounds) {
  const model::RaggedBatch& batch = step.batch;
  const int64_t num_blocks = bounds.spec.cache.num_blocks;
  DRAY_RETURN_IF_ERROR(CheckRange(step.copy_from, num_blocks, "block"));
  DRAY_RETURN_IF_ERROR(CheckRange(step.copy_to, num_blocks, "block"));
  DRAY_RETURN_IF_ERROR(CheckRange(batch.block_tables, num_blocks, "block"));
  DRAY_RETURN_IF_ERROR(CheckRange(batch.ids, bounds.vocab_size, "token"));
  DRAY_RETURN_IF_ERROR(CheckRange(batch.positions, bounds.max_positions, "position"));
  DRAY_RETURN_IF_ERROR(
      CheckRange(batch.slots, num_blocks * bounds.spec.cache.block_size, "cache slot"));
  DRAY_RETURN_IF_ERROR(
      CheckRange(batch.known_tokens, bounds.max_positions + 1, "number of known tokens"));
  const auto num_rows = bounds.is_encoder ? step.sources.texts.ids.size() : batch.ids.size();
  DRAY_RETURN_IF_ERROR(
      CheckRange(step.logit_rows, static_cast<int64_t>(num_rows), "row of logits"));
  DRAY_RETURN_IF_ERROR(CheckRange(step.sources.texts.ids, bounds.vocab_size, "source token"));
  DRAY_RETURN_IF_ERROR(
      CheckRange(step.sources.slots, num_blocks * bounds.spec.cache.block_size, "cache slot"));
  DRAY_RETURN_IF_ERROR(CheckRange(step.sources.texts.types, bounds.num_token_types, "type"));
  DRAY_RETURN_IF_ERROR(CheckSources(step.sources.texts, bounds));
  return CheckSequences(batch, bounds);
}

}  // namespace

StepBounds StepBounds::Of(const model::ModelConfig& config, const RunnerSpec& spec) {
  return {.spec = spec,
          .vocab_size = config.vocab_size,
          .widths = RowWidths::Of(config),
          .max_positions = config.stack.max_positions,
          .has_encoder = config.encoder.has_value(),
          .is_encoder = config.kind == model::ModelKind::kEncoder,
          .num_token_types = config.stack.num_token_types};
}

int64_t MaxStepBytes(const RunnerSpec& spec) {
  const int64_t numbers =
      2 * spec.cache.num_blocks + (kTokenArrays + 1 + kSourceArrays) * spec.step.max_batch_tokens +
      (kSequenceNumbers + 1) * spec.step.max_sequences + spec.step.max_table_entries;
  return kHeaderBytes + numbers * kNumberBytes;
}

void EncodeStep(const RunnerStep& step, std::vector<std::byte>& out) {
  out.clear();
  ByteWriter writer(out);
  for (const size_t count :
       {step.copy_from.size(), step.batch.ids.size(), step.batch.sequences.size(),
        step.batch.block_tables.size(), step.logit_rows.size(), step.sources.texts.lengths.size(),
        step.sources.texts.ids.size(), step.sources.slots.size(), step.sources.texts.types.size(),
        size_t{(step.wants_logits ? kWantsLogits : 0) | (step.wants_states ? kWantsStates : 0)},
        size_t{kStepMark}}) {
    writer.Write(static_cast<uint32_t>(count));
  }
  for (const auto* values : {&step.copy_from, &step.copy_to, &step.batch.ids, &step.batch.positions,
                             &step.batch.slots, &step.batch.known_tokens}) {
    WriteArray(writer, *values);
  }
  WriteArray(writer, step.batch.sequences);
  WriteArray(writer, step.batch.block_tables);
  WriteArray(writer, step.logit_rows);
  WriteArray(writer, step.sources.texts.lengths);
  WriteArray(writer, step.sources.texts.ids);
  WriteArray(writer, step.sources.slots);
  WriteArray(writer, step.sources.texts.types);
}

Status DecodeStep(std::span<const std::byte> bytes, const StepBounds& bounds, RunnerStep& step) {
  ByteReader reader(bytes, "a step");
  DRAY_ASSIGN_OR_RETURN(const Counts counts, ReadCounts(reader, bounds));
  model::RaggedBatch& batch = step.batch;
  DRAY_RETURN_IF_ERROR(ReadArray(reader, counts.copies, step.copy_from));
  DRAY_RETURN_IF_ERROR(ReadArray(reader, counts.copies, step.copy_to));
  for (auto* values : {&batch.ids, &batch.positions, &batch.slots, &batch.known_tokens}) {
    DRAY_RETURN_IF_ERROR(ReadArray(reader, counts.tokens, *values));
  }
  DRAY_RETURN_IF_ERROR(ReadArray(reader, counts.sequences, batch.sequences));
  DRAY_RETURN_IF_ERROR(ReadArray(reader, counts.table_entries, batch.block_tables));
  DRAY_RETURN_IF_ERROR(ReadArray(reader, counts.logit_rows, step.logit_rows));
  DRAY_RETURN_IF_ERROR(ReadArray(reader, counts.sources, step.sources.texts.lengths));
  DRAY_RETURN_IF_ERROR(ReadArray(reader, counts.source_tokens, step.sources.texts.ids));
  DRAY_RETURN_IF_ERROR(ReadArray(reader, counts.source_slots, step.sources.slots));
  DRAY_RETURN_IF_ERROR(ReadArray(reader, counts.source_types, step.sources.texts.types));
  step.wants_logits = (counts.wants & kWantsLogits) != 0;
  step.wants_states = (counts.wants & kWantsStates) != 0;
  if (reader.remaining() > 0) {
    return Corrupt(fmt::format("a step with {} bytes behind its end", reader.remaining()));
  }
  return CheckStep(step, bounds);
}

int64_t MaxPieceBytes(const RunnerSpec& spec, const RowWidths& widths) {
  return static_cast<int64_t>(sizeof(PieceHeader)) +
         spec.step.max_logit_rows * widths.sum() * static_cast<int64_t>(sizeof(float));
}

Result<PieceHeader> DecodePiece(std::span<const std::byte> bytes, int64_t expected_first,
                                const StepResults& results, const StepBounds& bounds) {
  ByteReader reader(bytes, "a piece of logits");
  PieceHeader header;
  DRAY_ASSIGN_OR_RETURN(header.first, reader.Read<int64_t>());
  DRAY_ASSIGN_OR_RETURN(header.num_rows, reader.Read<int32_t>());
  DRAY_ASSIGN_OR_RETURN(header.is_last, reader.Read<int32_t>());
  const int64_t left = results.num_rows - expected_first;
  const int64_t rows = std::min(left, bounds.spec.step.max_logit_rows);
  const auto size = static_cast<uint64_t>(rows * results.row_width) * sizeof(float);
  if (header.first != expected_first || header.num_rows != rows ||
      header.is_last != (rows == left ? 1 : 0) || reader.remaining() != size) {
    return Corrupt(
        fmt::format("a piece of {} rows from row {} on in {} bytes, where {} rows from "
                    "row {} on were to come",
                    header.num_rows, header.first, bytes.size(), rows, expected_first));
  }
  return header;
}

}  // namespace dray::engine
