// The activations and their derivatives on vectors, for every kernel that applies one.
#pragma once

#include "act.h"
#include "simd.h"

namespace show1 {

template <Act act>
inline Vec Activate(Vec x) {
  if (act == Act::kSilu) return x * Sigmoid(x);
  if (act == Act::kGelu) return x * NormalAt(x).cdf;
  return x;
}

// d Activate(x) / dx
template <Act act>
inline Vec Slope(Vec x) {
  if (act == Act::kSilu) {
    const Vec s = Sigmoid(x);
    return s + x * s * (1.0f - s);
  }
  if (act == Act::kGelu) {
    const Normal n = NormalAt(x);
    return n.cdf + x * n.pdf;
  }
  return Splat(1.0f);
}

}  // namespace show1
