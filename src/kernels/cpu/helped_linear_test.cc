// Linear calls that a thread of another pool helps with: the results have the same bits.
#include <atomic>
#include <thread>

#include "base/threads/helper_slot.h"
#include "base/threads/thread_pool.h"
#include "kernels/testing/backend_test.h"

namespace dray::kernels {
namespace {

// The backend's pool has two threads.
class HelpedLinearTest : public IsaTest {
 protected:
  HelperSlot& slot() { return backend_->host_threads()->helper_slot(); }
};
DRAY_FOR_EVERY_ISA(HelpedLinearTest);

// A thread that helps at a slot whenever it can.
class Helper {
 public:
  explicit Helper(HelperSlot& slot)
      : thread_([this, &slot] {
          while (!stop_) {
            if (slot.Help()) ++num_helped_;
            std::this_thread::yield();
          }
        }) {}
  Helper(const Helper&) = delete;
  Helper& operator=(const Helper&) = delete;
  ~Helper() {
    stop_ = true;
    thread_.join();
  }
  int num_helped() const { return num_helped_; }

 private:
  std::atomic<bool> stop_ = false;
  std::atomic<int> num_helped_ = 0;
  std::thread thread_;
};

TEST_P(HelpedLinearTest, HasTheSameBits) {
  constexpr int64_t kOut = 1500, kIn = 160;
  const VectorNorm norm;
  for (const WeightForm& form : kAllForms) {
    const TestMatrix matrix = MakeMatrix(*backend_, MatrixSpec::Of(kOut, kIn, form), 1);
    // Activations that each thread packs alone, and that all threads pack together.
    for (const int64_t rows : {1, 130}) {
      const auto x = Device(RandomFloats(rows * kIn, 2));
      const auto expected = Zeros(rows * kOut), out = Zeros(rows * kOut);
      LinearArgs linear = {.weight = &matrix.packed,
                           .norm = &norm,
                           .x = Rows(x, kIn),
                           .rows = rows,
                           .out = Rows(expected, kOut)};
      ops().Linear(linear);
      linear.out = Rows(out, kOut);
      const Helper helper(slot());
      // The helper comes at some time in a call, or too late: until it has come some times.
      for (int calls = 0; helper.num_helped() < 3; ++calls) {
        ops().Linear(linear);
        ASSERT_TRUE(SameBits(out.ToHost(), expected.ToHost()))
            << Name(form) << ", " << rows << " rows, call " << calls;
      }
    }
  }
}

TEST_P(HelpedLinearTest, HeadsAreStoredOnce) {
  constexpr int64_t kHeads = 12, kHeadDim = 48, kTokens = 5, kBlockSize = 16;
  constexpr int64_t kWidth = 3 * kHeads * kHeadDim, kIn = 96;
  constexpr int64_t kCache = kHeads * kBlockSize * kHeadDim;
  const TestMatrix matrix = MakeMatrix(*backend_, {kWidth, kIn, WeightFormat::kBF16}, 1);
  const auto x = Device(RandomFloats(kTokens * kIn, 2));
  const auto cos_sin = Device(RandomFloats(kTokens * kHeadDim, 3));
  const auto rows = Device(std::vector<int32_t>{0, 1, 2, 3, 4});
  const auto run = [&](const DeviceArray<float>& qkv, const DeviceArray<float>& keys,
                       const DeviceArray<float>& values) {
    ops().QkvLinear(
        {.weight = &matrix.packed, .x = Rows(x, kIn), .rows = kTokens, .out = Rows(qkv, kWidth)},
        {.qkv = Rows(qkv, kWidth),
         .num_tokens = kTokens,
         .num_heads = kHeads,
         .rotary_dim = kHeadDim,
         .cos_sin = cos_sin.data(),
         .table_rows = rows.data(),
         .slots = rows.data(),
         .cache = {keys.data(), values.data(), DType::kF32, kHeads, kHeadDim, kBlockSize}});
  };
  const auto qkv = Zeros(kTokens * kWidth), keys = Zeros(kCache), values = Zeros(kCache);
  run(qkv, keys, values);
  const Helper helper(slot());
  while (helper.num_helped() < 20) {
    const auto helped = Zeros(kTokens * kWidth);
    const auto helped_keys = Zeros(kCache), helped_values = Zeros(kCache);
    run(helped, helped_keys, helped_values);
    ASSERT_TRUE(SameBits(helped.ToHost(), qkv.ToHost()));
    ASSERT_TRUE(SameBits(helped_keys.ToHost(), keys.ToHost()));
    ASSERT_TRUE(SameBits(helped_values.ToHost(), values.ToHost()));
  }
}

}  // namespace
}  // namespace dray::kernels
