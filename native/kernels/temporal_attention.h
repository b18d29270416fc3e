// Attention over the frames of every pixel and head: q, k, v [b, f, items, d] where items = pixels · heads.
#pragma once

#include "parallel.h"

namespace show1 {

struct TemporalShape {
  int64_t b;
  int64_t f;
  int64_t items;
  int64_t d;
};

// out = softmax(scale · q kᵀ) v over f.
void TemporalAttentionForward(const Workers &workers, const TemporalShape &shape, float scale, const float *q,
                              const float *k, const float *v, float *out);

// The probabilities are computed again; dq, dk, dv have the shape of q.
void TemporalAttentionBackward(const Workers &workers, const TemporalShape &shape, float scale, const float *dout,
                               const float *q, const float *k, const float *v, float *dq, float *dk, float *dv);

}  // namespace show1
