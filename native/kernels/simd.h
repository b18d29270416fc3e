// Vectors as wide as the machine's, through GCC's vector extension, with the few functions that the kernels need.
// Lanes never mix except in Sum, Max and the transpositions of transpose.h, so results do not depend on the width there.
// Accuracy, measured by test/engine/native-kernels.test.ts: Exp2 2e-7, Sigmoid 3e-7, the normal distribution 4e-7.
#pragma once

#include <cstdint>
#include <cstring>
#if defined(__AVX512F__) && defined(__AVX512DQ__)
#define SHOW1_AVX512 1
#include <immintrin.h>
#endif

// On lambdas that must melt into their loop.
#define SHOW1_INLINE __attribute__((always_inline))

namespace show1 {

#if defined(SHOW1_AVX512)
constexpr int kLanes = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Vec __attribute__((vector_size(kLanes * 4)));
typedef int32_t IntVec __attribute__((vector_size(kLanes * 4)));

constexpr float kLog2E = 1.44269504088896341f;
constexpr float kLn2 = 0.693147180559945309f;

inline Vec Load(const float *p) {
  Vec v;
  memcpy(&v, p, sizeof v);
  return v;
}

inline void Store(float *p, Vec v) { memcpy(p, &v, sizeof v); }

inline Vec Splat(float x) { return x - Vec{}; }  // x + 0 would be an addition: it turns -0 into 0

#if defined(SHOW1_AVX512)
inline __mmask16 FirstLanes(int n) { return static_cast<__mmask16>((1u << n) - 1); }
// The first n < kLanes elements; the other lanes are zero.
inline Vec LoadPart(const float *p, int n) { return (Vec)_mm512_maskz_loadu_ps(FirstLanes(n), p); }
inline void StorePart(float *p, Vec v, int n) { _mm512_mask_storeu_ps(p, FirstLanes(n), (__m512)v); }
#else
inline Vec LoadPart(const float *p, int n) {
  Vec v{};
  for (int i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
inline void StorePart(float *p, Vec v, int n) {
  for (int i = 0; i < n; ++i) p[i] = v[i];
}
#endif

// The first n <= kLanes elements.
inline Vec LoadSome(const float *p, int n) { return n == kLanes ? Load(p) : LoadPart(p, n); }
inline void StoreSome(float *p, Vec v, int n) {
  if (n == kLanes) return Store(p, v);
  StorePart(p, v, n);
}

// v with every lane from n on set to zero.
inline Vec KeepFirst(Vec v, int n) {
  float lanes[kLanes];
  Store(lanes, v);
  return LoadPart(lanes, n);
}

// Calls step(i, width) for [begin, end) in vectors; only the last is narrower than kLanes.
template <class Step>
inline SHOW1_INLINE void Sweep(int64_t begin, int64_t end, const Step &step) {
  int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) step(i, kLanes);
  if (i < end) step(i, static_cast<int>(end - i));
}

// a where mask else b. A comparison with NaN is false.
inline Vec Select(IntVec mask, Vec a, Vec b) { return mask ? a : b; }

// The larger; b where either is NaN (so that a running maximum Max(x, best) is decided by x = NaN staying out of it:
// scores that are NaN become NaN again in exp(score - maximum)).
inline Vec Max(Vec a, Vec b) { return a > b ? a : b; }

// The sum of all lanes, in one fixed order.
inline float Sum(Vec v) {
#if defined(SHOW1_AVX512)
  return _mm512_reduce_add_ps((__m512)v);
#else
  float lanes[kLanes];
  Store(lanes, v);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  return lanes[0];
#endif
}

// 2^x. Minimax polynomial of degree 6 for 2^r, |r| <= 1/2.
inline Vec Exp2(Vec x) {
#if defined(SHOW1_AVX512)
  constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  const Vec n = (Vec)_mm512_roundscale_ps((__m512)x, kNearest);
  const Vec r = (Vec)_mm512_reduce_ps((__m512)x, kNearest);  // x - n, and 0 at infinity
#else
  x = Select(x < -126.0f, Splat(-126.0f), x);
  x = Select(x > 127.0f, Splat(127.0f), x);
  const Vec shifted = x + 12582912.0f;  // 1.5 · 2^23: the integer part ends up in the lowest bits
  const Vec r = x - (shifted - 12582912.0f);
#endif
  Vec p = Splat(0.00015345812f);
  p = p * r + 0.0013399932f;
  p = p * r + 0.009618489f;
  p = p * r + 0.055503286f;
  p = p * r + 0.24022646f;
  p = p * r + 0.6931472f;
  p = p * r + 1.0f;
#if defined(SHOW1_AVX512)
  return (Vec)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
  return p * (Vec)((((IntVec)shifted) << 23) + 0x3F800000);  // a product, so that NaN stays NaN
#endif
}

inline Vec Sigmoid(Vec x) { return 1.0f / (1.0f + Exp2(x * -kLog2E)); }

// The standard normal distribution function and its density.
struct Normal {
  Vec cdf;
  Vec pdf;
};

// Φ(-z) = exp(-z²/2) M(z) for z >= 0, where M(z) = erfcx(z/√2)/2 is a minimax polynomial of degree 8 in 1/(1 + 0.4 z).
inline Normal NormalAt(Vec x) {
  const Vec e = Exp2(x * x * (-0.5f * kLog2E));
  const Vec z = Select(x < 0.0f, -x, x);
  const Vec t = 1.0f / (1.0f + 0.4f * z);
  Vec m = Splat(-0.03999976f);
  m = m * t + 0.20232257f;
  m = m * t - 0.3768066f;
  m = m * t + 0.25407332f;
  m = m * t - 0.014219565f;
  m = m * t + 0.1590763f;
  m = m * t + 0.15564607f;
  m = m * t + 0.15992036f;
  m = m * t - 1.2756836e-05f;
  const Vec tail = e * m;
  return {Select(x < 0.0f, tail, 1.0f - tail), e * 0.39894228f};
}

}  // namespace show1
