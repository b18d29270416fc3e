// How a kernel splits its work. Kernels know nothing of TensorFlow: register.cc lends them its thread pool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <new>
#include <vector>

namespace show1 {

class Workers {
 public:
  virtual ~Workers() = default;
  // Calls work(begin, end) over parts of [0, count) and returns when all are done. `cost` is about the number of cycles
  // of one item. How the range is cut varies with the thread count, so work on an item must not depend on the cut.
  virtual void For(int64_t count, int64_t cost, const std::function<void(int64_t begin, int64_t end)> &work) const = 0;
  virtual int Threads() const = 0;
};

// A cache-aligned block of floats for one thread's intermediate values. Blocks of moderate size stay with the thread for
// its next kernel, because fresh memory costs a page fault every 4 KiB.
class Scratch {
 public:
  explicit Scratch(size_t floats) : capacity_(floats + 16) {
    for (size_t i = 0; i < kept().size(); ++i)
      if (kept()[i].capacity >= capacity_) {
        data_ = kept()[i].data;
        capacity_ = kept()[i].capacity;
        kept().erase(kept().begin() + i);
        return;
      }
    data_ = static_cast<float *>(std::aligned_alloc(64, (capacity_ * sizeof(float) + 63) / 64 * 64));
    if (!data_) throw std::bad_alloc();
  }
  ~Scratch() {
    if (capacity_ > kLargestKept) {
      std::free(data_);
      return;
    }
    if (kept().size() == kMostKept) {
      std::free(kept().front().data);
      kept().erase(kept().begin());
    }
    kept().push_back({data_, capacity_});
  }
  Scratch(const Scratch &) = delete;
  Scratch &operator=(const Scratch &) = delete;
  // The next `floats` elements, aligned; each piece may be rounded up by 15 elements.
  float *Take(size_t floats) {
    float *p = data_ + used_;
    used_ += (floats + 15) / 16 * 16;
    return p;
  }

 private:
  static constexpr size_t kLargestKept = 1 << 20;
  static constexpr size_t kMostKept = 3;
  struct Block {
    float *data;
    size_t capacity;
  };
  struct Blocks : std::vector<Block> {
    ~Blocks() {
      for (const Block &block : *this) std::free(block.data);
    }
  };
  static Blocks &kept() {
    static thread_local Blocks blocks;
    return blocks;
  }

  float *data_;
  size_t capacity_;
  size_t used_ = 0;
};

inline int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t RoundUp(int64_t a, int64_t b) { return CeilDiv(a, b) * b; }

}  // namespace show1
