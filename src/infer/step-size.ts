/** Shapes of one denoising step of each stage for one video, and how many videos fit into memory together. */

import { readMemory } from '../engine/machine.js';
import { nativeBackend } from '../engine/raw.js';
import type { StepSize } from './denoise.js';
import type { StageName } from './stage-names.js';
import type { StageSettings } from './stage-settings.js';

/** Pixels a latent's side in Show-1's VAE, where the VAE itself is not asked. */
const LATENT_FACTOR = 8;

/**
 * One video (interp: one window) of a stage.
 * @param text shape of a prompt's embedding, [L, D]
 * @param latent sr2: the VAE's downsampling and channels
 */
export function stepSize(
  stage: StageName | 'firstFrame',
  { frames, height, width, windowFrames = frames, guidance }: StageSettings,
  text: [number, number],
  latent: { factor: number; channels: number } = { factor: LATENT_FACTOR, channels: 4 },
): StepSize {
  const common = { text, guided: guidance > 1 };
  const window = Math.min(frames, windowFrames);
  switch (stage) {
    case 'base':
      return { ...common, sample: [1, frames, height, width, 3] };
    case 'interp':
      return { ...common, sample: [1, windowFrames, height, width, 3], condition: [1, windowFrames, height, width, 4] };
    case 'sr1':
    case 'firstFrame': {
      const sample = [1, stage === 'sr1' ? window : 1, height, width, 3];
      return { ...common, sample, condition: sample, classLabels: [1] };
    }
    case 'sr2': {
      const { factor, channels } = latent;
      return { ...common, sample: [1, frames, Math.floor(height / factor), Math.floor(width / factor), channels] };
    }
  }
}

/** Share of the free memory that a step's activations may take. */
const MEMORY_SHARE = 0.7;
/** On a GPU, whose free memory TensorFlow does not tell: what a step's activations may take in all. */
const GPU_BYTES = 8 * 2 ** 30;

/** How many rows of `bytes` each can be denoised together; at least one. */
export function rowsThatFit(bytes: number): number {
  const room = nativeBackend().isUsingGpuDevice ? GPU_BYTES : MEMORY_SHARE * readMemory().available;
  return Math.max(1, Math.floor(room / Math.max(1, bytes)));
}
