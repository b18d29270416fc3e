#include "layer_norm.h"

#include <algorithm>
#include <cmath>

#include "simd.h"

namespace show1 {
namespace {

constexpr int64_t kChunkFloats = 16384;
constexpr int64_t kCyclesPerElement = 1;

}  // namespace

void LayerNormForward(const Workers &workers, int64_t rows, int64_t c, float eps, const float *x, const float *gamma,
                      const float *beta, float *y, float *mean, float *rstd) {
  workers.For(rows, c * kCyclesPerElement, [=](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float *from = x + row * c;
      float *to = y + row * c;
      Vec sum{};
      Sweep(0, c, [&](int64_t i, int w) SHOW1_INLINE { sum += LoadSome(from + i, w); });
      float m = Sum(sum) / c;
      Vec rest{}, squares{};
      Sweep(0, c, [&](int64_t i, int w) SHOW1_INLINE {
        Vec d = LoadSome(from + i, w) - m;
        if (w < kLanes) d = KeepFirst(d, w);
        rest += d;
        squares += d * d;
      });
      // The mean of large values is rough: what it leaves over corrects both numbers.
      const float step = Sum(rest) / c;
      const float r = 1 / std::sqrt(Sum(squares) / c - step * step + eps);
      m += step;
      Sweep(0, c, [=](int64_t i, int w) SHOW1_INLINE {
        const Vec xhat = (LoadSome(from + i, w) - m) * r;
        StoreSome(to + i, xhat * LoadSome(gamma + i, w) + LoadSome(beta + i, w), w);
      });
      mean[row] = m;
      rstd[row] = r;
    }
  });
}

void LayerNormBackward(const Workers &workers, int64_t rows, int64_t c, const float *dy, const float *x,
                       const float *gamma, const float *mean, const float *rstd, float *dx, float *dgamma,
                       float *dbeta) {
  // Chunks of rows, cut by the shape alone, sum their share of dgamma and dbeta; the shares are added in order.
  const int64_t chunk_rows = std::max<int64_t>(16, kChunkFloats / c);
  const int64_t chunks = CeilDiv(rows, chunk_rows);
  const int64_t width = RoundUp(c, kLanes);
  Scratch scratch(chunks * 2 * width);
  float *shares = scratch.Take(chunks * 2 * width);
  workers.For(chunks, chunk_rows * c * kCyclesPerElement * 2, [=](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      float *gamma_share = shares + chunk * 2 * width, *beta_share = gamma_share + width;
      std::fill_n(gamma_share, 2 * width, 0.0f);
      for (int64_t row = chunk * chunk_rows; row < std::min(rows, (chunk + 1) * chunk_rows); ++row) {
        const float *from = x + row * c, *grad = dy + row * c;
        float *to = dx + row * c;
        const float m = mean[row], r = rstd[row];
        Vec sum{}, moment{};
        Sweep(0, c, [&](int64_t i, int w) SHOW1_INLINE {
          const Vec d = LoadSome(grad + i, w);
          const Vec share = d * ((LoadSome(from + i, w) - m) * r);
          const Vec weight = LoadSome(gamma + i, w);
          Store(gamma_share + i, Load(gamma_share + i) + share);
          Store(beta_share + i, Load(beta_share + i) + d);
          sum += d * weight;
          moment += share * weight;
        });
        const float mean_g = Sum(sum) / c, mean_gx = Sum(moment) / c;
        Sweep(0, c, [=](int64_t i, int w) SHOW1_INLINE {
          const Vec xhat = (LoadSome(from + i, w) - m) * r;
          const Vec g = LoadSome(grad + i, w) * LoadSome(gamma + i, w);
          StoreSome(to + i, ((g - mean_g) - xhat * mean_gx) * r, w);
        });
      }
    }
  });
  Sweep(0, c, [=](int64_t i, int w) SHOW1_INLINE {
    Vec g{}, b{};
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      g += Load(shares + chunk * 2 * width + i);
      b += Load(shares + chunk * 2 * width + width + i);
    }
    StoreSome(dgamma + i, g, w);
    StoreSome(dbeta + i, b, w);
  });
}

}  // namespace show1
