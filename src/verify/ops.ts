/** Fixtures of kind `ops`: activations, embeddings, resampling, quantiles, and the conversions around the pixel stages. */
import { interpolationCondition, quantile, tensorToVideo, timestepEmbedding } from '../diffusion/index.js';
import { gelu, geluTanh, quickGelu, resizeBilinear, silu, type Tensor, tf } from '../engine/index.js';
import { InputError } from '../errors.js';
import { type Check, type CheckResult, type Fixture, type TensorValue, unconsumedBy } from './types.js';

const ACTIVATIONS: Record<string, (x: Tensor) => Tensor> = {
  gelu_erf: gelu,
  gelu_tanh: geluTanh,
  quick_gelu: quickGelu,
  silu,
};

type Inputs = (name: string) => Tensor;
type Rule = [pattern: RegExp, run: (match: RegExpMatchArray, read: Inputs) => Tensor];

/** What computes an `out.*` tensor, by its name. Videos are [B, C, F, H, W] in the file, [B, F, H, W, C] here. */
const RULES: Rule[] = [
  [/^out\.act\.(\w+)$/, ([, name], read) => activation(name!)(read('in.act'))],
  [/^out\.quantile\.(.+)$/, ([, q], read) => quantile(read('in.quantile'), Number(q))],
  [
    /^out\.timestep_embedding\.dim(\d+)_flip([01])_shift(.+)$/,
    ([, dim, flip, shift], read) =>
      timestepEmbedding(read('in.timesteps'), Number(dim), {
        flipSinToCos: flip === '1',
        downscaleFreqShift: Number(shift),
      }),
  ],
  [
    /^out\.\w*bilinear_x(\d+)$/,
    ([, factor], read) => {
      const video = toChannelsLast(read('in.video')); // [B, F, H, W, C]
      const [B, F, H, W, C] = video.shape as [number, number, number, number, number];
      const size: [number, number] = [H * Number(factor), W * Number(factor)];
      const resized = resizeBilinear(tf.reshape(video, [B * F, H, W, C]), size, { alignCorners: true });
      return toChannelsFirst(tf.reshape(resized, [B, F, ...size, C]));
    },
  ],
  [
    /^out\.interp_condition$/,
    (_, read) => {
      const video = toChannelsLast(read('in.video5')); // [B, F, H, W, C]
      const frames = video.shape[1]!;
      const frame = (i: number): Tensor => tf.squeeze(tf.slice(video, [0, i], [-1, 1]), [1]); // [B, H, W, C]
      return toChannelsFirst(interpolationCondition(frame(0), frame(frames - 1), frames));
    },
  ],
  [
    // The batch is laid out side by side: [F, H, B*W, C].
    /^out\.tensor2vid_uint8_fhwc$/,
    (_, read) => {
      const video = tensorToVideo(toChannelsLast(read('in.video')));
      const [B, F, H, W, C] = video.shape as [number, number, number, number, number];
      return tf.reshape(tf.transpose(video, [1, 2, 0, 3, 4]), [F, H, B * W, C]);
    },
  ],
];

/** Compares every `out.*` tensor; those with an unknown name are listed in `unconsumed`. */
export async function verifyOps(fixture: Pick<Fixture, 'io'>): Promise<CheckResult> {
  const checks: Check[] = [];
  for (const [name, expected] of fixture.io) {
    for (const [pattern, run] of RULES) {
      const match = name.match(pattern);
      if (match)
        checks.push({ name, expected, actual: await evaluate(() => run(match, input(fixture))), kind: 'output' });
    }
  }
  return { checks, unconsumed: unconsumedBy(checks, fixture) };
}

async function evaluate(run: () => Tensor): Promise<TensorValue> {
  const tensor = tf.tidy(run);
  const data = await tensor.data();
  tensor.dispose();
  return { shape: tensor.shape, data };
}

const input =
  (fixture: Pick<Fixture, 'io'>): Inputs =>
  name => {
    const value = fixture.io.get(name);
    if (value) return tf.tensor(Float32Array.from(value.data), [...value.shape]);
    throw new InputError(`io.safetensors holds no tensor "${name}", which a fixture of kind ops needs`, {
      code: 'verify.input-missing',
      name,
    });
  };

function activation(name: string): (x: Tensor) => Tensor {
  const run = ACTIVATIONS[name];
  if (run) return run;
  throw new InputError(`activation ${name} is not known; known: ${Object.keys(ACTIVATIONS).join(', ')}`, {
    code: 'verify.activation',
    value: name,
  });
}

const toChannelsLast = (x: Tensor): Tensor => tf.transpose(x, [0, 2, 3, 4, 1]);
const toChannelsFirst = (x: Tensor): Tensor => tf.transpose(x, [0, 4, 1, 2, 3]);
