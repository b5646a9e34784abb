#include "kernels/testing/unreadable_backend.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/checked_math.h"

namespace dray::kernels {
namespace {

constexpr size_t kPageBytes = 4096;
// The size of each mapping. The file has only those pages that were written.
constexpr size_t kCapacityBytes = size_t{16} << 30;

// Runs calls in their order on a thread of its own, but none before a caller waits.
class CallQueue {
 public:
  CallQueue() : thread_([this] { Run(); }) {}
  ~CallQueue() {
    Wait();
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  void Push(std::function<void()> call) {
    const std::lock_guard lock(mutex_);
    calls_.push_back(std::move(call));
  }
  // Runs every call pushed so far.
  void Wait() {
    std::unique_lock lock(mutex_);
    wanted_ = std::max(wanted_, done_ + calls_.size());
    const uint64_t mine = done_ + calls_.size();
    changed_.notify_all();
    changed_.wait(lock, [&] { return done_ >= mine; });
  }

 private:
  void Run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return stop_ || done_ < wanted_; });
      if (stop_) return;
      // It stays in the queue while it runs, so that done_ + calls_.size() counts it.
      const std::function<void()> call = std::move(calls_.front());
      lock.unlock();
      call();
      lock.lock();
      calls_.pop_front();
      ++done_;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> calls_;
  uint64_t done_ = 0;    // calls that have run
  uint64_t wanted_ = 0;  // calls that a caller waits for
  bool stop_ = false;
  std::thread thread_;  // last: it uses the others
};

// Makes buffers of memory that another allocator owns.
class BorrowedMemory final : public Allocator {
 public:
  Buffer Borrow(void* data, size_t size_bytes) { return Adopt(data, size_bytes); }

 private:
  Result<Buffer> Allocate(size_t) override {
    return Status(StatusCode::kUnsupported, "borrowed memory cannot be allocated");
  }
  int64_t FreeBytes() const override { return 0; }
  void Free(void*, size_t) noexcept override {}
};

// The two mappings. Addresses that callers hold lie in the protected one.
class MappedTwice final : public Allocator {
 public:
  explicit MappedTwice(CallQueue& queue) : queue_(queue) {}
  ~MappedTwice() override {
    if (guarded_ != MAP_FAILED) ::munmap(guarded_, kCapacityBytes);
    if (open_ != MAP_FAILED) ::munmap(open_, kCapacityBytes);
    if (file_ >= 0) ::close(file_);
  }

  Status Map() {
    file_ = ::memfd_create("dray-unreadable", MFD_CLOEXEC);
    if (file_ >= 0 && ::ftruncate(file_, kCapacityBytes) == 0) {
      guarded_ = ::mmap(nullptr, kCapacityBytes, PROT_NONE, MAP_SHARED, file_, 0);
      open_ = ::mmap(nullptr, kCapacityBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                     file_, 0);
    }
    if (open_ == MAP_FAILED || guarded_ == MAP_FAILED) {
      return {StatusCode::kIo,
              fmt::format("a file in memory of {} bytes cannot be mapped twice: {}", kCapacityBytes,
                          std::strerror(errno))};
    }
    free_[0] = kCapacityBytes;
    return OkStatus();
  }

  Result<Buffer> Allocate(size_t size_bytes) override {
    if (size_bytes == 0) return Buffer();
    const std::lock_guard lock(mutex_);
    const size_t wanted = RoundUp(std::min(size_bytes, kCapacityBytes), kPageBytes);
    const auto hole = std::find_if(free_.begin(), free_.end(),
                                   [&](const auto& piece) { return piece.second >= wanted; });
    if (size_bytes > kCapacityBytes || hole == free_.end()) {
      return Status(StatusCode::kResourceExhausted,
                    fmt::format("no memory for {} bytes of a test backend", size_bytes));
    }
    const auto [offset, hole_bytes] = *hole;
    free_.erase(hole);
    if (hole_bytes > wanted) free_[offset + wanted] = hole_bytes - wanted;
    return Adopt(static_cast<std::byte*>(guarded_) + offset, size_bytes);
  }
  int64_t FreeBytes() const override { return HostAllocator().FreeBytes(); }

  // The address at which the wrapped backend finds what callers know as `address`. Anything but
  // this memory is a bug of the caller.
  template <typename T>
  T* Open(T* address) const {
    if (address == nullptr) return nullptr;
    const auto offset =
        reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(guarded_);
    DRAY_CHECK(offset < kCapacityBytes);
    return reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(open_) + offset);
  }

 private:
  // Pages that are given back read as zeros afterwards.
  void Free(void* data, size_t size_bytes) noexcept override {
    queue_.Wait();
    const std::lock_guard lock(mutex_);
    const auto offset =
        static_cast<size_t>(static_cast<std::byte*>(data) - static_cast<std::byte*>(guarded_));
    const size_t bytes = RoundUp(size_bytes, kPageBytes);
    DRAY_CHECK(::fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                           static_cast<off_t>(offset), static_cast<off_t>(bytes)) == 0);
    auto piece = free_.emplace(offset, bytes).first;
    const auto next = std::next(piece);
    if (next != free_.end() && piece->first + piece->second == next->first) {
      piece->second += next->second;
      free_.erase(next);
    }
    if (piece == free_.begin()) return;
    const auto before = std::prev(piece);
    if (before->first + before->second != piece->first) return;
    before->second += piece->second;
    free_.erase(piece);
  }

  CallQueue& queue_;
  int file_ = -1;
  void* guarded_ = MAP_FAILED;
  void* open_ = MAP_FAILED;
  std::mutex mutex_;
  std::map<size_t, size_t> free_;  // offset to bytes; no two pieces touch
};

// Arguments as the wrapped backend takes them: a call's own copies, with open addresses.
class OpenArguments {
 public:
  explicit OpenArguments(const MappedTwice& memory) : memory_(memory) {}

  WeightMatrix Open(const WeightMatrix& matrix) {
    return {matrix.spec(), borrowed_.Borrow(memory_.Open(matrix.data()), matrix.size_bytes())};
  }
  Activations Open(const Activations& rows) const {
    return {memory_.Open(rows.data), rows.dtype, rows.stride};
  }
  ConstActivations Open(const ConstActivations& rows) const {
    return {memory_.Open(rows.data), rows.dtype, rows.stride};
  }
  VectorNorm Open(VectorNorm norm) const {
    norm.weight = memory_.Open(norm.weight);
    norm.bias = memory_.Open(norm.bias);
    return norm;
  }
  KvLayer Open(KvLayer cache) const {
    cache.keys = memory_.Open(cache.keys);
    cache.values = memory_.Open(cache.values);
    cache.key_scales = memory_.Open(cache.key_scales);
    cache.value_scales = memory_.Open(cache.value_scales);
    return cache;
  }

  EmbedArgs Open(EmbedArgs args) {
    args.table = Keep(*args.table);
    args.ids = memory_.Open(args.ids);
    args.out = Open(args.out);
    return args;
  }
  NormArgs Open(NormArgs args) const {
    args.norm = Open(args.norm);
    args.x = Open(args.x);
    args.out = Open(args.out);
    return args;
  }
  LinearArgs Open(LinearArgs args) {
    args.weight = Keep(*args.weight);
    args.norm = Keep(args.norm);
    args.x = Open(args.x);
    args.bias = memory_.Open(args.bias);
    args.out = Open(args.out);
    return args;
  }
  RopeAndCacheArgs Open(RopeAndCacheArgs args) {
    args.qkv = Open(args.qkv);
    args.query_norm = Keep(args.query_norm);
    args.key_norm = Keep(args.key_norm);
    args.cos_sin = memory_.Open(args.cos_sin);
    args.table_rows = memory_.Open(args.table_rows);
    args.slots = memory_.Open(args.slots);
    args.cache = Open(args.cache);
    return args;
  }
  AttentionArgs Open(AttentionArgs args) const {
    args.q = Open(args.q);
    args.out = Open(args.out);
    args.cache = Open(args.cache);
    args.sequences = memory_.Open(args.sequences);
    args.block_tables = memory_.Open(args.block_tables);
    args.alibi_slopes = memory_.Open(args.alibi_slopes);
    args.relative_bias.values = memory_.Open(args.relative_bias.values);
    return args;
  }
  GatherRowsArgs Open(GatherRowsArgs args) const {
    args.x = Open(args.x);
    args.rows = memory_.Open(args.rows);
    args.out = Open(args.out);
    return args;
  }
  CopyBlocksArgs Open(CopyBlocksArgs args) {
    args.cache = Open(args.cache);
    args.from = Keep(args.from, args.num_copies);
    args.to = Keep(args.to, args.num_copies);
    return args;
  }

 private:
  const WeightMatrix* Keep(const WeightMatrix& matrix) {
    return &matrices_.emplace_back(Open(matrix));
  }
  const VectorNorm* Keep(const VectorNorm* norm) {
    return norm == nullptr ? nullptr : &norms_.emplace_back(Open(*norm));
  }
  const int32_t* Keep(const int32_t* numbers, int64_t count) {
    return arrays_.emplace_back(numbers, numbers + count).data();
  }

  const MappedTwice& memory_;
  BorrowedMemory borrowed_;
  std::deque<WeightMatrix> matrices_;  // deques: elements stay where they are
  std::deque<VectorNorm> norms_;
  std::deque<std::vector<int32_t>> arrays_;
};

class UnreadableBackend final : public Backend, private Memory, private Packer, private Ops {
 public:
  explicit UnreadableBackend(std::unique_ptr<Backend> inner) : inner_(std::move(inner)) {}
  ~UnreadableBackend() override { queue_.Wait(); }

  Status Map() { return mapped_.Map(); }

  Memory& memory() override { return *this; }
  Packer& packer() override { return *this; }
  Ops& ops() override { return *this; }
  void BeginStep(int64_t num_tokens) override {
    queue_.Push([this, num_tokens] { inner_->BeginStep(num_tokens); });
  }
  Status EndStep() override {
    return Await([&] { return inner_->EndStep(); });
  }
  void AdoptThread() override {
    queue_.Push([this] { inner_->AdoptThread(); });
  }
  std::string Describe() const override { return "unreadable memory, " + inner_->Describe(); }
  std::string_view isa() const override { return inner_->isa(); }

 private:
  // Runs what is queued, then `call`, and returns its result.
  Status Await(const std::function<Status()>& call) {
    Status status;
    queue_.Push([&] { status = call(); });
    queue_.Wait();
    return status;
  }
  template <typename Args>
  void Enqueue(void (Ops::*operation)(const Args&), const Args& args) {
    const auto held = std::make_shared<OpenArguments>(mapped_);
    queue_.Push(
        [this, operation, held, open = held->Open(args)] { (inner_->ops().*operation)(open); });
  }

  Allocator& allocator() override { return mapped_; }
  Status CopyFromHost(void* device_dst, const void* host_src, size_t bytes) override {
    if (bytes == 0) return OkStatus();
    const auto* source = static_cast<const std::byte*>(host_src);
    void* to = mapped_.Open(device_dst);
    queue_.Push([to, copy = std::vector<std::byte>(source, source + bytes)] {
      std::memcpy(to, copy.data(), copy.size());
    });
    return OkStatus();
  }
  Status CopyToHost(void* host_dst, const void* device_src, size_t bytes) override {
    return Await(
        [&] { return inner_->memory().CopyToHost(host_dst, mapped_.Open(device_src), bytes); });
  }

  WeightFormat NativeFormat(DType dtype) const override {
    return inner_->packer().NativeFormat(dtype);
  }
  // The wrapped backend checks the form and knows how many bytes it takes.
  Result<WeightMatrix> AllocateMatrix(const MatrixSpec& spec) override {
    DRAY_ASSIGN_OR_RETURN(const WeightMatrix model, inner_->packer().AllocateMatrix(spec));
    DRAY_ASSIGN_OR_RETURN(Buffer storage, mapped_.Allocate(model.size_bytes()));
    return WeightMatrix(spec, std::move(storage));
  }
  Status PackRows(WeightMatrix& matrix, int64_t first_row, const SourceRows& source) override {
    WeightMatrix open = open_arguments_.Open(matrix);
    return Await([&] { return inner_->packer().PackRows(open, first_row, source); });
  }
  Status PackQuantizedRows(WeightMatrix& matrix, int64_t first_row, const QuantizedSource& source,
                           std::span<const int64_t> rows) override {
    WeightMatrix open = open_arguments_.Open(matrix);
    return Await([&] { return inner_->packer().PackQuantizedRows(open, first_row, source, rows); });
  }
  void AddSquares(const SourceRows& source, const SquareSums& sums) override {
    queue_.Push([&] { inner_->packer().AddSquares(source, sums); });
    queue_.Wait();
  }
  std::string_view layout() const override { return inner_->packer().layout(); }
  Result<int64_t> PackedBytes(const MatrixSpec& spec) const override {
    return inner_->packer().PackedBytes(spec);
  }
  Result<WeightMatrix> Adopt(const MatrixSpec& spec, SharedBytes packed) override {
    DRAY_ASSIGN_OR_RETURN(const WeightMatrix model, inner_->packer().Adopt(spec, packed));
    return CopyMatrix(model);
  }
  Result<WeightMatrix> TakePart(const WeightMatrix& whole, const MatrixPart& part) override {
    const WeightMatrix open = open_arguments_.Open(whole);
    WeightMatrix taken;
    DRAY_RETURN_IF_ERROR(Await([&]() -> Status {
      DRAY_ASSIGN_OR_RETURN(taken, inner_->packer().TakePart(open, part));
      return OkStatus();
    }));
    return CopyMatrix(taken);
  }
  // A matrix of the wrapped backend in the memory of this one.
  Result<WeightMatrix> CopyMatrix(const WeightMatrix& matrix) {
    DRAY_ASSIGN_OR_RETURN(WeightMatrix copy, AllocateMatrix(matrix.spec()));
    DRAY_RETURN_IF_ERROR(CopyFromHost(copy.data(), matrix.bytes(), matrix.size_bytes()));
    return copy;
  }

  void Embed(const EmbedArgs& args) override { Enqueue(&Ops::Embed, args); }
  void Norm(const NormArgs& args) override { Enqueue(&Ops::Norm, args); }
  void Linear(const LinearArgs& args) override { Enqueue(&Ops::Linear, args); }
  void Attention(const AttentionArgs& args) override { Enqueue(&Ops::Attention, args); }
  void GatherRows(const GatherRowsArgs& args) override { Enqueue(&Ops::GatherRows, args); }
  void CopyBlocks(const CopyBlocksArgs& args) override { Enqueue(&Ops::CopyBlocks, args); }
  void QkvLinear(const LinearArgs& linear, const RopeAndCacheArgs& heads) override {
    const auto held = std::make_shared<OpenArguments>(mapped_);
    queue_.Push([this, held, first = held->Open(linear), second = held->Open(heads)] {
      inner_->ops().QkvLinear(first, second);
    });
  }

  std::unique_ptr<Backend> inner_;
  CallQueue queue_;
  MappedTwice mapped_{queue_};
  OpenArguments open_arguments_{mapped_};
};

}  // namespace

Result<std::unique_ptr<Backend>> MakeUnreadableBackend(std::unique_ptr<Backend> inner) {
  auto backend = std::make_unique<UnreadableBackend>(std::move(inner));
  DRAY_RETURN_IF_ERROR(backend->Map());
  return std::unique_ptr<Backend>(std::move(backend));
}

}  // namespace dray::kernels
