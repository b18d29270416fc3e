// Forward: the lanes of a vector are queries, so that the softmax needs no sum across lanes and any head size fills the
// vectors. Backward: the lanes are keys; one sweep over the queries adds up dk and dv of all keys of the head.
#include "attention.h"

#include <algorithm>
#include <cmath>

#include "micro_gemm.h"

namespace show1 {
namespace {

constexpr int64_t kQueryBlock = 4 * kTileLanes;  // queries of a forward task: they share the packed keys
constexpr int64_t kKeyBlock = 64;
constexpr int64_t kBackwardRows = 64;            // queries of one product in the backward pass
constexpr int64_t kBackwardGroup = 4 * kBackwardRows;
constexpr int64_t kWantedTasks = 16;

using PanelStride = Count<kLanes>;
using One = Count<1>;

inline Vec *AsVec(float *p) { return reinterpret_cast<Vec *>(p); }
inline const Vec *AsVec(const float *p) { return reinterpret_cast<const Vec *>(p); }

// Packs rows into panels of kLanes rows, each panel [d][kLanes]; missing rows are zero.
void PackPanels(const float *x, int64_t stride, int64_t rows, int64_t d, float factor, float *out) {
  for (int64_t r = 0; r < rows; r += kLanes)
    TransposeIn(x + r * stride, stride, static_cast<int>(std::min<int64_t>(kLanes, rows - r)), static_cast<int>(d),
                factor, AsVec(out + r * d));
}

// Packs up to kTileLanes rows into one [d][kTileLanes] tile; missing rows are zero.
void PackTile(const float *x, int64_t stride, int64_t rows, int64_t d, float factor, float *out) {
  for (int v = 0; v < kTileVecs; ++v)
    TransposeIn(x + v * kLanes * stride, stride,
                static_cast<int>(std::clamp<int64_t>(rows - v * kLanes, 0, kLanes)), static_cast<int>(d), factor,
                AsVec(out) + v, kTileVecs);
}

// Copies rows to [padded rows][width], zeros behind.
void CopyRows(const float *x, int64_t stride, int64_t rows, int64_t d, float *out, int64_t padded, int64_t width) {
  for (int64_t r = 0; r < rows; ++r) {
    Sweep(0, d, [&](int64_t i, int w) SHOW1_INLINE { StoreSome(out + r * width + i, LoadSome(x + r * stride + i, w), w); });
    std::fill(out + r * width + d, out + (r + 1) * width, 0.0f);
  }
  std::fill(out + rows * width, out + padded * width, 0.0f);
}

// The state of the online softmax of one tile of queries.
struct Running {
  Vec top[kTileVecs];
  Vec sum[kTileVecs];
};

// Turns scores [keys][kTileLanes] into unnormalised probabilities; `keep` gets the factor for what was summed before.
template <int vecs>
void OnlineSoftmax(int64_t keys, float *scores, Running &running, Vec *keep) {
  Vec top[vecs], sum[vecs];
  for (int v = 0; v < vecs; ++v) top[v] = running.top[v];
  for (int64_t j = 0; j < keys; ++j)
    for (int v = 0; v < vecs; ++v) top[v] = Max(Load(scores + j * kTileLanes + v * kLanes), top[v]);
  for (int v = 0; v < vecs; ++v) {
    keep[v] = Exp2(running.top[v] - top[v]);
    sum[v] = running.sum[v] * keep[v];
    running.top[v] = top[v];
  }
  for (int64_t j = 0; j < keys; ++j)
    for (int v = 0; v < vecs; ++v) {
      float *at = scores + j * kTileLanes + v * kLanes;
      const Vec p = Exp2(Load(at) - top[v]);
      sum[v] += p;
      Store(at, p);
    }
  for (int v = 0; v < vecs; ++v) running.sum[v] = sum[v];
}

int VecsFor(int64_t lanes) { return static_cast<int>(std::min<int64_t>(kTileVecs, CeilDiv(lanes, kLanes))); }

}  // namespace

void AttentionForward(const Workers &workers, const AttentionShape &shape, float scale, const float *q, const float *k,
                      const float *v, float *out, float *log_sum) {
  const auto [batch, lq, lk, heads, d] = shape;
  const int64_t stride = heads * d, blocks = CeilDiv(lq, kQueryBlock), tiles = kQueryBlock / kTileLanes;
  const int64_t width = RoundUp(d, 4);
  const int64_t cost = std::min(lq, kQueryBlock) * lk * (4 * d + 30) / kLanes;
  const auto task = [=](int64_t index, float *memory) {
    const auto take = [&](int64_t floats) {
      float *p = memory;
      memory += RoundUp(floats, 16);
      return p;
    };
    float *queries = take(tiles * d * kTileLanes), *sums = take(tiles * width * kTileLanes);
    float *keys = take(kKeyBlock * d), *values = take(kKeyBlock * width), *scores = take(kKeyBlock * kTileLanes);
    Running running[kQueryBlock / kTileLanes];
    const int64_t block = index % blocks, head = index / blocks % heads, b = index / blocks / heads;
    const int64_t first = block * kQueryBlock, count = std::min(kQueryBlock, lq - first);
    const float *qh = q + (b * lq + first) * stride + head * d;
    const float *kh = k + b * lk * stride + head * d, *vh = v + b * lk * stride + head * d;
    for (int64_t t = 0; t * kTileLanes < count; ++t) {
      PackTile(qh + t * kTileLanes * stride, stride, count - t * kTileLanes, d, scale * kLog2E,
               queries + t * d * kTileLanes);
      for (int i = 0; i < kTileVecs; ++i) running[t].top[i] = Splat(-INFINITY), running[t].sum[i] = Vec{};
    }
    std::fill_n(sums, tiles * width * kTileLanes, 0.0f);
    for (int64_t j = 0; j < lk; j += kKeyBlock) {
      const int64_t n = std::min(kKeyBlock, lk - j);
      PackPanels(kh + j * stride, stride, n, d, 1, keys);
      CopyRows(vh + j * stride, stride, n, d, values, n, width);
      for (int64_t t = 0; t * kTileLanes < count; ++t) {
        const int vecs = VecsFor(count - t * kTileLanes);
        for (int64_t panel = 0; panel < n; panel += kLanes)
          MicroGemm<Vec>(RoundUp(std::min<int64_t>(kLanes, n - panel), 4), vecs, d, keys + panel * d, One(),
                         PanelStride(), queries + t * d * kTileLanes, kTileLanes, scores + panel * kTileLanes,
                         kTileLanes, nullptr);
        Vec keep[kTileVecs];
        const auto softmax = vecs == 3 ? OnlineSoftmax<3> : vecs == 2 ? OnlineSoftmax<2> : OnlineSoftmax<1>;
        softmax(n, scores, running[t], keep);
        MicroGemm<Vec>(width, vecs, n, values, One(), width, scores, kTileLanes, sums + t * width * kTileLanes,
                       kTileLanes, keep);
      }
    }
    for (int64_t i = 0; i < count; i += kLanes) {
      const int64_t t = i / kTileLanes, vec = i % kTileLanes / kLanes;
      const int rows = static_cast<int>(std::min<int64_t>(kLanes, count - i));
      TransposeOut(AsVec(sums + t * width * kTileLanes) + vec, rows, static_cast<int>(d), 1.0f / running[t].sum[vec],
                   out + (b * lq + first + i) * stride + head * d, stride, kTileVecs);
      for (int r = 0; r < rows; ++r)
        log_sum[(b * heads + head) * lq + first + i + r] = running[t].top[vec][r] + std::log2(running[t].sum[vec][r]);
    }
  };
  workers.For(batch * heads * blocks, cost, [=](int64_t begin, int64_t end) {
    const size_t floats = tiles * (d + width) * kTileLanes + kKeyBlock * (d + width + kTileLanes) + 128;
    Scratch scratch(floats);
    float *memory = scratch.Take(floats);
    for (int64_t i = begin; i < end; ++i) task(i, memory);
  });
}

namespace {

#if defined(SHOW1_AVX512)
typedef float HalfVec __attribute__((vector_size(kLanes * 2)));
#else
typedef Vec HalfVec;
#endif
constexpr int kHalfLanes = sizeof(HalfVec) / sizeof(float);

// dq [rows][width] += ds [rows][kTileLanes] · keys [kTileLanes][width]
void AddQueryGradient(int64_t rows, int64_t width, int64_t keys, const float *ds, const float *key_rows, float *dq) {
  if (width % kLanes == 0) {
    const Vec one = Splat(1);
    for (int64_t c = 0; c < width; c += kLanes)
      if (c % (kTileVecs * kLanes) == 0) {
        const Vec keep[kTileVecs] = {one, one, one};
        MicroGemm<Vec>(rows, std::min<int64_t>(kTileVecs, (width - c) / kLanes), keys, ds, Count<kTileLanes>(), One(),
                       key_rows + c, width, dq + c, width, keep);
      }
    return;
  }
  const HalfVec keep[kTileVecs] = {1.0f - HalfVec{}, 1.0f - HalfVec{}, 1.0f - HalfVec{}};
  for (int64_t c = 0; c < width; c += kTileVecs * kHalfLanes)
    MicroGemm<HalfVec>(rows, std::min<int64_t>(kTileVecs, (width - c) / kHalfLanes), keys, ds, Count<kTileLanes>(),
                       One(), key_rows + c, width, dq + c, width, keep);
}

// p = 2^(scores - log_sum), ds = p (dp - delta), both in place over [rows][kTileLanes]; lanes from `keys` on become zero.
void SoftmaxBackward(int64_t rows, int64_t keys, const float *log_sum, const float *delta, float *scores, float *dp) {
  for (int64_t i = 0; i < rows; ++i)
    for (int v = 0; v < kTileVecs; ++v) {
      float *s = scores + i * kTileLanes + v * kLanes, *g = dp + i * kTileLanes + v * kLanes;
      Vec p = Exp2(Load(s) - log_sum[i]);
      Vec ds = p * (Load(g) - delta[i]);
      const int64_t left = keys - v * kLanes;
      if (left < kLanes) {
        p = KeepFirst(p, static_cast<int>(std::max<int64_t>(left, 0)));
        ds = KeepFirst(ds, static_cast<int>(std::max<int64_t>(left, 0)));
      }
      Store(s, p);
      Store(g, ds);
    }
}

// Writes one tile [d][kTileLanes] of dk or dv to its rows, adding the tiles of the other splits to the first in order.
void StoreKeyTile(float *tile, int64_t splits, int64_t split_stride, int64_t size, int64_t rows, int64_t d, float factor,
                  float *out, int64_t stride) {
  for (int64_t s = 1; s < splits; ++s)
    Sweep(0, size, [&](int64_t i, int) SHOW1_INLINE {
      Store(tile + i, Load(tile + i) + Load(tile + s * split_stride + i));
    });
  for (int vec = 0; vec * kLanes < rows; ++vec)
    TransposeOut(AsVec(tile) + vec, static_cast<int>(std::min<int64_t>(kLanes, rows - vec * kLanes)),
                 static_cast<int>(d), Splat(factor), out + vec * kLanes * stride, stride, kTileVecs);
}

}  // namespace

void AttentionBackward(const Workers &workers, const AttentionShape &shape, float scale, const float *dout,
                       const float *q, const float *k, const float *v, const float *out, const float *log_sum,
                       float *dq, float *dk, float *dv) {
  const auto [batch, lq, lk, heads, d] = shape;
  const int64_t stride = heads * d, tiles = CeilDiv(lk, kTileLanes);
  const int64_t width4 = RoundUp(d, 4), width = RoundUp(d, kHalfLanes);
  const int64_t tile_size = width4 * kTileLanes;
  // A head's queries are split over several tasks only where heads are few; the tasks' sums are then added in order.
  const int64_t groups = CeilDiv(lq, kBackwardGroup);
  const int64_t splits = std::min(groups, CeilDiv(kWantedTasks, batch * heads));
  const int64_t split_groups = CeilDiv(groups, splits);
  const int64_t head_size = 2 * tiles * tile_size;  // dk and dv of one head as tiles [d][kTileLanes]
  Scratch split_sums(splits > 1 ? batch * heads * splits * head_size : 0);
  float *all_sums = splits > 1 ? split_sums.Take(batch * heads * splits * head_size) : nullptr;

  const auto finish = [=](int64_t b, int64_t head, int64_t t, float *head_sums) {
    const int64_t at = (b * lk + t * kTileLanes) * stride + head * d;
    const int64_t rows = std::min<int64_t>(kTileLanes, lk - t * kTileLanes);
    float *tile = head_sums + t * tile_size;
    StoreKeyTile(tile, splits, head_size, tile_size, rows, d, scale, dk + at, stride);
    StoreKeyTile(tile + tiles * tile_size, splits, head_size, tile_size, rows, d, 1, dv + at, stride);
  };

  const auto task = [=](int64_t index, float *memory) {
    const auto take = [&](int64_t floats) {
      float *p = memory;
      memory += RoundUp(floats, 16);
      return p;
    };
    float *query_panels = take(kBackwardGroup * d), *grad_panels = take(kBackwardGroup * d);
    float *query_rows = take(kBackwardGroup * width4), *grad_rows = take(kBackwardGroup * width4);
    float *dq_rows = take(kBackwardGroup * width), *log_sums = take(kBackwardGroup), *deltas = take(kBackwardGroup);
    float *key_tile = take(d * kTileLanes), *value_tile = take(d * kTileLanes), *key_rows = take(kTileLanes * width);
    float *scores = take(kBackwardRows * kTileLanes), *dp = take(kBackwardRows * kTileLanes);
    const int64_t split = index % splits, head = index / splits % heads, b = index / splits / heads;
    const float *kh = k + b * lk * stride + head * d, *vh = v + b * lk * stride + head * d;
    float *dk_tiles = splits > 1 ? all_sums + index * head_size : take(head_size);
    float *dv_tiles = dk_tiles + tiles * tile_size;
    std::fill_n(dk_tiles, head_size, 0.0f);
    Vec one[kTileVecs];
    std::fill_n(one, kTileVecs, Splat(1));
    for (int64_t group = split * split_groups; group < std::min(groups, (split + 1) * split_groups); ++group) {
      const int64_t first = group * kBackwardGroup, count = std::min(kBackwardGroup, lq - first);
      const int64_t padded = RoundUp(count, 8);
      const int64_t at = (b * lq + first) * stride + head * d;
      PackPanels(q + at, stride, count, d, scale * kLog2E, query_panels);
      PackPanels(dout + at, stride, count, d, 1, grad_panels);
      CopyRows(q + at, stride, count, d, query_rows, padded, width4);
      CopyRows(dout + at, stride, count, d, grad_rows, padded, width4);
      std::fill_n(dq_rows, padded * width, 0.0f);
      std::fill_n(log_sums, padded, 0.0f);
      std::fill_n(deltas, padded, 0.0f);
      std::copy_n(log_sum + (b * heads + head) * lq + first, count, log_sums);
      for (int64_t i = 0; i < count; ++i) {
        Vec dot{};
        Sweep(0, d, [&](int64_t c, int w) SHOW1_INLINE {
          dot += LoadSome(dout + at + i * stride + c, w) * LoadSome(out + at + i * stride + c, w);
        });
        deltas[i] = Sum(dot);
      }
      for (int64_t t = 0; t < tiles; ++t) {
        const int64_t keys = std::min<int64_t>(kTileLanes, lk - t * kTileLanes);
        PackTile(kh + t * kTileLanes * stride, stride, keys, d, 1, key_tile);
        PackTile(vh + t * kTileLanes * stride, stride, keys, d, 1, value_tile);
        CopyRows(kh + t * kTileLanes * stride, stride, keys, d, key_rows, keys, width);
        const int vecs = VecsFor(keys);
        for (int64_t i = 0; i < padded; i += kBackwardRows) {
          const int64_t rows = std::min(kBackwardRows, padded - i);
          for (int64_t panel = 0; panel < rows; panel += kLanes) {
            const int64_t n = std::min<int64_t>(kLanes, rows - panel);
            MicroGemm<Vec>(n, vecs, d, query_panels + (i + panel) * d, One(), PanelStride(), key_tile, kTileLanes,
                           scores + panel * kTileLanes, kTileLanes, nullptr);
            MicroGemm<Vec>(n, vecs, d, grad_panels + (i + panel) * d, One(), PanelStride(), value_tile, kTileLanes,
                           dp + panel * kTileLanes, kTileLanes, nullptr);
          }
          SoftmaxBackward(rows, keys, log_sums + i, deltas + i, scores, dp);
          MicroGemm<Vec>(width4, vecs, rows, grad_rows + i * width4, One(), width4, scores, kTileLanes,
                         dv_tiles + t * tile_size, kTileLanes, one);
          MicroGemm<Vec>(width4, vecs, rows, query_rows + i * width4, One(), width4, dp, kTileLanes,
                         dk_tiles + t * tile_size, kTileLanes, one);
          AddQueryGradient(rows, width, keys, dp, key_rows, dq_rows + i * width);
        }
      }
      for (int64_t i = 0; i < count; ++i)
        Sweep(0, d, [&](int64_t c, int w) SHOW1_INLINE {
          StoreSome(dq + at + i * stride + c, LoadSome(dq_rows + i * width + c, w) * scale, w);
        });
    }
    if (splits == 1)
      for (int64_t t = 0; t < tiles; ++t) finish(b, head, t, dk_tiles);
  };
  const int64_t cost = split_groups * std::min(lq, kBackwardGroup) * lk * (10 * d + 40) / kLanes;
  workers.For(batch * heads * splits, cost, [=](int64_t begin, int64_t end) {
    const size_t floats = kBackwardGroup * (2 * d + 2 * width4 + width + 2) + kTileLanes * (2 * d + width) +
                          2 * kBackwardRows * kTileLanes + (splits > 1 ? 0 : head_size) + 256;
    Scratch scratch(floats);
    float *memory = scratch.Take(floats);
    for (int64_t i = begin; i < end; ++i) task(i, memory);
  });
  if (splits == 1) return;
  workers.For(batch * heads * tiles, 4 * splits * tile_size, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      finish(i / tiles / heads, i / tiles % heads, i % tiles, all_sums + i / tiles * splits * head_size);
  });
}

}  // namespace show1
