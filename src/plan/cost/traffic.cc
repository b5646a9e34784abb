#include "plan/cost/traffic.h"

#include "parallel/shard.h"

namespace dray::plan {
namespace {

// Ranks add and gather f32 numbers, whatever the formats of the weights.
constexpr double kNumberBytes = 4;

double SecondsOf(double bytes, const Link& link) {
  return link.bytes_per_second > 0 ? bytes / link.bytes_per_second : 0;
}

// A sum of `numbers` over `world` ranks: each rank sends all numbers but its own share, adds, and
// sends its share of the result.
double SumSeconds(double numbers, int64_t world, const Link& link) {
  const auto w = static_cast<double>(world);
  return link.seconds + SecondsOf(2 * (w - 1) / w * kNumberBytes * numbers, link);
}

double VocabRows(const ShapeFacts& facts, int64_t world) {
  return static_cast<double>(parallel::CutVocabulary(facts.vocab_size, {0, world}).local_size);
}

const StreamShape& StreamOf(const ShapeFacts& facts, PassKind kind) {
  return kind == PassKind::kEncoder ? facts.streams.front() : facts.decoder();
}

}  // namespace

Traffic TrafficOf(const ShapeFacts& facts, const Degrees& degrees) {
  const StreamShape& stream = facts.decoder();
  Traffic traffic;
  if (degrees.tensor > 1) {
    const int64_t layers = CutLayers(stream.num_layers, degrees.StageAt(0)).size();
    traffic.layer = kNumberBytes * static_cast<double>(stream.sums_per_layer * stream.hidden);
    traffic.token = kNumberBytes * static_cast<double>(stream.embed_dim) +
                    static_cast<double>(layers) * traffic.layer;
    traffic.logits = kNumberBytes * VocabRows(facts, degrees.tensor);
  }
  if (degrees.pipeline > 1) traffic.stage = kNumberBytes * static_cast<double>(stream.hidden);
  return traffic;
}

double LinkSeconds(const ShapeFacts& facts, const Layout& layout, const Machines& machines,
                   int64_t stage, const Pass& pass) {
  const StreamShape& stream = StreamOf(facts, pass.kind);
  const parallel::Stage place = layout.degrees.StageAt(stage);
  const int64_t world = layout.degrees.tensor;
  const size_t here = layout.stage_hosts[static_cast<size_t>(stage)];
  const Link& link = machines.hosts[here].link;
  const auto tokens = static_cast<double>(pass.shape.sequences * pass.shape.rows);
  double seconds = 0;
  if (world > 1) {
    const int64_t sums = CutLayers(stream.num_layers, place).size() * stream.sums_per_layer;
    if (place.is_first()) {
      seconds += SumSeconds(tokens * static_cast<double>(stream.embed_dim), world, link);
    }
    seconds += static_cast<double>(sums) *
               SumSeconds(tokens * static_cast<double>(stream.hidden), world, link);
    if (place.is_last() && pass.end == PassEnd::kLogits) {
      const double rows = static_cast<double>(pass.shape.sequences) * VocabRows(facts, world);
      seconds +=
          link.seconds + SecondsOf(static_cast<double>(world - 1) * kNumberBytes * rows, link);
    }
  }
  if (place.is_last()) return seconds;
  // Every rank sends the stream to its peer; the ranks of a host share its network.
  const bool same_host = layout.stage_hosts[static_cast<size_t>(stage) + 1] == here;
  const double stream_bytes = kNumberBytes * tokens * static_cast<double>(stream.hidden);
  const Link& onwards = same_host ? link : machines.hosts[here].network;
  const double copies = same_host ? 1.0 : static_cast<double>(world);
  return seconds + onwards.seconds + SecondsOf(copies * stream_bytes, onwards);
}

}  // namespace dray::plan
