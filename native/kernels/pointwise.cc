#include "pointwise.h"

#include "activation.h"

namespace show1 {
namespace {

// A block is this many elements: enough to amortise a task, small enough to balance threads.
constexpr int64_t kBlock = 8192;
constexpr int64_t kCyclesPerElement = 3;

template <class Step>
void Blocks(const Workers &workers, int64_t n, const Step &step) {
  workers.For(CeilDiv(n, kBlock), kBlock * kCyclesPerElement, [&](int64_t begin, int64_t end) {
    Sweep(begin * kBlock, end * kBlock < n ? end * kBlock : n, step);
  });
}

// Calls step(row, column, width) over a [rows, width] matrix.
template <class Step>
void Rows(const Workers &workers, int64_t rows, int64_t width, const Step &step) {
  workers.For(rows, width * kCyclesPerElement * 2, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      Sweep(0, width, [&](int64_t column, int n) SHOW1_INLINE { step(row, column, n); });
  });
}

template <Act act>
void Forward(const Workers &workers, int64_t n, const float *x, float *y) {
  Blocks(workers, n, [=](int64_t i, int w) SHOW1_INLINE {
    StoreSome(y + i, Activate<act>(LoadSome(x + i, w)), w);
  });
}

template <Act act>
void Backward(const Workers &workers, int64_t n, const float *dy, const float *x, float *dx) {
  Blocks(workers, n, [=](int64_t i, int w) SHOW1_INLINE {
    StoreSome(dx + i, LoadSome(dy + i, w) * Slope<act>(LoadSome(x + i, w)), w);
  });
}

}  // namespace

void ActivationForward(const Workers &workers, Act act, int64_t n, const float *x, float *y) {
  if (act == Act::kSilu) return Forward<Act::kSilu>(workers, n, x, y);
  if (act == Act::kGelu) return Forward<Act::kGelu>(workers, n, x, y);
  Forward<Act::kNone>(workers, n, x, y);
}

void ActivationBackward(const Workers &workers, Act act, int64_t n, const float *dy, const float *x, float *dx) {
  if (act == Act::kSilu) return Backward<Act::kSilu>(workers, n, dy, x, dx);
  if (act == Act::kGelu) return Backward<Act::kGelu>(workers, n, dy, x, dx);
  Backward<Act::kNone>(workers, n, dy, x, dx);
}

void GegluForward(const Workers &workers, int64_t rows, int64_t width, const float *x, float *y) {
  Rows(workers, rows, width, [=](int64_t row, int64_t column, int w) SHOW1_INLINE {
    const float *value = x + row * 2 * width + column;
    StoreSome(y + row * width + column, LoadSome(value, w) * Activate<Act::kGelu>(LoadSome(value + width, w)), w);
  });
}

void GegluBackward(const Workers &workers, int64_t rows, int64_t width, const float *dy, const float *x, float *dx) {
  Rows(workers, rows, width, [=](int64_t row, int64_t column, int w) SHOW1_INLINE {
    const int64_t at = row * 2 * width + column;
    const Vec g = LoadSome(dy + row * width + column, w);
    const Vec value = LoadSome(x + at, w);
    const Vec gate = LoadSome(x + at + width, w);
    const Normal n = NormalAt(gate);
    StoreSome(dx + at, g * gate * n.cdf, w);
    StoreSome(dx + at + width, g * value * (n.cdf + gate * n.pdf), w);
  });
}

}  // namespace show1
