/**
 * Do FVD and FID-vid rise with damage? With networks of random weights, so that nobody's checkpoint is needed:
 *   npx tsx experiments/metrics/run.ts [--clips 32] [--frame-clips 8] [--width 0.25] [--out experiments/metrics/result.json]
 * One set of clips against another of the same distribution: as it is, with noise, blurred, with its frames in another order.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Frames } from '../../src/data/frames.js';
import { addNoise, blur, shuffleFrames } from './corrupt.js';
import { type Measure, randomFid, randomFvd, shapeClips } from './measure.js';

const { values } = parseArgs({
  options: {
    /** In a set, for FVD. */
    clips: { type: 'string', default: '32' },
    /** In a set, for FID-vid, which takes all of their frames. */
    'frame-clips': { type: 'string', default: '8' },
    /** Of the networks, as a share of the published channels. */
    width: { type: 'string', default: '0.25' },
    seed: { type: 'string', default: '1' },
    out: { type: 'string' },
  },
});
const [WIDTH, SEED] = [Number(values.width), Number(values.seed)];
const [FRAMES, SIDE] = [16, 64];
const FEATURES = { fvd: 16, 'fid-vid': 32 };

const DAMAGE: Record<string, { strengths: number[]; apply(clip: Frames, strength: number, index: number): Frames }> = {
  noise: { strengths: [0.02, 0.05, 0.1, 0.2], apply: (clip, s, i) => addNoise(clip, s, SEED, i) },
  blur: { strengths: [0.5, 1, 2, 4], apply: (clip, s) => blur(clip, s) },
  shuffle: { strengths: [0.25, 0.5, 1], apply: (clip, s, i) => shuffleFrames(clip, s, SEED, i) },
};

interface Outcome {
  features: number;
  rows: number;
  /** Two sets of one distribution. */
  clean: number;
  /** By damage and strength. */
  damaged: Record<string, Record<string, number>>;
  seconds: number;
}

function outcome(measure: Measure, clips: number, features: number): Outcome {
  const began = performance.now();
  const [real, other] = [1, 2].map(k => shapeClips({ clips, frames: FRAMES, side: SIDE }, SEED + k)) as [
    Frames[],
    Frames[],
  ];
  const reference = measure.features(real);
  const against = (set: Frames[]): number => measure.distance(reference, measure.features(set));
  const clean = against(other);
  const damaged: Outcome['damaged'] = {};
  for (const [name, { strengths, apply }] of Object.entries(DAMAGE)) {
    damaged[name] = {};
    for (const strength of strengths) {
      damaged[name][strength] = against(other.map((clip, i) => apply(clip, strength, i)));
      console.error(`${name} ${strength}: ${damaged[name][strength].toPrecision(4)} (clean ${clean.toPrecision(4)})`);
    }
  }
  measure.dispose();
  return { features, rows: reference.n, clean, damaged, seconds: Math.round((performance.now() - began) / 1000) };
}

const network = (name: keyof typeof FEATURES) => ({ width: WIDTH, features: FEATURES[name], seed: SEED });
const result = {
  frames: FRAMES,
  side: SIDE,
  width: WIDTH,
  seed: SEED,
  fvd: outcome(randomFvd(network('fvd')), Number(values.clips), FEATURES.fvd),
  'fid-vid': outcome(randomFid(network('fid-vid')), Number(values['frame-clips']), FEATURES['fid-vid']),
};
const text = `${JSON.stringify(result, undefined, 2)}\n`;
if (values.out) writeFileSync(values.out, text);
else process.stdout.write(text);
