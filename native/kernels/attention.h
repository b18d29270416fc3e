// Scaled dot-product attention without the matrix of scores (Dao et al. 2022, FlashAttention), on heads that lie side by
// side in the channels: q, out [b, lq, heads · d]; k, v [b, lk, heads · d].
#pragma once

#include "parallel.h"

namespace show1 {

struct AttentionShape {
  int64_t b;
  int64_t lq;
  int64_t lk;
  int64_t heads;
  int64_t d;
};

// out = softmax(scale · q kᵀ) v; log_sum [b, heads, lq] is the base-2 logarithm of the sum of 2^(scale · log2(e) · q k).
void AttentionForward(const Workers &workers, const AttentionShape &shape, float scale, const float *q, const float *k,
                      const float *v, float *out, float *log_sum);

void AttentionBackward(const Workers &workers, const AttentionShape &shape, float scale, const float *dout,
                       const float *q, const float *k, const float *v, const float *out, const float *log_sum,
                       float *dq, float *dk, float *dv);

}  // namespace show1
