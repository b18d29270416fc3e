// Transpositions between rows in memory and vectors: row r of the matrix becomes lane r of every vector.
#pragma once

#include <type_traits>

#include "simd.h"
#if defined(__AVX__)
#include <immintrin.h>
#endif

namespace show1 {

typedef float Quad __attribute__((vector_size(16)));
typedef double Pair __attribute__((vector_size(16)));

template <int n>
using Count = std::integral_constant<int, n>;

// The first n <= 4 elements, zeros behind; reads no further. Scalars instead of masked or partial copies, which are slow.
inline SHOW1_INLINE Quad LoadQuad(const float *p, int n) {
  if (n == 4) {
    Quad q;
    memcpy(&q, p, 16);
    return q;
  }
  if (n == 1) return Quad{p[0], 0, 0, 0};
  double first;
  memcpy(&first, p, 8);
  const Quad pair = (Quad)Pair{first, 0};
  return n == 2 ? pair : Quad{pair[0], pair[1], p[2], 0};
}

inline SHOW1_INLINE void StoreQuad(float *p, Quad q, int n) {
  if (n == 4) {
    memcpy(p, &q, 16);
    return;
  }
  const double first = ((Pair)q)[0];
  if (n >= 2) memcpy(p, &first, 8);
  if (n != 2) p[n - 1] = q[n - 1];
}

// Rows 0, 4, 8, ... of `rows`, four columns each (n of them read), side by side; missing rows are zero.
inline SHOW1_INLINE Vec StackQuads(const float *p, int64_t stride, int n, int rows) {
  const auto quad = [=](int r) SHOW1_INLINE { return r < rows ? LoadQuad(p + r * stride, n) : Quad{}; };
#if defined(SHOW1_AVX512)
  __m512 v = _mm512_castps128_ps512((__m128)quad(0));
  v = _mm512_insertf32x4(v, (__m128)quad(4), 1);
  v = _mm512_insertf32x4(v, (__m128)quad(8), 2);
  return (Vec)_mm512_insertf32x4(v, (__m128)quad(12), 3);
#elif defined(__AVX__)
  return (Vec)_mm256_insertf128_ps(_mm256_castps128_ps256((__m128)quad(0)), (__m128)quad(4), 1);
#else
  return (Vec)quad(0);
#endif
}

inline SHOW1_INLINE void UnstackQuads(float *p, int64_t stride, int n, int rows, Vec v) {
  const auto put = [=](int r, Quad q) SHOW1_INLINE {
    if (r < rows) StoreQuad(p + r * stride, q, n);
  };
#if defined(SHOW1_AVX512)
  put(0, (Quad)_mm512_castps512_ps128((__m512)v));
  put(4, (Quad)_mm512_extractf32x4_ps((__m512)v, 1));
  put(8, (Quad)_mm512_extractf32x4_ps((__m512)v, 2));
  put(12, (Quad)_mm512_extractf32x4_ps((__m512)v, 3));
#elif defined(__AVX__)
  put(0, (Quad)_mm256_castps256_ps128((__m256)v));
  put(4, (Quad)_mm256_extractf128_ps((__m256)v, 1));
#else
  put(0, (Quad)v);
#endif
}

// Transposes every 4 x 4 block that four vectors hold side by side.
inline SHOW1_INLINE void TransposeBlocks(Vec &a, Vec &b, Vec &c, Vec &d) {
#if defined(SHOW1_AVX512)
#define SHOW1_BLOCKS(B) {B(0), B(1), B(2), B(3)}
#elif defined(__AVX__)
#define SHOW1_BLOCKS(B) {B(0), B(1)}
#else
#define SHOW1_BLOCKS(B) {B(0)}
#endif
#define SHOW1_LOW(b) 4 * b, kLanes + 4 * b, 4 * b + 1, kLanes + 4 * b + 1
#define SHOW1_HIGH(b) 4 * b + 2, kLanes + 4 * b + 2, 4 * b + 3, kLanes + 4 * b + 3
#define SHOW1_LOW_PAIR(b) 4 * b, 4 * b + 1, kLanes + 4 * b, kLanes + 4 * b + 1
#define SHOW1_HIGH_PAIR(b) 4 * b + 2, 4 * b + 3, kLanes + 4 * b + 2, kLanes + 4 * b + 3
  constexpr IntVec low = SHOW1_BLOCKS(SHOW1_LOW), high = SHOW1_BLOCKS(SHOW1_HIGH);
  constexpr IntVec low_pair = SHOW1_BLOCKS(SHOW1_LOW_PAIR), high_pair = SHOW1_BLOCKS(SHOW1_HIGH_PAIR);
  const Vec ab0 = __builtin_shuffle(a, b, low), ab1 = __builtin_shuffle(a, b, high);
  const Vec cd0 = __builtin_shuffle(c, d, low), cd1 = __builtin_shuffle(c, d, high);
  a = __builtin_shuffle(ab0, cd0, low_pair);
  b = __builtin_shuffle(ab0, cd0, high_pair);
  c = __builtin_shuffle(ab1, cd1, low_pair);
  d = __builtin_shuffle(ab1, cd1, high_pair);
#undef SHOW1_BLOCKS
#undef SHOW1_LOW
#undef SHOW1_HIGH
#undef SHOW1_LOW_PAIR
#undef SHOW1_HIGH_PAIR
}

// out[j · step] = factor · (x[0][j], x[1][j], ...) for rows <= kLanes rows that lie `stride` apart; missing rows are zero.
inline void TransposeIn(const float *x, int64_t stride, int rows, int columns, float factor, Vec *out, int step = 1) {
  const auto body = [=](int count) SHOW1_INLINE {
    const auto block = [=](int j, auto n) SHOW1_INLINE {
      const float *p = x + j;
      Vec a = StackQuads(p, stride, n, count), b = StackQuads(p + stride, stride, n, count - 1);
      Vec c = StackQuads(p + 2 * stride, stride, n, count - 2), d = StackQuads(p + 3 * stride, stride, n, count - 3);
      TransposeBlocks(a, b, c, d);
      out[j * step] = a * factor;
      if (n > 1) out[(j + 1) * step] = b * factor;
      if (n > 2) out[(j + 2) * step] = c * factor;
      if (n > 3) out[(j + 3) * step] = d * factor;
    };
    int j = 0;
    for (; j + 4 <= columns; j += 4) block(j, Count<4>());
    if (columns - j == 3) block(j, Count<3>());
    if (columns - j == 2) block(j, Count<2>());
    if (columns - j == 1) block(j, Count<1>());
  };
  if (rows == kLanes) return body(kLanes);
  body(rows);
}

// The way back: x[r][j] = factor[r] · lane r of in[j · step].
inline void TransposeOut(const Vec *in, int rows, int columns, Vec factor, float *x, int64_t stride, int step = 1) {
  const auto body = [=](int count) SHOW1_INLINE {
    const auto block = [=](int j, auto n) SHOW1_INLINE {
      float *p = x + j;
      Vec a = in[j * step] * factor, b{}, c{}, d{};
      if (n > 1) b = in[(j + 1) * step] * factor;
      if (n > 2) c = in[(j + 2) * step] * factor;
      if (n > 3) d = in[(j + 3) * step] * factor;
      TransposeBlocks(a, b, c, d);
      UnstackQuads(p, stride, n, count, a);
      UnstackQuads(p + stride, stride, n, count - 1, b);
      UnstackQuads(p + 2 * stride, stride, n, count - 2, c);
      UnstackQuads(p + 3 * stride, stride, n, count - 3, d);
    };
    int j = 0;
    for (; j + 4 <= columns; j += 4) block(j, Count<4>());
    if (columns - j == 3) block(j, Count<3>());
    if (columns - j == 2) block(j, Count<2>());
    if (columns - j == 1) block(j, Count<1>());
  };
  if (rows == kLanes) return body(kLanes);
  body(rows);
}

}  // namespace show1
