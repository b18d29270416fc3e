// Activations on whole tensors, one pass over memory each.
#pragma once

#include "act.h"
#include "parallel.h"

namespace show1 {

// y = act(x), n elements; y may be x.
void ActivationForward(const Workers &workers, Act act, int64_t n, const float *x, float *y);

// dx = dy · act'(x); dx may be dy.
void ActivationBackward(const Workers &workers, Act act, int64_t n, const float *dy, const float *x, float *dx);

// x [rows, 2 width] = value, gate -> y [rows, width] = value · gelu(gate)
void GegluForward(const Workers &workers, int64_t rows, int64_t width, const float *x, float *y);

// dy [rows, width], x [rows, 2 width] -> dx [rows, 2 width]
void GegluBackward(const Workers &workers, int64_t rows, int64_t width, const float *dy, const float *x, float *dx);

}  // namespace show1
