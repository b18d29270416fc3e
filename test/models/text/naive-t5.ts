/** A T5 encoder written out with loops in double precision, to compare the real one with. */
import { parseT5Config } from '../../../src/models/text/t5-config.js';
import type { WeightArray } from '../../../src/models/weights/source.js';

export type State = Record<string, { shape: number[]; data: WeightArray }>;
type Rows = number[][];

export const TINY_T5 = {
  model_type: 't5',
  vocab_size: 11,
  d_model: 12,
  d_kv: 5, // heads × d_kv is not d_model
  d_ff: 14,
  num_layers: 2,
  num_heads: 3,
  relative_attention_num_buckets: 8,
  relative_attention_max_distance: 12,
  layer_norm_epsilon: 1e-3,
  feed_forward_proj: 'gated-gelu',
};

const ACTIVATIONS: Record<string, (x: number) => number> = {
  relu: x => Math.max(0, x),
  silu: x => x / (1 + Math.exp(-x)),
  gelu_new: x => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
};

/** Bucket of key − query, from the description in the T5 paper's code. */
export function bucketOf(relative: number, buckets: number, maxDistance: number): number {
  const half = buckets / 2;
  const exact = half / 2;
  const distance = Math.abs(relative);
  const far = exact + Math.floor((Math.log(distance / exact) / Math.log(maxDistance / exact)) * (half - exact) + 1e-9);
  return (relative > 0 ? half : 0) + (distance < exact ? distance : Math.min(far, half - 1));
}

/** @returns last hidden states [L][dModel] of one text */
export function naiveT5(json: Record<string, unknown>, state: State, ids: number[], mask: number[]): Rows {
  const c = parseT5Config(json);
  const matrix = (name: string): Rows => {
    const { shape, data } = state[name]!;
    return Array.from({ length: shape[0]! }, (_, r) => Array.from(data.slice(r * shape[1]!, (r + 1) * shape[1]!)));
  };
  const dot = (a: number[], b: number[]) => a.reduce((sum, v, i) => sum + v * b[i]!, 0);
  const apply = (x: Rows, name: string): Rows => {
    const w = matrix(name);
    return x.map(row => w.map(out => dot(row, out)));
  };
  const norm = (x: Rows, name: string): Rows =>
    x.map(row => {
      const scale = 1 / Math.sqrt(dot(row, row) / row.length + c.layerNormEpsilon);
      return row.map((v, i) => v * scale * state[name]!.data[i]!);
    });
  const add = (a: Rows, b: Rows): Rows => a.map((row, r) => row.map((v, i) => v + b[r]![i]!));
  const biases = matrix('encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight');

  let hidden = ids.map(id => matrix('shared.weight')[id]!);
  for (let layer = 0; layer < c.numLayers; layer++) {
    const at = `encoder.block.${layer}.layer`;
    const x = norm(hidden, `${at}.0.layer_norm.weight`);
    const [q, k, v] = ['q', 'k', 'v'].map(m => apply(x, `${at}.0.SelfAttention.${m}.weight`)) as [Rows, Rows, Rows];
    const attended: Rows = ids.map(() => new Array(c.numHeads * c.dKv).fill(0));
    for (let head = 0; head < c.numHeads; head++) {
      const part = (row: number[]) => row.slice(head * c.dKv, (head + 1) * c.dKv);
      for (let i = 0; i < ids.length; i++) {
        const scores = ids.map((_, j) => {
          const bucket = bucketOf(j - i, c.relativeAttentionNumBuckets, c.relativeAttentionMaxDistance);
          return mask[j] ? Math.exp(dot(part(q[i]!), part(k[j]!)) + biases[bucket]![head]!) : 0;
        });
        const total = scores.reduce((a, b) => a + b, 0);
        for (let d = 0; d < c.dKv; d++) {
          attended[i]![head * c.dKv + d] = scores.reduce(
            (sum, s, j) => sum + (s / total) * v[j]![head * c.dKv + d]!,
            0,
          );
        }
      }
    }
    hidden = add(hidden, apply(attended, `${at}.0.SelfAttention.o.weight`));
    const y = norm(hidden, `${at}.1.layer_norm.weight`);
    const act = ACTIVATIONS[c.activation]!;
    const ff = `${at}.1.DenseReluDense`;
    const inner = apply(y, `${ff}.${c.gated ? 'wi_0' : 'wi'}.weight`).map(row => row.map(act));
    const up = c.gated ? apply(y, `${ff}.wi_1.weight`) : null;
    const product = up ? inner.map((row, r) => row.map((value, i) => value * up[r]![i]!)) : inner;
    hidden = add(hidden, apply(product, `${ff}.wo.weight`));
  }
  return norm(hidden, 'encoder.final_layer_norm.weight');
}
