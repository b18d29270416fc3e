// Small matrix products on blocks that lie in the cache: c [rows, columns] += a [rows, depth] · b [depth, columns], where
// the elements of `a` are spread over a vector one by one, and `b` and `c` are read and written in whole vectors.
#pragma once

#include "transpose.h"

namespace show1 {

// Vectors of a tile side by side.
constexpr int kTileVecs = 3;
// Lanes of such a tile.
constexpr int kTileLanes = kTileVecs * kLanes;
#if defined(SHOW1_AVX512)
constexpr int kTileRows = 8;  // 24 accumulators of 32 registers
#else
constexpr int kTileRows = 4;  // 12 of 16
#endif

// One tile. Strides are in floats; `a_row` and `a_depth` may be compile-time constants. Starts from c · keep (lane by lane)
// if `keep` is given, else from zero.
template <class V, int rows, int vecs, class Row, class Depth>
inline void MicroTile(int64_t depth, const float *a, Row a_row, Depth a_depth, const float *b, int64_t b_depth,
                      float *c, int64_t c_row, const V *keep) {
  constexpr int lanes = sizeof(V) / sizeof(float);
  V sum[rows][vecs];
  const auto load = [](const float *p) SHOW1_INLINE {
    V v;
    memcpy(&v, p, sizeof v);
    return v;
  };
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 8
    for (int j = 0; j < vecs; ++j) sum[i][j] = keep ? load(c + i * c_row + j * lanes) * keep[j] : V{};
  for (int64_t t = 0; t < depth; ++t) {
    V right[vecs];
#pragma GCC unroll 8
    for (int j = 0; j < vecs; ++j) right[j] = load(b + t * b_depth + j * lanes);
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
      const V left = a[t * a_depth + i * a_row] - V{};  // a broadcast from memory
#pragma GCC unroll 8
      for (int j = 0; j < vecs; ++j) sum[i][j] += left * right[j];
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 8
    for (int j = 0; j < vecs; ++j) {
      const V v = sum[i][j];  // a copy: an array whose address is taken would live in memory
      memcpy(c + i * c_row + j * lanes, &v, sizeof v);
    }
}

// All rows (a multiple of 4) of one column of tiles.
template <class V, int vecs, class Row, class Depth>
void TileColumn(int64_t rows, int64_t depth, const float *a, Row a_row, Depth a_depth, const float *b, int64_t b_depth,
                float *c, int64_t c_row, const V *keep) {
  int64_t i = 0;
  for (; i + kTileRows <= rows; i += kTileRows)
    MicroTile<V, kTileRows, vecs>(depth, a + i * a_row, a_row, a_depth, b, b_depth, c + i * c_row, c_row, keep);
  for (; i < rows; i += 4)
    MicroTile<V, 4, vecs>(depth, a + i * a_row, a_row, a_depth, b, b_depth, c + i * c_row, c_row, keep);
}

// `vecs` vectors of columns, any number; `keep` holds one vector for each, or is null.
template <class V, class Row, class Depth>
void MicroGemm(int64_t rows, int64_t vecs, int64_t depth, const float *a, Row a_row, Depth a_depth, const float *b,
               int64_t b_depth, float *c, int64_t c_row, const V *keep) {
  constexpr int lanes = sizeof(V) / sizeof(float);
  while (vecs > 0) {
    const int step = static_cast<int>(vecs < kTileVecs ? vecs : vecs == 4 ? 2 : kTileVecs);
    const auto run = step == 3   ? TileColumn<V, 3, Row, Depth>
                     : step == 2 ? TileColumn<V, 2, Row, Depth>
                                 : TileColumn<V, 1, Row, Depth>;
    run(rows, depth, a, a_row, a_depth, b, b_depth, c, c_row, keep);
    b += step * lanes;
    c += step * lanes;
    if (keep) keep += step;
    vecs -= step;
  }
}

}  // namespace show1
