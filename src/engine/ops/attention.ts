/**
 * Scaled dot-product attention. On the CPU it is one native kernel that never holds the scores. Composed from
 * TensorFlow's ops it never holds them whole above `ATTENTION_BUDGET_BYTES`: queries are processed in chunks, and the
 * backward pass recomputes the probabilities chunk by chunk from q, k and v (Rabe & Staats 2021, "Self-attention does not
 * need O(n²) memory"; backward as in Dao et al. 2022, FlashAttention, section B.4).
 */
import { defineOp } from '../define-op.js';
import { nativeKernels } from '../native-kernels.js';
import { boolAttr, floatAttr, intAttr, raw, rawMany, T } from '../raw.js';
import { type Tensor, tf } from '../tf.js';

/** Largest block of attention scores (float32, all heads of all batch entries) held at once: 256 MiB. */
export const ATTENTION_BUDGET_BYTES = 256 * 2 ** 20;

export interface AttentionOptions {
  heads: number;
  /** Factor on q·k (default: head size to the power -1/2). */
  scale?: number;
  /** Added to the scores; broadcastable to [B, heads, Lq, Lk] (T5's relative bias, masks as large negative numbers). */
  bias?: Tensor | null;
  /** Overrides `ATTENTION_BUDGET_BYTES`. */
  budgetBytes?: number;
}

interface Attrs {
  scale: number;
  /** Queries a chunk. */
  chunk: number;
}

type Qkv = 'q' | 'k' | 'v';

const bmm = (a: Tensor, b: Tensor, adjA = false, adjB = false) =>
  raw('BatchMatMulV2', [T(a), boolAttr('adj_x', adjA), boolAttr('adj_y', adjB)], [a, b]);

/** Rows [start, start+size) of axis 2 of a [B, H, L, D] tensor; axis of length 1 broadcasts and stays. */
function queryRows(x: Tensor, start: number, size: number): Tensor {
  const length = x.shape[2] as number;
  if (length === 1 || (start === 0 && size === length)) return x;
  return x.slice([0, 0, start, 0], [-1, -1, size, -1]);
}

function probabilities(q: Tensor, k: Tensor, bias: Tensor | null, scale: number): Tensor {
  let scores = bmm(q.mul(scale), k, false, true); // [B, H, rows, Lk]
  if (bias) scores = scores.add(bias);
  return raw('Softmax', [T(scores)], [scores]);
}

function chunks(length: number, chunk: number): [number, number][] {
  const out: [number, number][] = [];
  for (let start = 0; start < length; start += chunk) out.push([start, Math.min(chunk, length - start)]);
  return out;
}

const join = (parts: Tensor[], axis: number) => (parts.length === 1 ? parts[0]! : tf.concat(parts, axis));
const total = (parts: Tensor[]) => (parts.length === 1 ? parts[0]! : tf.addN(parts));

function forward(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | null, { scale, chunk }: Attrs): Tensor {
  const parts = chunks(q.shape[2] as number, chunk).map(([start, size]) =>
    tf.tidy(() => bmm(probabilities(queryRows(q, start, size), k, bias && queryRows(bias, start, size), scale), v)),
  );
  return join(parts, 2); // [B, H, Lq, D]
}

/** All gradients in one sweep over the chunks: [dq, dk, dv, dScores?]. */
function backward(
  dy: Tensor,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  out: Tensor,
  bias: Tensor | null,
  { scale, chunk }: Attrs,
) {
  const parts = chunks(q.shape[2] as number, chunk).map(([start, size]) =>
    tf.tidy(() => {
      const [qc, dyc, oc] = [q, dy, out].map(x => queryRows(x, start, size)) as [Tensor, Tensor, Tensor];
      const p = probabilities(qc, k, bias && queryRows(bias, start, size), scale); // [B, H, rows, Lk]
      const dp = bmm(dyc, v, false, true);
      const ds = p.mul(dp.sub(dyc.mul(oc).sum(3, true))); // softmax backward: P ∘ (dP − rowsum(dO ∘ O))
      return [bmm(ds, k).mul(scale), bmm(ds, qc.mul(scale), true), bmm(p, dyc, true), ds] as [
        Tensor,
        Tensor,
        Tensor,
        Tensor,
      ];
    }),
  );
  const nth = (i: 0 | 1 | 2 | 3) => parts.map(part => part[i]);
  return { q: () => join(nth(0), 2), k: () => total(nth(1)), v: () => total(nth(2)), scores: () => join(nth(3), 2) };
}

const plain = defineOp<Qkv, Attrs>({
  name: 'Show1Attention',
  inputs: ['q', 'k', 'v'],
  extraOutputs: 1,
  forward: ({ q, k, v }, attrs) => {
    const out = forward(q, k, v, null, attrs);
    return [out, out.clone()];
  },
  backward: (dy, { q, k, v }, [out], attrs) => {
    const grads = backward(dy, q, k, v, out!, null, attrs);
    return { q: grads.q, k: grads.k, v: grads.v };
  },
});

const biased = defineOp<Qkv | 'bias', Attrs>({
  name: 'Show1BiasedAttention',
  inputs: ['q', 'k', 'v', 'bias'],
  extraOutputs: 1,
  forward: ({ q, k, v, bias }, attrs) => {
    const out = forward(q, k, v, bias, attrs);
    return [out, out.clone()];
  },
  backward: (dy, { q, k, v, bias }, [out], attrs) => {
    const grads = backward(dy, q, k, v, out!, bias, attrs);
    return {
      q: grads.q,
      k: grads.k,
      v: grads.v,
      bias: () => {
        const broadcast = bias.shape.flatMap((size, axis) => (size === 1 ? [axis] : []));
        const ds = grads.scores();
        return broadcast.length ? ds.sum(broadcast, true) : ds;
      },
    };
  },
});

interface NativeAttrs {
  heads: number;
  scale: number;
}

const nativeAttrs = ({ heads, scale }: NativeAttrs) => [intAttr('heads', heads), floatAttr('scale', scale)];
const byName = ([q, k, v]: Tensor[]) => ({ q: () => q!, k: () => k!, v: () => v! });

/** q [B, Lq, H·D], k and v [B, Lk, H·D]; keeps the output and one number a query and head. */
const native = defineOp<Qkv, NativeAttrs>({
  name: 'Show1NativeAttention',
  inputs: ['q', 'k', 'v'],
  extraOutputs: 2,
  forward: ({ q, k, v }, attrs) => {
    const [out, logSum] = rawMany('Show1Attention', nativeAttrs(attrs), [q, k, v], 2);
    return [out!, out!.clone(), logSum!];
  },
  backward: (dy, { q, k, v }, [out, logSum], attrs) =>
    byName(rawMany('Show1AttentionGrad', nativeAttrs(attrs), [dy, q, k, v, out!, logSum!], 3)),
});

/** q, k, v [B, F, S, H·D]; keeps nothing. */
const nativeTemporal = defineOp<Qkv, NativeAttrs>({
  name: 'Show1NativeTemporalAttention',
  inputs: ['q', 'k', 'v'],
  forward: ({ q, k, v }, attrs) => [raw('Show1TemporalAttention', nativeAttrs(attrs), [q, k, v])],
  backward: (dy, { q, k, v }, _, attrs) =>
    byName(rawMany('Show1TemporalAttentionGrad', nativeAttrs(attrs), [dy, q, k, v], 3)),
});

/** Frames up to which the native kernel, whose work space grows with frames · head size, is the faster one. */
const NATIVE_FRAMES = 64;

/** [B, L, H·D] -> [B, H, L, D] */
const splitHeads = (x: Tensor, heads: number) => {
  const [B, L, C] = x.shape as [number, number, number];
  return x.reshape([B, L, heads, C / heads]).transpose([0, 2, 1, 3]);
};

function checkHeads(x: Tensor, heads: number, what: string): number {
  const channels = x.shape.at(-1) as number;
  if (channels % heads !== 0) throw new Error(`${what}: ${channels} channels do not divide into ${heads} heads`);
  return channels / heads;
}

/** Core on split heads: q [B, H, Lq, D], k and v [B, H, Lk, D] -> [B, H, Lq, D]. */
function attend(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  { scale, bias, budgetBytes = ATTENTION_BUDGET_BYTES }: AttentionOptions,
) {
  const [B, H, Lq, D] = q.shape as [number, number, number, number];
  const bytesPerQuery = B * H * (k.shape[2] as number) * 4;
  const chunk = Math.max(1, Math.min(Lq, Math.floor(budgetBytes / bytesPerQuery)));
  const attrs = { scale: scale ?? D ** -0.5, chunk };
  return bias ? biased({ q, k, v, bias }, attrs) : plain({ q, k, v }, attrs);
}

/**
 * @param q [B, Lq, heads·D]
 * @param k [B, Lk, heads·D]
 * @param v [B, Lk, heads·D]
 * @returns [B, Lq, heads·D]
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
  const { heads, bias, scale } = options;
  const D = checkHeads(q, heads, 'attention');
  if (nativeKernels() && !bias) return native({ q, k, v }, { heads, scale: scale ?? D ** -0.5 });
  const out = attend(splitHeads(q, heads), splitHeads(k, heads), splitHeads(v, heads), options); // [B, H, Lq, D]
  return out.transpose([0, 2, 1, 3]).reshape(q.shape);
}

/**
 * Self-attention over the frames of every pixel: no position encoding, no mask.
 * @param q [B, F, S, heads·D]; k and v alike
 * @returns [B, F, S, heads·D]
 */
export function temporalAttention(q: Tensor, k: Tensor, v: Tensor, options: Omit<AttentionOptions, 'bias'>): Tensor {
  const { heads } = options;
  const D = checkHeads(q, heads, 'temporalAttention');
  const [B, F, S] = q.shape as [number, number, number, number];
  if (nativeKernels() && F <= NATIVE_FRAMES) {
    return nativeTemporal({ q, k, v }, { heads, scale: options.scale ?? D ** -0.5 });
  }
  const split = (x: Tensor) => x.reshape([B, F, S * heads, D]).transpose([0, 2, 1, 3]); // [B, S·H, F, D]
  const out = attend(split(q), split(k), split(v), options);
  return out.transpose([0, 2, 1, 3]).reshape(q.shape);
}
