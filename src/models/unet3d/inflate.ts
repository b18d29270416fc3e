/**
 * From an image model to a video model (Show-1's `from_pretrained_2d`): a 2D UNet's weights fill the spatial layers by
 * name, temporal layers start fresh. Fresh temporal convolutions are the identity, fresh temporal transformers are not
 * unless `zeroInitTemporal` clears their output projections.
 */
import { tf } from '../../engine/index.js';
import type { Model } from '../layers/model.js';
import { matchStateDict } from '../layers/state-dict.js';
import type { JsonObject } from '../weights/pretrained.js';
import type { WeightArray, WeightSource } from '../weights/source.js';
import type { TensorEntry } from '../weights/writer.js';

export interface InflateOptions {
  /** Seed of the temporal layers' first values (default 0). */
  seed?: number;
  /** Temporal transformers start as the identity, so that every frame begins as the image model's (default false). */
  zeroInitTemporal?: boolean;
  /** Prefer `<stem>.<variant>.safetensors`, as `fp16`. */
  variant?: string;
}

const TEMPORAL = /(^|\.)(temp_convs|temp_attentions|transformer_in)\./;
const TEMPORAL_OUTPUT = /(^|\.)(temp_attentions\.\d+|transformer_in)\.proj_out\./;

/** A parameter that only the video model has. */
export const isTemporal = (name: string): boolean => TEMPORAL.test(name);

/** The config of the video model: block names with 3D for 2D, all else as it is. */
export function inflateConfig(json: JsonObject): JsonObject {
  const rename = (name: unknown) => (typeof name === 'string' ? name.replace('2D', '3D') : name);
  const inflated: JsonObject = { ...json, _class_name: 'UNet3DConditionModel' };
  for (const key of ['down_block_types', 'up_block_types', 'mid_block_type']) {
    const value = json[key];
    if (value !== undefined) inflated[key] = Array.isArray(value) ? value.map(rename) : rename(value);
  }
  return inflated;
}

/**
 * Fills the spatial layers of a video model from an image model's weights and initialises the others.
 * @throws InputError when a spatial name is missing, a name is unexpected or a shape differs
 */
export async function loadImageWeights(
  model: Model,
  weights: WeightSource,
  { seed = 0, zeroInitTemporal = false }: InflateOptions = {},
): Promise<void> {
  const { missing } = await model.loadStateDict(weights, { mayMiss: isTemporal });
  const parameters = model.parameters();
  for (const name of missing) parameters.get(name)!.initialize(seed);
  if (zeroInitTemporal) clearTemporalOutputs(model);
}

/**
 * The weights of the video model one by one, the same as `loadImageWeights` gives, for a writer: the model itself stays
 * without memory, so one of any size can be inflated.
 * @param model built from the inflated config, without values
 * @throws InputError as `loadImageWeights`
 */
export function inflatedEntries(
  model: Model,
  weights: WeightSource,
  { seed = 0, zeroInitTemporal = false }: InflateOptions = {},
): (TensorEntry & { data: () => WeightArray | Promise<WeightArray> })[] {
  const parameters = model.parameters();
  const { tensorOf } = matchStateDict(parameters, weights, { mayMiss: isTemporal });
  return [...parameters].map(([name, parameter]) => {
    const tensor = tensorOf.get(name);
    const drawn = () => {
      if (zeroInitTemporal && TEMPORAL_OUTPUT.test(name)) return new Float32Array(parameter.size);
      parameter.initialize(seed);
      const values = parameter.toTorch();
      parameter.dispose();
      return values;
    };
    const data = tensor === undefined ? drawn : () => weights.read(tensor);
    return { name, shape: parameter.torchShape, data };
  });
}

/** Sets the output projections of all temporal transformers to zero, which makes them the identity. */
export function clearTemporalOutputs(model: Model): void {
  for (const [name, parameter] of model.parameters()) {
    if (TEMPORAL_OUTPUT.test(name)) tf.tidy(() => parameter.assign(tf.fill(parameter.shape, 0)));
  }
}
