// Makes the kernels of this folder known to TensorFlow: op definitions with shape functions, and CPU kernels that check
// shapes, allocate outputs (in place of an input where TensorFlow finds that legal) and lend TensorFlow's own threads.
// The only file here that includes TensorFlow.
#include "attention.h"
#include "group_norm.h"
#include "layer_norm.h"
#include "pointwise.h"
#include "temporal_attention.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace show1 {
namespace {

using tensorflow::DEVICE_CPU;
using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;
using tensorflow::errors::InvalidArgument;
using tensorflow::shape_inference::InferenceContext;

// ---- op definitions ----

// Output i has the shape of input inputs[i].
template <int... inputs>
absl::Status Like(InferenceContext *c) {
  int output = 0;
  (c->set_output(output++, c->input(inputs)), ...);
  return absl::OkStatus();
}

#define SHOW1_ACTIVATION "activation: {'none', 'silu', 'gelu'}"

REGISTER_OP("Show1GroupNormAct")
    .Input("x: float")
    .Input("gamma: float")
    .Input("beta: float")
    .Output("y: float")
    .Output("mean: float")
    .Output("rstd: float")
    .Attr("groups: int >= 1")
    .Attr("epsilon: float")
    .Attr(SHOW1_ACTIVATION)
    .SetShapeFn([](InferenceContext *c) {
      tensorflow::shape_inference::ShapeHandle x;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 3, &x));
      int64_t groups;
      TF_RETURN_IF_ERROR(c->GetAttr("groups", &groups));
      c->set_output(0, x);
      for (int i : {1, 2}) c->set_output(i, c->MakeShape({c->Dim(x, 0), groups, 1}));
      return absl::OkStatus();
    });

REGISTER_OP("Show1GroupNormActGrad")
    .Input("dy: float")
    .Input("x: float")
    .Input("gamma: float")
    .Input("beta: float")
    .Input("mean: float")
    .Input("rstd: float")
    .Output("dx: float")
    .Output("dgamma: float")
    .Output("dbeta: float")
    .Attr(SHOW1_ACTIVATION)
    .SetShapeFn(Like<1, 2, 3>);

REGISTER_OP("Show1LayerNorm")
    .Input("x: float")
    .Input("gamma: float")
    .Input("beta: float")
    .Output("y: float")
    .Output("mean: float")
    .Output("rstd: float")
    .Attr("epsilon: float")
    .SetShapeFn([](InferenceContext *c) {
      tensorflow::shape_inference::ShapeHandle x;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 2, &x));
      c->set_output(0, x);
      for (int i : {1, 2}) c->set_output(i, c->MakeShape({c->Dim(x, 0), 1}));
      return absl::OkStatus();
    });

REGISTER_OP("Show1LayerNormGrad")
    .Input("dy: float")
    .Input("x: float")
    .Input("gamma: float")
    .Input("mean: float")
    .Input("rstd: float")
    .Output("dx: float")
    .Output("dgamma: float")
    .Output("dbeta: float")
    .SetShapeFn(Like<1, 2, 2>);

REGISTER_OP("Show1Activation").Input("x: float").Output("y: float").Attr(SHOW1_ACTIVATION).SetShapeFn(Like<0>);

REGISTER_OP("Show1ActivationGrad")
    .Input("dy: float")
    .Input("x: float")
    .Output("dx: float")
    .Attr(SHOW1_ACTIVATION)
    .SetShapeFn(Like<1>);

REGISTER_OP("Show1Geglu").Input("x: float").Output("y: float").SetShapeFn([](InferenceContext *c) {
  tensorflow::shape_inference::ShapeHandle x, y;
  TF_RETURN_IF_ERROR(c->WithRankAtLeast(c->input(0), 1, &x));
  tensorflow::shape_inference::DimensionHandle half;
  TF_RETURN_IF_ERROR(c->Divide(c->Dim(x, -1), 2, true, &half));
  TF_RETURN_IF_ERROR(c->ReplaceDim(x, -1, half, &y));
  c->set_output(0, y);
  return absl::OkStatus();
});

REGISTER_OP("Show1GegluGrad").Input("dy: float").Input("x: float").Output("dx: float").SetShapeFn(Like<1>);

REGISTER_OP("Show1Attention")
    .Input("q: float")
    .Input("k: float")
    .Input("v: float")
    .Output("out: float")
    .Output("log_sum: float")
    .Attr("heads: int >= 1")
    .Attr("scale: float")
    .SetShapeFn([](InferenceContext *c) {
      tensorflow::shape_inference::ShapeHandle q;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 3, &q));
      int64_t heads;
      TF_RETURN_IF_ERROR(c->GetAttr("heads", &heads));
      c->set_output(0, q);
      c->set_output(1, c->MakeShape({c->Dim(q, 0), heads, c->Dim(q, 1)}));
      return absl::OkStatus();
    });

REGISTER_OP("Show1AttentionGrad")
    .Input("dout: float")
    .Input("q: float")
    .Input("k: float")
    .Input("v: float")
    .Input("out: float")
    .Input("log_sum: float")
    .Output("dq: float")
    .Output("dk: float")
    .Output("dv: float")
    .Attr("heads: int >= 1")
    .Attr("scale: float")
    .SetShapeFn(Like<1, 2, 3>);

REGISTER_OP("Show1TemporalAttention")
    .Input("q: float")
    .Input("k: float")
    .Input("v: float")
    .Output("out: float")
    .Attr("heads: int >= 1")
    .Attr("scale: float")
    .SetShapeFn(Like<0>);

REGISTER_OP("Show1TemporalAttentionGrad")
    .Input("dout: float")
    .Input("q: float")
    .Input("k: float")
    .Input("v: float")
    .Output("dq: float")
    .Output("dk: float")
    .Output("dv: float")
    .Attr("heads: int >= 1")
    .Attr("scale: float")
    .SetShapeFn(Like<1, 2, 3>);

// ---- kernels ----

class TensorFlowWorkers : public Workers {
 public:
  explicit TensorFlowWorkers(OpKernelContext *context)
      : threads_(*context->device()->tensorflow_cpu_worker_threads()) {}
  void For(int64_t count, int64_t cost, const std::function<void(int64_t, int64_t)> &work) const override {
    if (count > 0) threads_.workers->ParallelFor(count, cost, work);
  }
  int Threads() const override { return threads_.num_threads; }

 private:
  const tensorflow::DeviceBase::CpuWorkerThreads &threads_;
};

Act ReadActivation(OpKernelConstruction *c) {
  std::string name;
  if (!c->HasAttr("activation") || !c->GetAttr("activation", &name).ok()) return Act::kNone;
  return name == "silu" ? Act::kSilu : name == "gelu" ? Act::kGelu : Act::kNone;
}

const float *In(OpKernelContext *c, int i) { return c->input(i).flat<float>().data(); }

// Allocates output `i`, in the place of input `reuse` if nobody else reads that.
#define SHOW1_OUTPUT(name, i, shape, ...)                                                            \
  Tensor *name##_tensor = nullptr;                                                                   \
  OP_REQUIRES_OK(c, c->forward_input_or_allocate_output({__VA_ARGS__}, i, shape, &name##_tensor)); \
  float *const name = name##_tensor->flat<float>().data()

#define SHOW1_SAME_SHAPE(a, b)                                                                      \
  OP_REQUIRES(c, c->input(a).shape() == c->input(b).shape(),                                       \
              InvalidArgument(name(), ": inputs ", a, " and ", b, " differ in shape: ",            \
                              c->input(a).shape().DebugString(), " and ", c->input(b).shape().DebugString()))

#define SHOW1_RANK(i, rank)                                                                      \
  OP_REQUIRES(c, c->input(i).dims() == rank,                                                    \
              InvalidArgument(name(), ": input ", i, " must have rank ", rank, ", its shape is ", \
                              c->input(i).shape().DebugString()))

class GroupNormOp : public OpKernel {
 public:
  explicit GroupNormOp(OpKernelConstruction *c) : OpKernel(c), act_(ReadActivation(c)) {
    OP_REQUIRES_OK(c, c->GetAttr("groups", &groups_));
    OP_REQUIRES_OK(c, c->GetAttr("epsilon", &epsilon_));
  }
  void Compute(OpKernelContext *c) override {
    SHOW1_RANK(0, 3);
    SHOW1_SAME_SHAPE(1, 2);
    const TensorShape &x = c->input(0).shape();
    const bool per_sample = c->input(1).dims() == 2;
    OP_REQUIRES(c, x.dim_size(2) % groups_ == 0 && c->input(1).NumElements() == (per_sample ? x.dim_size(0) : 1) * x.dim_size(2),
                InvalidArgument(name(), ": ", groups_, " groups and a weight of shape ", c->input(1).shape().DebugString(),
                                " do not fit an input of shape ", x.DebugString()));
    const TensorShape moments({x.dim_size(0), groups_, 1});
    SHOW1_OUTPUT(y, 0, x, 0);
    SHOW1_OUTPUT(mean, 1, moments);
    SHOW1_OUTPUT(rstd, 2, moments);
    if (x.num_elements() == 0) return;
    GroupNormForward(TensorFlowWorkers(c), {x.dim_size(0), x.dim_size(1), x.dim_size(2), groups_, per_sample}, act_,
                     epsilon_, In(c, 0), In(c, 1), In(c, 2), y, mean, rstd);
  }

 private:
  Act act_;
  int64_t groups_;
  float epsilon_;
};

class GroupNormGradOp : public OpKernel {
 public:
  explicit GroupNormGradOp(OpKernelConstruction *c) : OpKernel(c), act_(ReadActivation(c)) {}
  void Compute(OpKernelContext *c) override {
    SHOW1_RANK(1, 3);
    SHOW1_RANK(4, 3);
    SHOW1_SAME_SHAPE(0, 1);
    SHOW1_SAME_SHAPE(2, 3);
    SHOW1_SAME_SHAPE(4, 5);
    const TensorShape &x = c->input(1).shape();
    const TensorShape &gamma = c->input(2).shape();
    SHOW1_OUTPUT(dx, 0, x, 0);
    SHOW1_OUTPUT(dgamma, 1, gamma);
    SHOW1_OUTPUT(dbeta, 2, gamma);
    if (x.num_elements() == 0) return;
    GroupNormBackward(TensorFlowWorkers(c),
                      {x.dim_size(0), x.dim_size(1), x.dim_size(2), c->input(4).dim_size(1), gamma.dims() == 2}, act_,
                      In(c, 0), In(c, 1), In(c, 2), In(c, 3), In(c, 4), In(c, 5), dx, dgamma, dbeta);
  }

 private:
  Act act_;
};

class LayerNormOp : public OpKernel {
 public:
  explicit LayerNormOp(OpKernelConstruction *c) : OpKernel(c) {
    OP_REQUIRES_OK(c, c->GetAttr("epsilon", &epsilon_));
  }
  void Compute(OpKernelContext *c) override {
    SHOW1_RANK(0, 2);
    SHOW1_SAME_SHAPE(1, 2);
    const TensorShape &x = c->input(0).shape();
    OP_REQUIRES(c, c->input(1).NumElements() == x.dim_size(1),
                InvalidArgument(name(), ": the weight does not fit an input of shape ", x.DebugString()));
    const TensorShape moments({x.dim_size(0), 1});
    SHOW1_OUTPUT(y, 0, x, 0);
    SHOW1_OUTPUT(mean, 1, moments);
    SHOW1_OUTPUT(rstd, 2, moments);
    if (x.num_elements() == 0) return;
    LayerNormForward(TensorFlowWorkers(c), x.dim_size(0), x.dim_size(1), epsilon_, In(c, 0), In(c, 1), In(c, 2), y,
                     mean, rstd);
  }

 private:
  float epsilon_;
};

class LayerNormGradOp : public OpKernel {
 public:
  using OpKernel::OpKernel;
  void Compute(OpKernelContext *c) override {
    SHOW1_RANK(1, 2);
    SHOW1_SAME_SHAPE(0, 1);
    SHOW1_SAME_SHAPE(3, 4);
    const TensorShape &x = c->input(1).shape();
    SHOW1_OUTPUT(dx, 0, x, 0);
    SHOW1_OUTPUT(dgamma, 1, c->input(2).shape());
    SHOW1_OUTPUT(dbeta, 2, c->input(2).shape());
    if (x.num_elements() == 0) return;
    LayerNormBackward(TensorFlowWorkers(c), x.dim_size(0), x.dim_size(1), In(c, 0), In(c, 1), In(c, 2), In(c, 3),
                      In(c, 4), dx, dgamma, dbeta);
  }
};

class ActivationOp : public OpKernel {
 public:
  explicit ActivationOp(OpKernelConstruction *c) : OpKernel(c), act_(ReadActivation(c)) {}
  void Compute(OpKernelContext *c) override {
    SHOW1_OUTPUT(y, 0, c->input(0).shape(), 0);
    ActivationForward(TensorFlowWorkers(c), act_, c->input(0).NumElements(), In(c, 0), y);
  }

 private:
  Act act_;
};

class ActivationGradOp : public OpKernel {
 public:
  explicit ActivationGradOp(OpKernelConstruction *c) : OpKernel(c), act_(ReadActivation(c)) {}
  void Compute(OpKernelContext *c) override {
    SHOW1_SAME_SHAPE(0, 1);
    SHOW1_OUTPUT(dx, 0, c->input(0).shape(), 0);
    ActivationBackward(TensorFlowWorkers(c), act_, c->input(0).NumElements(), In(c, 0), In(c, 1), dx);
  }

 private:
  Act act_;
};

class GegluOp : public OpKernel {
 public:
  using OpKernel::OpKernel;
  void Compute(OpKernelContext *c) override {
    TensorShape y_shape = c->input(0).shape();
    const int last = y_shape.dims() - 1;
    OP_REQUIRES(c, last >= 0 && y_shape.dim_size(last) % 2 == 0,
                InvalidArgument(name(), ": the last axis of ", y_shape.DebugString(), " is not even"));
    const int64_t width = y_shape.dim_size(last) / 2;
    y_shape.set_dim(last, width);
    Tensor *y = nullptr;
    OP_REQUIRES_OK(c, c->allocate_output(0, y_shape, &y));
    if (y->NumElements() == 0) return;
    GegluForward(TensorFlowWorkers(c), y->NumElements() / width, width, In(c, 0), y->flat<float>().data());
  }
};

class GegluGradOp : public OpKernel {
 public:
  using OpKernel::OpKernel;
  void Compute(OpKernelContext *c) override {
    const TensorShape &x = c->input(1).shape();
    OP_REQUIRES(c, x.dims() > 0 && c->input(0).NumElements() * 2 == x.num_elements(),
                InvalidArgument(name(), ": a gradient of shape ", c->input(0).shape().DebugString(),
                                " does not fit an input of shape ", x.DebugString()));
    SHOW1_OUTPUT(dx, 0, x);
    if (x.num_elements() == 0) return;
    const int64_t width = x.dim_size(x.dims() - 1) / 2;
    GegluBackward(TensorFlowWorkers(c), c->input(0).NumElements() / width, width, In(c, 0), In(c, 1), dx);
  }
};

// What both attentions share: heads and scale.
class HeadsOp : public OpKernel {
 public:
  explicit HeadsOp(OpKernelConstruction *c) : OpKernel(c) {
    OP_REQUIRES_OK(c, c->GetAttr("heads", &heads_));
    OP_REQUIRES_OK(c, c->GetAttr("scale", &scale_));
  }

 protected:
  // Checks that input `i` has the given rank and channels that divide into the heads.
  bool Fits(OpKernelContext *c, int i, int rank) const {
    const TensorShape &x = c->input(i).shape();
    return x.dims() == rank && x.dim_size(rank - 1) > 0 && x.dim_size(rank - 1) % heads_ == 0;
  }
  int64_t heads_;
  float scale_;
};

#define SHOW1_HEADS(i, rank)                                                                           \
  OP_REQUIRES(c, Fits(c, i, rank),                                                                    \
              InvalidArgument(name(), ": input ", i, " of shape ", c->input(i).shape().DebugString(), \
                              " must have rank ", rank, " and channels that divide into ", heads_, " heads"))

class AttentionOp : public HeadsOp {
 public:
  using HeadsOp::HeadsOp;
  void Compute(OpKernelContext *c) override {
    SHOW1_HEADS(0, 3);
    SHOW1_HEADS(1, 3);
    SHOW1_SAME_SHAPE(1, 2);
    const TensorShape &q = c->input(0).shape(), &k = c->input(1).shape();
    OP_REQUIRES(c, q.dim_size(0) == k.dim_size(0) && q.dim_size(2) == k.dim_size(2) && k.dim_size(1) > 0,
                InvalidArgument(name(), ": queries of shape ", q.DebugString(), " do not fit keys of shape ", k.DebugString()));
    SHOW1_OUTPUT(out, 0, q);
    SHOW1_OUTPUT(log_sum, 1, TensorShape({q.dim_size(0), heads_, q.dim_size(1)}));
    AttentionForward(TensorFlowWorkers(c),
                     {q.dim_size(0), q.dim_size(1), k.dim_size(1), heads_, q.dim_size(2) / heads_}, scale_, In(c, 0),
                     In(c, 1), In(c, 2), out, log_sum);
  }
};

class AttentionGradOp : public HeadsOp {
 public:
  using HeadsOp::HeadsOp;
  void Compute(OpKernelContext *c) override {
    SHOW1_HEADS(1, 3);
    SHOW1_HEADS(2, 3);
    SHOW1_SAME_SHAPE(0, 1);
    SHOW1_SAME_SHAPE(2, 3);
    SHOW1_SAME_SHAPE(1, 4);
    const TensorShape &q = c->input(1).shape(), &k = c->input(2).shape();
    OP_REQUIRES(c, q.dim_size(0) == k.dim_size(0) && q.dim_size(2) == k.dim_size(2) &&
                       c->input(5).NumElements() == q.dim_size(0) * q.dim_size(1) * heads_,
                InvalidArgument(name(), ": queries of shape ", q.DebugString(), " do not fit keys of shape ", k.DebugString()));
    SHOW1_OUTPUT(dq, 0, q);
    SHOW1_OUTPUT(dk, 1, k);
    SHOW1_OUTPUT(dv, 2, k);
    AttentionBackward(TensorFlowWorkers(c),
                      {q.dim_size(0), q.dim_size(1), k.dim_size(1), heads_, q.dim_size(2) / heads_}, scale_, In(c, 0),
                      In(c, 1), In(c, 2), In(c, 3), In(c, 4), In(c, 5), dq, dk, dv);
  }
};

// q [B, F, S, heads · D]
TemporalShape ShapeOf(const TensorShape &q, int64_t heads) {
  return {q.dim_size(0), q.dim_size(1), q.dim_size(2) * heads, q.dim_size(3) / heads};
}

class TemporalAttentionOp : public HeadsOp {
 public:
  using HeadsOp::HeadsOp;
  void Compute(OpKernelContext *c) override {
    SHOW1_HEADS(0, 4);
    SHOW1_SAME_SHAPE(0, 1);
    SHOW1_SAME_SHAPE(0, 2);
    const TensorShape &q = c->input(0).shape();
    SHOW1_OUTPUT(out, 0, q);
    if (q.num_elements() == 0) return;
    TemporalAttentionForward(TensorFlowWorkers(c), ShapeOf(q, heads_), scale_, In(c, 0), In(c, 1), In(c, 2), out);
  }
};

class TemporalAttentionGradOp : public HeadsOp {
 public:
  using HeadsOp::HeadsOp;
  void Compute(OpKernelContext *c) override {
    SHOW1_HEADS(1, 4);
    for (int i : {0, 2, 3}) SHOW1_SAME_SHAPE(1, i);
    const TensorShape &q = c->input(1).shape();
    SHOW1_OUTPUT(dq, 0, q);
    SHOW1_OUTPUT(dk, 1, q);
    SHOW1_OUTPUT(dv, 2, q);
    if (q.num_elements() == 0) return;
    TemporalAttentionBackward(TensorFlowWorkers(c), ShapeOf(q, heads_), scale_, In(c, 0), In(c, 1), In(c, 2), In(c, 3),
                              dq, dk, dv);
  }
};

#define SHOW1_KERNEL(op, kernel) REGISTER_KERNEL_BUILDER(Name(op).Device(DEVICE_CPU), kernel)
SHOW1_KERNEL("Show1GroupNormAct", GroupNormOp);
SHOW1_KERNEL("Show1GroupNormActGrad", GroupNormGradOp);
SHOW1_KERNEL("Show1LayerNorm", LayerNormOp);
SHOW1_KERNEL("Show1LayerNormGrad", LayerNormGradOp);
SHOW1_KERNEL("Show1Activation", ActivationOp);
SHOW1_KERNEL("Show1ActivationGrad", ActivationGradOp);
SHOW1_KERNEL("Show1Geglu", GegluOp);
SHOW1_KERNEL("Show1GegluGrad", GegluGradOp);
SHOW1_KERNEL("Show1Attention", AttentionOp);
SHOW1_KERNEL("Show1AttentionGrad", AttentionGradOp);
SHOW1_KERNEL("Show1TemporalAttention", TemporalAttentionOp);
SHOW1_KERNEL("Show1TemporalAttentionGrad", TemporalAttentionGradOp);

}  // namespace
}  // namespace show1
