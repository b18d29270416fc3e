// Group normalisation (Wu & He 2018) with an activation behind it, over [n, s, c] with channels last.
#pragma once

#include "act.h"
#include "parallel.h"

namespace show1 {

struct GroupNormShape {
  int64_t n;
  int64_t s;
  int64_t c;
  int64_t groups;
  bool per_sample;  // gamma and beta are [n, c] instead of [c]
};

// y = act((x - mean) · rstd · gamma + beta); mean and rstd are [n, groups]; y may be x.
void GroupNormForward(const Workers &workers, const GroupNormShape &shape, Act act, float eps, const float *x,
                      const float *gamma, const float *beta, float *y, float *mean, float *rstd);

// dgamma and dbeta have the shape of gamma and beta; dx may be dy.
void GroupNormBackward(const Workers &workers, const GroupNormShape &shape, Act act, const float *dy, const float *x,
                       const float *gamma, const float *beta, const float *mean, const float *rstd, float *dx,
                       float *dgamma, float *dbeta);

}  // namespace show1
