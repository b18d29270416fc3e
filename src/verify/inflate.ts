/**
 * Fixtures of kind `inflate`: a 2D UNet's weights in a 3D UNet. Three outputs: with given temporal weights, with temporal
 * transformers cleared, and the 2D model frame by frame.
 */
import { join } from 'node:path';
import { type Tensor, tf } from '../engine/index.js';
import { InputError } from '../errors.js';
import { foldFrames } from '../models/layers/index.js';
import { inflateConfig, isTemporal, loadImageWeights, UNet3DConditionModel } from '../models/unet3d/index.js';
import type { JsonObject } from '../models/weights/pretrained.js';
import { openSafetensors } from '../models/weights/safetensors.js';
import type { Inputs } from './model-check.js';
import { hostValue, readTensor, toChannelsFirst, toChannelsLast } from './tensors.js';
import { type Check, type CheckResult, type Fixture, type TensorValue, unconsumedBy } from './types.js';
import { runUnet } from './unet.js';

const CASES: Record<string, (unet: UNet3DConditionModel, fixture: Fixture, inputs: Inputs) => Promise<Tensor>> = {
  'out.sample_3d_library_init': async (unet, { dir, weights }, inputs) => {
    await loadImageWeights(unet, weights!);
    const temporal = openSafetensors(join(dir, 'weights_temporal.safetensors'));
    try {
      await unet.loadStateDict(temporal, { mayMiss: name => !isTemporal(name) });
    } finally {
      temporal.close();
    }
    return tf.tidy(() => runUnet(unet, inputs));
  },
  'out.sample_3d_identity': async (unet, { weights }, inputs) => {
    await loadImageWeights(unet, weights!, { zeroInitTemporal: true });
    return tf.tidy(() => runUnet(unet, inputs));
  },
  // Each frame as a video of its own: nothing can pass between frames.
  'out.sample_2d_per_frame': async (unet, { weights }, inputs) => {
    await loadImageWeights(unet, weights!, { zeroInitTemporal: true });
    return tf.tidy(() => {
      const [B, F, H, W, C] = inputs.sample!.shape as [number, number, number, number, number];
      const perFrame = (x: Tensor) => tf.concat(tf.split(x, B).flatMap(part => Array<Tensor>(F).fill(part)));
      const { sample, ...shared } = inputs;
      const frames = Object.fromEntries(Object.entries(shared).map(([name, x]) => [name, perFrame(x)]));
      const out = runUnet(unet, { ...frames, sample: foldFrames(sample!).reshape([B * F, 1, H, W, C]) });
      return out.reshape([B, F, H, W, out.shape[4]!]);
    });
  },
};

/** @throws InputError when `_fixture.config_2d` is missing, or weights do not fit */
export async function verifyInflate(fixture: Fixture): Promise<CheckResult> {
  const { io, meta, name, weights } = fixture;
  const config2d = meta.config_2d as JsonObject | undefined;
  if (!config2d || !weights) {
    throw new InputError(`Fixture ${name} needs _fixture.config_2d and weights.safetensors.`, {
      code: 'verify.inflate',
      name,
    });
  }
  const checks: Check[] = [];
  for (const [output, run] of Object.entries(CASES)) {
    const expected = io.get(output);
    if (!expected) continue;
    const unet = new UNet3DConditionModel(inflateConfig(config2d), { family: 'show1', source: `fixture ${name}` });
    const names = [...io.keys()].filter(key => key.startsWith('in.'));
    const inputs: Inputs = tf.tidy(() =>
      Object.fromEntries(names.map(key => [key.slice('in.'.length), toChannelsLast(readTensor(io, key))])),
    );
    try {
      const sample = await run(unet, fixture, inputs);
      const actual = tf.tidy(() => hostValue(toChannelsFirst(sample)) as never) as TensorValue;
      sample.dispose();
      checks.push({ name: output, actual, expected, kind: 'output' });
    } finally {
      tf.dispose(inputs);
      unet.dispose();
    }
  }
  return { checks, unconsumed: unconsumedBy(checks, fixture) };
}
