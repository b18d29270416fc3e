// Layer normalisation (Ba et al. 2016) over the last axis of [rows, c].
#pragma once

#include "parallel.h"

namespace show1 {

// y = (x - mean) · rstd · gamma + beta; mean and rstd are [rows]; y may be x.
void LayerNormForward(const Workers &workers, int64_t rows, int64_t c, float eps, const float *x, const float *gamma,
                      const float *beta, float *y, float *mean, float *rstd);

// dgamma and dbeta are [c]; dx may be dy.
void LayerNormBackward(const Workers &workers, int64_t rows, int64_t c, const float *dy, const float *x,
                       const float *gamma, const float *mean, const float *rstd, float *dx, float *dgamma,
                       float *dbeta);

}  // namespace show1
