/**
 * `npm run quickstart -- --full`: trains all four stages of the tiny cascade on one dataset of 128 × 128 pixels, and makes eight
 * videos of 29 frames. What is trained already, by the plain quick start too, is used again.
 */
import path from 'node:path';
import { note, print } from '../../src/cli/output.js';
import { createProgress } from '../../src/cli/progress.js';
import { samplePrompts } from '../../src/infer/sample.js';
import { makeShapes, PROMPTS, trainToEnd } from './steps.js';

const DATA = path.join('data', 'shapes-128');
const STAGES = ['base', 'interp', 'sr1', 'sr2'] as const;
const COMMAND = 'npm run quickstart -- --full';

/** Keyframes of 8 a second are every 4th frame of 29 at 32 a second. */
const SHAPES = { clips: 768, width: 128, height: 128, frames: 29, fps: 32 };

export async function fullQuickstart(minutes: () => string): Promise<void> {
  note(`\n1. dataset: ${SHAPES.clips} captioned clips of 128 × 128 pixels`);
  await makeShapes(DATA, SHAPES);

  const runs: Record<string, string> = {};
  for (const [i, stage] of STAGES.entries()) {
    note(`\n${i + 2}. training the tiny ${stage} model`);
    const set = [
      `data.source=${path.join(DATA, 'train')}`,
      `data.heldOut.source=${path.join(DATA, 'heldout')}`,
      'validate.heldOutEverySteps=200',
    ];
    runs[stage] = await trainToEnd(path.join('configs', 'tiny', `${stage}.yaml`), set, COMMAND);
  }

  note(`\n${STAGES.length + 2}. eight prompts through the cascade`);
  const sampling = createProgress({ label: 'sampling', total: PROMPTS.length });
  const samples = await samplePrompts({
    model: STAGES.map(stage => `${stage}=${runs[stage]}`),
    stages: STAGES,
    prompts: PROMPTS,
    out: path.join('runs', 'cascade'),
    seed: 345,
    onProgress: (done, _, what) => sampling.update(done, what),
  });
  sampling.stop();
  print(`
done in ${minutes()} minutes.

  look at   ${samples.sheet}
  play      ${samples.samples[0]?.path}

  next      npx tsx experiments/cascade/run.ts --models runs --data ${DATA}`);
}
