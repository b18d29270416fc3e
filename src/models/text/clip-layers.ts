/** The transformer that CLIP uses for texts and for images (transformers' `modeling_clip.py`), under its names. */
import { attention, gelu, geluTanh, linear, quickGelu, silu, type Tensor, tf } from '../../engine/index.js';
import { Block } from '../layers/block.js';
import { normal, zeros } from '../layers/initializers.js';
import { LayerNorm } from '../layers/layer-norm.js';
import type { ClipActivation, ClipEncoderConfig } from './clip-config.js';

const ACTIVATIONS: Record<ClipActivation, (x: Tensor) => Tensor> = {
  quick_gelu: quickGelu,
  gelu,
  gelu_python: gelu,
  gelu_new: geluTanh,
  gelu_fast: geluTanh,
  gelu_accurate: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  relu: x => tf.relu(x),
  silu,
  swish: silu,
};

/** An affine map drawn with a deviation of its own; its bias starts at zero. Parameters `weight`, `bias`. */
export class ClipLinear extends Block {
  private readonly weight;
  private readonly bias;

  constructor(inFeatures: number, outFeatures: number, deviation: number, { bias = true }: { bias?: boolean } = {}) {
    super();
    const shape = [outFeatures, inFeatures];
    this.weight = this.param('weight', shape, { layout: 'linear', init: normal(deviation) });
    this.bias = bias ? this.param('bias', [outFeatures], { init: zeros }) : null;
  }

  /** [..., in] -> [..., out] */
  override forward(x: Tensor): Tensor {
    return linear(x, this.weight.value(), this.bias?.value());
  }
}

/** Deviations of transformers' `_init_weights`: what is added to the residual path is drawn smaller in deeper models. */
const residualDeviation = ({ hiddenSize, numLayers, initializerFactor }: ClipEncoderConfig) =>
  initializerFactor * (hiddenSize * 2 * numLayers) ** -0.5;

/** Multi-head self-attention; every projection has a bias. */
class ClipAttention extends Block {
  private readonly k;
  private readonly v;
  private readonly q;
  private readonly out;

  constructor(private readonly config: ClipEncoderConfig) {
    super();
    const { hiddenSize: D, initializerFactor } = config;
    const inward = () => new ClipLinear(D, D, residualDeviation(config));
    this.k = this.child('k_proj', inward());
    this.v = this.child('v_proj', inward());
    this.q = this.child('q_proj', inward());
    this.out = this.child('out_proj', new ClipLinear(D, D, initializerFactor * D ** -0.5));
  }

  /** x [B, L, D], bias broadcastable to [B, heads, L, L] -> [B, L, D] */
  override forward(x: Tensor, bias: Tensor | null): Tensor {
    const [q, k, v] = [this.q.forward(x), this.k.forward(x), this.v.forward(x)];
    return this.out.forward(attention(q, k, v, { heads: this.config.numHeads, bias }));
  }
}

/** fc2 · act(fc1 x) */
class ClipMlp extends Block {
  private readonly fc1;
  private readonly fc2;
  private readonly act;

  constructor(config: ClipEncoderConfig) {
    super();
    const { hiddenSize: D, intermediateSize, activation, initializerFactor } = config;
    this.fc1 = this.child('fc1', new ClipLinear(D, intermediateSize, initializerFactor * (2 * D) ** -0.5));
    this.fc2 = this.child('fc2', new ClipLinear(intermediateSize, D, residualDeviation(config)));
    this.act = ACTIVATIONS[activation];
  }

  /** [..., D] -> [..., D] */
  override forward(x: Tensor): Tensor {
    return this.fc2.forward(this.act(this.fc1.forward(x)));
  }
}

/** x + attention(norm x), then x + mlp(norm x). */
class ClipEncoderLayer extends Block {
  private readonly attention;
  private readonly norm1;
  private readonly mlp;
  private readonly norm2;

  constructor(config: ClipEncoderConfig) {
    super();
    const { hiddenSize, layerNormEps } = config;
    this.attention = this.child('self_attn', new ClipAttention(config));
    this.norm1 = this.child('layer_norm1', new LayerNorm(hiddenSize, layerNormEps));
    this.mlp = this.child('mlp', new ClipMlp(config));
    this.norm2 = this.child('layer_norm2', new LayerNorm(hiddenSize, layerNormEps));
  }

  override forward(x: Tensor, bias: Tensor | null): Tensor {
    return tf.tidy(() => {
      const attended = x.add(this.attention.forward(this.norm1.forward(x), bias));
      return attended.add(this.mlp.forward(this.norm2.forward(attended)));
    });
  }
}

/** The layers one after another; the norms at either end are its owner's. Parameters `layers.*`. */
export class ClipEncoder extends Block {
  private readonly layers;

  constructor(config: ClipEncoderConfig) {
    super();
    const { numLayers } = config;
    const layers = Array.from({ length: numLayers }, () => new ClipEncoderLayer(config));
    this.layers = this.list('layers', layers);
  }

  /** x [B, L, D], bias broadcastable to [B, heads, L, L] -> [B, L, D] */
  override forward(x: Tensor, bias: Tensor | null = null): Tensor {
    return this.states(x, bias).at(-1)!;
  }

  /** `x` itself and what every layer makes of it, each [B, L, D]. */
  states(x: Tensor, bias: Tensor | null = null): Tensor[] {
    const states = [x];
    for (const layer of this.layers) states.push(layer.forward(states.at(-1)!, bias));
    return states;
  }
}
