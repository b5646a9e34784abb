// Attention against softmax in double precision, and the bitwise independence of a row from tiles,
// chunks of a prompt, batches and threads.
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/testing/backend_test.h"

namespace dray::kernels {
namespace {

class AttentionTest : public BackendTest {};
DRAY_FOR_EVERY_BACKEND(AttentionTest);

struct Setup {
  int64_t num_heads = 4, num_kv_heads = 4, head_dim = 20, block_size = 16;
  DType dtype = DType::kF32;
  bool alibi = false;
  int64_t window = 0;
  AttentionMask mask = AttentionMask::kCausal;
  int64_t bias_reach = 0;   // of a relative bias; 0: none
  int64_t first_token = 0;  // of all sequences
};

// A cache in which sequences own scattered blocks. What nobody has written must never show: keys
// and scales are NaN there, values the largest number, as they are always finite.
class Scene {
 public:
  Scene(Backend& backend, const Setup& setup, std::vector<int64_t> contexts)
      : backend_(backend),
        setup_(setup),
        contexts_(std::move(contexts)),
        table_(BlockTable()),
        device_table_(backend, table_),
        keys_(backend, Unwritten(NAN, 0xFFFF)),  // NaN in f16 and bf16
        values_(backend, Unwritten(std::numeric_limits<float>::max(),
                                   setup.dtype == DType::kF16 ? 0x7BFF : 0x7F7F)),
        key_scales_(backend, std::vector<float>(NumSlots(), NAN)),
        value_scales_(backend, std::vector<float>(NumSlots(), NAN)),
        slopes_(RandomFloats(setup.num_heads, 11)),
        device_slopes_(backend, slopes_),
        bias_(MakeBias()),
        device_bias_(backend, bias_) {
    for (size_t s = 0; s < contexts_.size(); ++s) WriteSequence(static_cast<int64_t>(s));
  }

  // The last `rows[s]` tokens of each sequence, cut to `context[s]` tokens, in one call.
  std::vector<float> Run(const std::vector<int64_t>& which, const std::vector<int64_t>& rows,
                         const std::vector<int64_t>& context) {
    const int64_t width = setup_.num_heads * setup_.head_dim;
    std::vector<AttentionSequence> sequences;
    std::vector<float> q;
    for (size_t i = 0; i < which.size(); ++i) {
      const auto s = static_cast<size_t>(which[i]);
      sequences.push_back({static_cast<int32_t>(q.size() / static_cast<size_t>(width)),
                           static_cast<int32_t>(rows[i]), static_cast<int32_t>(context[i]),
                           offsets_[s], static_cast<int32_t>(setup_.first_token)});
      const std::vector<float>& all = queries_[s];
      q.insert(q.end(), all.begin() + (context[i] - rows[i]) * width,
               all.begin() + context[i] * width);
    }
    const DeviceArray<float> device_q(backend_, q);
    const DeviceArray<AttentionSequence> device_sequences(backend_, sequences);
    const DeviceArray<float> out(backend_, std::vector<float>(q.size(), NAN));
    backend_.ops().Attention(
        {.q = Rows(device_q, width),
         .out = Rows(out, width),
         .num_heads = setup_.num_heads,
         .cache = cache(),
         .sequences = device_sequences.data(),
         .num_sequences = static_cast<int64_t>(sequences.size()),
         .block_tables = device_table_.data(),
         .mask = setup_.mask,
         .scale = scale(),
         .alibi_slopes = setup_.alibi ? device_slopes_.data() : nullptr,
         .relative_bias = {has_bias() ? device_bias_.data() : nullptr, setup_.bias_reach},
         .window = setup_.window});
    return out.ToHost();
  }

  // The exact output of one row of one head.
  std::vector<double> Reference(int64_t sequence, int64_t row, int64_t head) const {
    const auto s = static_cast<size_t>(sequence);
    const int64_t dim = setup_.head_dim, kv = head / (setup_.num_heads / setup_.num_kv_heads);
    const int64_t in_window = setup_.window > 0 ? row + 1 - setup_.window : 0;
    const int64_t first = std::max(setup_.first_token, in_window);
    const int64_t last = setup_.mask == AttentionMask::kFull ? contexts_[s] - 1 : row;
    const float* at = queries_[s].data() + (row * setup_.num_heads + head) * dim;
    std::vector<float> q(at, at + dim);
    if (setup_.dtype == DType::kBF16) q = RoundedToCache(DType::kBF16, q);
    std::vector<double> scores;
    for (int64_t t = first; t <= last; ++t) {
      double dot = 0;
      for (int64_t d = 0; d < dim; ++d) {
        dot += double{q[static_cast<size_t>(d)]} * Held(keys_of_[s], t, kv, d);
      }
      scores.push_back(
          dot * scale() +
          (setup_.alibi ? slopes_[static_cast<size_t>(head)] * static_cast<double>(t) : 0.0) +
          Bias(head, t - row));
    }
    const double max = *std::max_element(scores.begin(), scores.end());
    double sum = 0;
    std::vector<double> out(static_cast<size_t>(dim));
    for (int64_t t = first; t <= last; ++t) {
      const double p = std::exp(scores[static_cast<size_t>(t - first)] - max);
      sum += p;
      for (int64_t d = 0; d < dim; ++d) {
        out[static_cast<size_t>(d)] += p * Held(values_of_[s], t, kv, d);
      }
    }
    for (double& v : out) v /= sum;
    return out;
  }

  const Setup& setup() const { return setup_; }

 private:
  bool has_bias() const { return setup_.bias_reach > 0; }
  // Numbers of a relative bias, in the order of RelativeBias::values.
  std::vector<float> MakeBias() const {
    const RelativeBias bias = {nullptr, setup_.bias_reach};
    const auto inner = RandomFloats(bias.stride(), 12, 4.0f);
    std::vector<float> values;
    for (int64_t h = 0; h < setup_.num_heads; ++h) {
      for (int64_t i = 0; i < bias.stride(); ++i) {
        const int64_t distance =
            std::clamp(i - bias.reach - RelativeBias::kMargin, -bias.reach, bias.reach);
        values.push_back(inner[static_cast<size_t>(distance + bias.reach)] *
                         static_cast<float>(h + 1));
      }
    }
    return values;
  }
  double Bias(int64_t head, int64_t distance) const {
    if (!has_bias()) return 0;
    const RelativeBias bias = {nullptr, setup_.bias_reach};
    const int64_t near = std::clamp(distance, -bias.reach, bias.reach);
    return bias_[static_cast<size_t>(head * bias.stride() + bias.reach + RelativeBias::kMargin +
                                     near)];
  }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(setup_.head_dim)); }
  KvLayer cache() const {
    return {keys_.data(),    values_.data(),    setup_.dtype,       setup_.num_kv_heads,
            setup_.head_dim, setup_.block_size, key_scales_.data(), value_scales_.data()};
  }
  // Fills offsets_; the blocks of all sequences, in descending order.
  std::vector<int32_t> BlockTable() {
    int64_t blocks = 0;
    for (const int64_t c : contexts_) {
      offsets_.push_back(static_cast<int32_t>(blocks));
      blocks += (c + setup_.block_size - 1) / setup_.block_size;
    }
    std::vector<int32_t> table(static_cast<size_t>(blocks));
    std::iota(table.rbegin(), table.rend(), 0);
    return table;
  }
  size_t NumSlots() const {
    return table_.size() * static_cast<size_t>(setup_.num_kv_heads * setup_.block_size);
  }
  // Room for f32 keys or values, all of them `number`, or the 16 bits `half` where they are
  // smaller.
  std::vector<float> Unwritten(float number, uint16_t half) const {
    std::vector<float> all(NumSlots() * static_cast<size_t>(setup_.head_dim), number);
    if (setup_.dtype == DType::kF32) return all;
    for (size_t i = 0; i < 2 * all.size(); ++i) {
      std::memcpy(reinterpret_cast<std::byte*>(all.data()) + 2 * i, &half, 2);
    }
    return all;
  }
  float Held(const std::vector<float>& rows, int64_t t, int64_t kv, int64_t d) const {
    return rows[static_cast<size_t>((t * setup_.num_kv_heads + kv) * setup_.head_dim + d)];
  }
  // Rounds each head of each token as the cache does.
  void RoundRows(std::vector<float>& rows) const {
    const auto dim = static_cast<size_t>(setup_.head_dim);
    for (size_t i = 0; i < rows.size(); i += dim) {
      const auto head = rows.begin() + static_cast<std::ptrdiff_t>(i);
      const auto rounded = RoundedToCache(setup_.dtype, {head, head + setup_.head_dim});
      std::copy(rounded.begin(), rounded.end(), head);
    }
  }

  // Keys and values through QkvLinear, without queries and rotation.
  void WriteSequence(int64_t s) {
    const int64_t tokens = contexts_[static_cast<size_t>(s)];
    const int64_t kv_width = setup_.num_kv_heads * setup_.head_dim;
    const auto seed = static_cast<uint32_t>(100 * s);
    queries_.push_back(RandomFloats(tokens * setup_.num_heads * setup_.head_dim, seed, 3.0f));
    keys_of_.push_back(RandomFloats(tokens * kv_width, seed + 1, 2.0f));
    values_of_.push_back(RandomFloats(tokens * kv_width, seed + 2));
    std::vector<float> kv(static_cast<size_t>(2 * tokens * kv_width));
    std::vector<int32_t> slots;
    for (int64_t t = 0; t < tokens; ++t) {
      const auto bytes = static_cast<size_t>(kv_width) * sizeof(float);
      std::memcpy(kv.data() + 2 * t * kv_width, keys_of_.back().data() + t * kv_width, bytes);
      std::memcpy(kv.data() + (2 * t + 1) * kv_width, values_of_.back().data() + t * kv_width,
                  bytes);
      const int64_t block =
          table_[static_cast<size_t>(offsets_[static_cast<size_t>(s)] + t / setup_.block_size)];
      slots.push_back(static_cast<int32_t>(block * setup_.block_size + t % setup_.block_size));
    }
    const DeviceArray<float> qkv(backend_, kv.size());
    const DeviceArray<int32_t> device_slots(backend_, slots);
    RopeAndCache(backend_, kv,
                 {.qkv = Rows(qkv, 2 * kv_width),
                  .num_tokens = tokens,
                  .slots = device_slots.data(),
                  .cache = cache()});
    RoundRows(keys_of_.back());
    RoundRows(values_of_.back());
  }

  Backend& backend_;
  Setup setup_;
  std::vector<int64_t> contexts_;
  std::vector<int32_t> offsets_, table_;
  DeviceArray<int32_t> device_table_;
  DeviceArray<float> keys_, values_, key_scales_, value_scales_;
  std::vector<float> slopes_;
  DeviceArray<float> device_slopes_;
  std::vector<float> bias_;
  DeviceArray<float> device_bias_;
  std::vector<std::vector<float>> queries_, keys_of_, values_of_;  // as the cache holds them
};

// How far an output (of values up to one) may be from the reference because the weights of the
// values, and in 8 bits the query, are rounded. `row` is the last that the query sees.
double RoundingOfWeights(const Setup& setup, int64_t row) {
  // Each weight by 2^-9 of itself, and a value is at most 2 from their mean.
  if (setup.dtype == DType::kBF16) return 2.0 / (1 << 9);
  if (setup.dtype != DType::kI8) return 0;
  // Half a step of 1 / (127 * 254) of the chunk's largest weight, for each of its tokens; and of
  // the query's largest element, at most 3, times keys of at most 2, for each dimension.
  const double half_step = 0.5 / (127 * 254);
  return half_step * static_cast<double>(std::min<int64_t>(row + 1, 256)) +
         2 * half_step * 3 * 2 * std::sqrt(static_cast<double>(setup.head_dim));
}

// A whole prompt of each context against the reference.
void CheckAgainstReference(Backend& backend, const Setup& setup, int64_t context) {
  Scene scene(backend, setup, {context});
  const int64_t first = setup.first_token, num_rows = context - first;
  const std::vector<float> out = scene.Run({0}, {num_rows}, {context});
  for (int64_t row = first; row < context; row += 1 + (row - first) / 8) {
    for (int64_t h = 0; h < setup.num_heads; ++h) {
      const std::vector<double> expected = scene.Reference(0, row, h);
      for (int64_t d = 0; d < setup.head_dim; ++d) {
        const float got =
            out[static_cast<size_t>(((row - first) * setup.num_heads + h) * setup.head_dim + d)];
        // A score s errs by about head_dim roundings of sum |q k| <= 6 head_dim, scaled by
        // 1/sqrt(head_dim) (and some of |slope * position|); exp turns that into a relative error
        // of each weight, and values are at most one.
        const double dim = static_cast<double>(setup.head_dim);
        const int64_t last = setup.mask == AttentionMask::kFull ? context - 1 : row;
        const double score_error =
            kRounding * (dim * 6 * std::sqrt(dim) + 4.0 * static_cast<double>(last));
        ASSERT_NEAR(got, expected[static_cast<size_t>(d)],
                    2 * score_error + 64 * kRounding + RoundingOfWeights(setup, last))
            << Name(setup.dtype) << " dim " << setup.head_dim << " row " << row << " head " << h;
      }
    }
  }
}

TEST_P(AttentionTest, MatchesDoublePrecision) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kI8}) {
    CheckAgainstReference(*backend_, {4, 4, 20, 16, dtype}, 300);
    CheckAgainstReference(*backend_, {6, 2, 12, 32, dtype}, 77);
    CheckAgainstReference(*backend_, {3, 1, 128, 48, dtype}, 65);
    CheckAgainstReference(*backend_, {40, 2, 16, 16, dtype}, 33);  // more heads than one tile holds
    CheckAgainstReference(*backend_, {2, 1, 13, 16, dtype}, 50);
    CheckAgainstReference(*backend_, {1, 1, 1, 16, dtype}, 40);
    CheckAgainstReference(*backend_, {1, 1, 290, 16, dtype}, 20);
  }
  CheckAgainstReference(*backend_, {2, 2, 80, 32}, 530);
  CheckAgainstReference(*backend_, {2, 1, 256, 32}, 1);
}

TEST_P(AttentionTest, AlibiAndWindowMatch) {
  for (const int64_t window : {0, 1, 5, 100, 257}) {
    CheckAgainstReference(*backend_, {4, 2, 24, 32, DType::kF32, true, window}, 600);
  }
}

Setup WithBias(int64_t reach, int64_t first_token, AttentionMask mask, DType dtype) {
  Setup setup;
  setup.num_heads = 4;
  setup.num_kv_heads = 2;
  setup.dtype = dtype;
  setup.mask = mask;
  setup.bias_reach = reach;
  setup.first_token = first_token;
  return setup;
}

// Reaches shorter and longer than a vector, a chunk and the text.
TEST_P(AttentionTest, RelativeBiasMatches) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kI8}) {
    for (const AttentionMask mask : {AttentionMask::kCausal, AttentionMask::kFull}) {
      for (const int64_t reach : {1, 5, 16, 128, 1000}) {
        CheckAgainstReference(*backend_, WithBias(reach, 0, mask, dtype), 300);
      }
    }
  }
}

TEST_P(AttentionTest, NoTokenSeesThoseBeforeTheFirst) {
  for (const DType dtype : {DType::kF32, DType::kI8}) {
    for (const int64_t first : {1, 16, 47, 299}) {
      for (const AttentionMask mask : {AttentionMask::kCausal, AttentionMask::kFull}) {
        CheckAgainstReference(*backend_, WithBias(0, first, mask, dtype), 300);
        CheckAgainstReference(*backend_, WithBias(20, first, mask, dtype), 300);
      }
    }
  }
}

Setup WithFullMask(int64_t num_heads, DType dtype) {
  Setup setup;
  setup.num_heads = setup.num_kv_heads = num_heads;
  setup.dtype = dtype;
  setup.mask = AttentionMask::kFull;
  return setup;
}

TEST_P(AttentionTest, EveryTokenSeesTheWholeTextWithAFullMask) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kI8}) {
    for (const int64_t context : {1, 2, 17, 255, 256, 257, 600}) {
      CheckAgainstReference(*backend_, WithFullMask(3, dtype), context);
    }
  }
}

// Texts of several lengths in one call, on one thread and on three, and each by itself.
TEST_P(AttentionTest, ATextOfAFullMaskIsTheSameBitsInABatch) {
  const auto setup = WithFullMask(2, DType::kF32);
  const std::vector<int64_t> contexts = {5, 700, 33};
  const auto one = MakeTestBackend(GetParam(), 1), three = MakeTestBackend(GetParam(), 3);
  Scene alone(*one, setup, contexts), shared(*three, setup, contexts);
  std::vector<float> each;
  for (int64_t s = 0; s < 3; ++s) {
    const int64_t context = contexts[static_cast<size_t>(s)];
    const std::vector<float> out = alone.Run({s}, {context}, {context});
    each.insert(each.end(), out.begin(), out.end());
  }
  EXPECT_TRUE(SameBits(shared.Run({0, 1, 2}, contexts, contexts), each));
}

// Rows [context - rows, context) of a full prompt's output.
std::vector<float> LastRows(const std::vector<float>& full, int64_t rows, int64_t context,
                            int64_t width) {
  return {full.begin() + (context - rows) * width, full.begin() + context * width};
}

void CheckIndependence(const std::string& name, const Setup& setup) {
  const auto one = MakeTestBackend(name, 1), three = MakeTestBackend(name, 3);
  const int64_t kLong = 700, kShort = 41;
  Scene alone(*one, setup, {kLong, kShort}), shared(*three, setup, {kLong, kShort});
  const int64_t width = setup.num_heads * setup.head_dim;
  const std::vector<float> full = alone.Run({0}, {kLong}, {kLong});
  EXPECT_TRUE(SameBits(shared.Run({0}, {kLong}, {kLong}), full)) << "threads";
  // Decoding, where the chunks of few heads are spread over threads, and pieces of a prompt.
  for (const int64_t context : {1, 16, 255, 256, 257, 511, 700}) {
    for (const int64_t rows : {1, 2, 7, 40, 300}) {
      if (rows > context) continue;
      const std::vector<float> expected = LastRows(full, rows, context, width);
      EXPECT_TRUE(SameBits(alone.Run({0}, {rows}, {context}), expected)) << context;
      EXPECT_TRUE(SameBits(shared.Run({0}, {rows}, {context}), expected)) << context;
      std::vector<float> batch = shared.Run({1, 0}, {3, rows}, {kShort, context});
      batch.erase(batch.begin(), batch.begin() + 3 * width);
      EXPECT_TRUE(SameBits(batch, expected)) << context << " in a batch";
    }
  }
}

TEST_P(AttentionTest, ARowIsTheSameBitsHoweverItIsComputed) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kI8}) {
    CheckIndependence(GetParam(), {2, 2, 20, 16, dtype});
    CheckIndependence(GetParam(), {6, 1, 40, 32, dtype, true});
    CheckIndependence(GetParam(), {2, 1, 32, 32, dtype, false, 130});
    CheckIndependence(GetParam(), {1, 1, 7, 48, dtype});
    CheckIndependence(GetParam(), WithBias(90, 0, AttentionMask::kCausal, dtype));
  }
}

TEST_P(AttentionTest, EmptyBatches) {
  Scene scene(*backend_, {}, {5});
  EXPECT_TRUE(scene.Run({}, {}, {}).empty());
  EXPECT_TRUE(scene.Run({0}, {0}, {5}).empty());
}

}  // namespace
}  // namespace dray::kernels
