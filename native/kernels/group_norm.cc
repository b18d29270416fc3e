// The rows of a sample are cut into chunks whose size depends on the shape alone. Each chunk is reduced to two numbers a
// channel while it lies in the cache; chunks are then joined in their order, so results do not depend on the threads.
#include "group_norm.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "activation.h"

namespace show1 {
namespace {

constexpr int64_t kChunkFloats = 16384;
constexpr int kRowsAtOnce = 4;

// What a pass over the elements of one sample needs to know of each channel: arrays of `width` floats.
struct Channels {
  float *mean;
  float *scale;  // rstd · gamma
  float *beta;
  float *slope;  // backward: dx = scale · da + (x - mean) · slope + offset
  float *offset;
  static constexpr int kArrays = 5;
};

class Plan {
 public:
  Plan(const Workers &workers, const GroupNormShape &shape)
      : shape_(shape),
        width_(RoundUp(shape.c, kLanes)),
        rows_(std::max<int64_t>(16, kChunkFloats / shape.c / 8 * 8)),
        chunks_(CeilDiv(shape.s, rows_)),
        workers_(workers),
        scratch_(shape.n * width_ * (Channels::kArrays + kPartial * chunks_) + 32) {
    channels_ = scratch_.Take(shape.n * Channels::kArrays * width_);
    partial_ = scratch_.Take(shape.n * chunks_ * kPartial * width_);
  }

  int64_t width() const { return width_; }
  int64_t chunks() const { return chunks_; }
  int64_t Rows(int64_t chunk) const { return std::min(rows_, shape_.s - chunk * rows_); }
  // Offset of a chunk's first element.
  int64_t At(int64_t n, int64_t chunk) const { return (n * shape_.s + chunk * rows_) * shape_.c; }
  float *First(int64_t n, int64_t chunk) const { return partial_ + (n * chunks_ + chunk) * kPartial * width_; }
  float *Second(int64_t n, int64_t chunk) const { return First(n, chunk) + width_; }
  float *Third(int64_t n, int64_t chunk) const { return First(n, chunk) + 2 * width_; }
  Channels Of(int64_t n) const {
    float *p = channels_ + n * Channels::kArrays * width_;
    return {p, p + width_, p + 2 * width_, p + 3 * width_, p + 4 * width_};
  }

  // prepare(n), then reduce(n, chunk) for every chunk, then join(n), then apply(n, chunk).
  template <class Prepare, class Reduce, class Join, class Apply>
  void Run(int64_t cycles_per_element, const Prepare &prepare, const Reduce &reduce, const Join &join,
           const Apply &apply) const {
    const int64_t chunk_cost = rows_ * shape_.c * cycles_per_element;
    if (shape_.n >= 4 * workers_.Threads() || shape_.n % workers_.Threads() == 0 || chunks_ == 1) {
      // One task a sample: its second pass finds the sample in the cache.
      workers_.For(shape_.n, chunk_cost * chunks_ * 2, [&](int64_t begin, int64_t end) {
        for (int64_t n = begin; n < end; ++n) {
          prepare(n);
          for (int64_t k = 0; k < chunks_; ++k) reduce(n, k);
          join(n);
          for (int64_t k = 0; k < chunks_; ++k) apply(n, k);
        }
      });
      return;
    }
    for (int64_t n = 0; n < shape_.n; ++n) prepare(n);
    workers_.For(shape_.n * chunks_, chunk_cost, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) reduce(i / chunks_, i % chunks_);
    });
    workers_.For(shape_.n, width_ * chunks_, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) join(n);
    });
    workers_.For(shape_.n * chunks_, chunk_cost, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) apply(i / chunks_, i % chunks_);
    });
  }

 private:
  static constexpr int kPartial = 3;  // arrays of one chunk
  const GroupNormShape &shape_;
  int64_t width_;
  int64_t rows_;
  int64_t chunks_;
  const Workers &workers_;
  Scratch scratch_;
  float *channels_;
  float *partial_;
};

// Calls step(rows, first element, column, width) so that every channel sees its rows in order, a few at a time.
template <class Step>
inline SHOW1_INLINE void RowGroups(int64_t rows, int64_t c, const Step &step) {
  int64_t row = 0;
  for (; row + kRowsAtOnce <= rows; row += kRowsAtOnce)
    Sweep(0, c, [&](int64_t column, int w) SHOW1_INLINE {
      step(std::integral_constant<int, kRowsAtOnce>(), row * c + column, column, w);
    });
  for (; row < rows; ++row)
    Sweep(0, c, [&](int64_t column, int w) SHOW1_INLINE {
      step(std::integral_constant<int, 1>(), row * c + column, column, w);
    });
}

// Mean and sum of squared deviations of each channel over the rows of a chunk.
void ChunkMoments(const float *x, int64_t rows, int64_t c, int64_t width, float *mean, float *deviation, float *rest) {
  std::fill_n(mean, width, 0.0f);
  std::fill_n(deviation, width, 0.0f);
  RowGroups(rows, c, [=](auto count, int64_t at, int64_t column, int w) SHOW1_INLINE {
    Vec sum = LoadSome(x + at, w);
    for (int r = 1; r < count; ++r) sum += LoadSome(x + at + r * c, w);
    Store(mean + column, Load(mean + column) + sum);
  });
  Sweep(0, width, [=](int64_t i, int) SHOW1_INLINE { Store(mean + i, Load(mean + i) * (1.0f / rows)); });
  // The mean of large values is rough: what it leaves over corrects both numbers. `rest` sums the leftovers.
  std::fill_n(rest, width, 0.0f);
  RowGroups(rows, c, [=](auto count, int64_t at, int64_t column, int w) SHOW1_INLINE {
    const Vec m = Load(mean + column);
    Vec sum{}, squares{};
    for (int r = 0; r < count; ++r) {
      const Vec d = LoadSome(x + at + r * c, w) - m;
      sum += d;
      squares += d * d;
    }
    Store(rest + column, Load(rest + column) + sum);
    Store(deviation + column, Load(deviation + column) + squares);
  });
  Sweep(0, width, [=](int64_t i, int) SHOW1_INLINE {
    const Vec left = Load(rest + i), step = left * (1.0f / rows);
    Store(mean + i, Load(mean + i) + step);
    Store(deviation + i, Load(deviation + i) - left * step);
  });
}

// Joins the chunks of sample n into the mean and rstd of its groups (Chan et al. 1983).
void JoinMoments(const Plan &plan, const GroupNormShape &shape, int64_t n, float eps, float *mean, float *rstd) {
  const int64_t per_group = shape.c / shape.groups;
  const Channels out = plan.Of(n);  // its arrays hold the channel moments for a moment
  Sweep(0, plan.width(), [&](int64_t i, int) SHOW1_INLINE {
    Vec sum{};
    for (int64_t k = 0; k < plan.chunks(); ++k) sum += Load(plan.First(n, k) + i) * static_cast<float>(plan.Rows(k));
    const Vec m = sum * (1.0f / shape.s);
    Vec deviation{};
    for (int64_t k = 0; k < plan.chunks(); ++k) {
      const Vec d = Load(plan.First(n, k) + i) - m;
      deviation += Load(plan.Second(n, k) + i) + d * d * static_cast<float>(plan.Rows(k));
    }
    Store(out.mean + i, m);
    Store(out.scale + i, deviation);
  });
  for (int64_t g = 0; g < shape.groups; ++g) {
    const float *means = out.mean + g * per_group;
    const float *deviations = out.scale + g * per_group;
    double m = 0, deviation = 0;
    for (int64_t i = 0; i < per_group; ++i) m += means[i];
    m /= per_group;
    for (int64_t i = 0; i < per_group; ++i) deviation += deviations[i] + shape.s * (means[i] - m) * (means[i] - m);
    mean[g] = static_cast<float>(m);
    rstd[g] = static_cast<float>(1 / std::sqrt(deviation / (per_group * shape.s) + eps));
  }
}

// Spreads the numbers of each group over its channels.
void SpreadGroups(const Plan &plan, const GroupNormShape &shape, int64_t n, const float *mean, const float *rstd,
                  const float *gamma, const float *beta) {
  const Channels out = plan.Of(n);
  const int64_t per_group = shape.c / shape.groups;
  const int64_t affine = shape.per_sample ? n * shape.c : 0;
  for (int64_t g = 0; g < shape.groups; ++g)
    for (int64_t c = g * per_group; c < (g + 1) * per_group; ++c) {
      out.mean[c] = mean[g];
      out.scale[c] = rstd[g] * gamma[affine + c];
      out.beta[c] = beta[affine + c];
    }
  for (int64_t c = shape.c; c < plan.width(); ++c) out.mean[c] = out.scale[c] = out.beta[c] = 0;
}

template <Act act>
void Forward(const Workers &workers, const GroupNormShape &shape, float eps, const float *x, const float *gamma,
             const float *beta, float *y, float *mean, float *rstd) {
  const Plan plan(workers, shape);
  plan.Run(
      act == Act::kNone ? 1 : 2, [](int64_t) {},
      [&](int64_t n, int64_t k) {
        ChunkMoments(x + plan.At(n, k), plan.Rows(k), shape.c, plan.width(), plan.First(n, k), plan.Second(n, k),
                     plan.Third(n, k));
      },
      [&](int64_t n) {
        float *m = mean + n * shape.groups, *r = rstd + n * shape.groups;
        JoinMoments(plan, shape, n, eps, m, r);
        SpreadGroups(plan, shape, n, m, r, gamma, beta);
      },
      [&](int64_t n, int64_t k) {
        const Channels of = plan.Of(n);
        const float *from = x + plan.At(n, k);
        float *to = y + plan.At(n, k);
        const int64_t c = shape.c;
        RowGroups(plan.Rows(k), c, [=](auto count, int64_t at, int64_t column, int w) SHOW1_INLINE {
          const Vec m = Load(of.mean + column), scale = Load(of.scale + column), b = Load(of.beta + column);
          for (int r = 0; r < count; ++r) {
            const Vec v = LoadSome(from + at + r * c, w);
            StoreSome(to + at + r * c, Activate<act>((v - m) * scale + b), w);
          }
        });
      });
}

// Joins the chunks' sums of da and da · (x - mean) into dgamma and dbeta of the sample and the numbers that dx needs.
void JoinGradients(const Plan &plan, const GroupNormShape &shape, int64_t n, const float *rstd, const float *gamma,
                   float *dgamma, float *dbeta) {
  const int64_t per_group = shape.c / shape.groups;
  const double count = static_cast<double>(per_group) * shape.s;
  const int64_t affine = shape.per_sample ? n * shape.c : 0;
  const Channels out = plan.Of(n);
  Sweep(0, shape.c, [&](int64_t i, int w) SHOW1_INLINE {
    Vec sum{}, moment{};
    for (int64_t k = 0; k < plan.chunks(); ++k) {
      sum += Load(plan.First(n, k) + i);
      moment += Load(plan.Second(n, k) + i);
    }
    StoreSome(dbeta + i, sum, w);
    StoreSome(dgamma + i, moment, w);
  });
  for (int64_t g = 0; g < shape.groups; ++g) {
    double sum = 0, moment = 0;
    for (int64_t c = g * per_group; c < (g + 1) * per_group; ++c) {
      dgamma[c] *= rstd[g];
      sum += static_cast<double>(gamma[affine + c]) * dbeta[c];
      moment += static_cast<double>(gamma[affine + c]) * dgamma[c];
    }
    // dx = rstd · (gamma · da - mean(gamma · da) - xhat · mean(gamma · da · xhat))
    std::fill_n(out.slope + g * per_group, per_group, static_cast<float>(-moment / count * rstd[g] * rstd[g]));
    std::fill_n(out.offset + g * per_group, per_group, static_cast<float>(-sum / count * rstd[g]));
  }
  std::fill_n(out.slope + shape.c, plan.width() - shape.c, 0.0f);
  std::fill_n(out.offset + shape.c, plan.width() - shape.c, 0.0f);
}

template <Act act>
void Backward(const Workers &workers, const GroupNormShape &shape, const float *dy, const float *x, const float *gamma,
              const float *beta, const float *mean, const float *rstd, float *dx, float *dgamma, float *dbeta) {
  const Plan plan(workers, shape);
  const int64_t c = shape.c;
  // Without per-sample parameters every sample leaves its sums here, to be added in order.
  const bool gather = !shape.per_sample && shape.n > 1;
  Scratch sums(gather ? 2 * shape.n * c : 0);
  float *gamma_sums = gather ? sums.Take(2 * shape.n * c) : dgamma;
  float *beta_sums = gather ? gamma_sums + shape.n * c : dbeta;
  plan.Run(
      act == Act::kNone ? 1 : 3,
      [&](int64_t n) {
        SpreadGroups(plan, shape, n, mean + n * shape.groups, rstd + n * shape.groups, gamma, beta);
      },
      [&](int64_t n, int64_t k) {
        float *first = plan.First(n, k), *second = plan.Second(n, k);
        std::fill_n(first, 2 * plan.width(), 0.0f);
        const Channels of = plan.Of(n);
        const float *from = x + plan.At(n, k), *grad = dy + plan.At(n, k);
        RowGroups(plan.Rows(k), c, [=](auto count, int64_t at, int64_t column, int w) SHOW1_INLINE {
          const Vec m = Load(of.mean + column), scale = Load(of.scale + column), b = Load(of.beta + column);
          Vec sum{}, moment{};
          for (int r = 0; r < count; ++r) {
            const Vec v = LoadSome(from + at + r * c, w) - m;
            Vec da = LoadSome(grad + at + r * c, w);
            if (act != Act::kNone) da *= Slope<act>(v * scale + b);
            sum += da;
            moment += da * v;
          }
          Store(first + column, Load(first + column) + sum);
          Store(second + column, Load(second + column) + moment);
        });
      },
      [&](int64_t n) {
        JoinGradients(plan, shape, n, rstd + n * shape.groups, gamma, gamma_sums + n * c, beta_sums + n * c);
      },
      [&](int64_t n, int64_t k) {
        const Channels of = plan.Of(n);
        const float *from = x + plan.At(n, k), *grad = dy + plan.At(n, k);
        float *to = dx + plan.At(n, k);
        RowGroups(plan.Rows(k), c, [=](auto count, int64_t at, int64_t column, int w) SHOW1_INLINE {
          const Vec m = Load(of.mean + column), scale = Load(of.scale + column), b = Load(of.beta + column);
          const Vec slope = Load(of.slope + column), offset = Load(of.offset + column);
          for (int r = 0; r < count; ++r) {
            const Vec v = LoadSome(from + at + r * c, w) - m;
            Vec da = LoadSome(grad + at + r * c, w);
            if (act != Act::kNone) da *= Slope<act>(v * scale + b);
            StoreSome(to + at + r * c, scale * da + (v * slope + offset), w);
          }
        });
      });
  if (!gather) return;
  for (int64_t i = 0; i < c; ++i) {
    float g = 0, b = 0;
    for (int64_t n = 0; n < shape.n; ++n) {
      g += gamma_sums[n * c + i];
      b += beta_sums[n * c + i];
    }
    dgamma[i] = g;
    dbeta[i] = b;
  }
}

}  // namespace

void GroupNormForward(const Workers &workers, const GroupNormShape &shape, Act act, float eps, const float *x,
                      const float *gamma, const float *beta, float *y, float *mean, float *rstd) {
  const auto run = act == Act::kSilu ? Forward<Act::kSilu> : act == Act::kGelu ? Forward<Act::kGelu> : Forward<Act::kNone>;
  run(workers, shape, eps, x, gamma, beta, y, mean, rstd);
}

void GroupNormBackward(const Workers &workers, const GroupNormShape &shape, Act act, const float *dy, const float *x,
                       const float *gamma, const float *beta, const float *mean, const float *rstd, float *dx,
                       float *dgamma, float *dbeta) {
  const auto run =
      act == Act::kSilu ? Backward<Act::kSilu> : act == Act::kGelu ? Backward<Act::kGelu> : Backward<Act::kNone>;
  run(workers, shape, dy, x, gamma, beta, mean, rstd, dx, dgamma, dbeta);
}

}  // namespace show1
