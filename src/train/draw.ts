/** What a training step draws at random on the host, as pure functions of (seed, micro-step). */
import type { Config } from '../config/schema.js';
import { PURPOSE, randomStream } from '../data/random.js';
import { sampleTimesteps, type TimestepSampling, timestepNoise } from '../diffusion/index.js';
import { rngKeyWords } from '../engine/index.js';

export interface StepDraw {
  /** [B] */
  timesteps: Int32Array;
  /** Captions with some replaced by the empty prompt. */
  captions: string[];
  noiseKey: [number, number];
  dropoutKey: [number, number];
}

/** The timestep distribution of a config; `max` defaults to all `trainTimesteps`. */
export function timestepSampling(config: Config['diffusion']['timesteps'], trainTimesteps: number): TimestepSampling {
  const { sampling, power, mean, std, shift, min, max = trainTimesteps } = config;
  const range = { min, max };
  switch (sampling) {
    case 'uniform':
      return { kind: 'uniform', ...range };
    case 'power':
      return { kind: 'power', power, ...range };
    case 'logit-normal':
      return { kind: 'logit-normal', mean, std, ...range };
    case 'shifted':
      return { kind: 'shifted', shift, ...range };
  }
}

/** @param microStep counts forward passes: step · accumulate + position */
export function drawStep(
  captions: string[],
  microStep: number,
  { seed, captionDropout, sampling }: { seed: number; captionDropout: number; sampling: TimestepSampling },
): StepDraw {
  const times = randomStream(seed, PURPOSE.timesteps, microStep);
  const normal = timestepNoise(sampling) === 'normal';
  const numbers = captions.map(() => (normal ? times.normal() : times.uniform()));
  const drops = randomStream(seed, PURPOSE.captionDropout, microStep);
  return {
    timesteps: sampleTimesteps(sampling, numbers),
    captions: captions.map(caption => (drops.uniform() < captionDropout ? '' : caption)),
    noiseKey: rngKeyWords(seed, microStep, 'training noise'),
    dropoutKey: rngKeyWords(seed, microStep, 'dropout'),
  };
}
