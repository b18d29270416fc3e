/**
 * `npm run quickstart`, after dependencies and TensorFlow are in place: dataset, training of the tiny base model, eight
 * prompts, and the measured share of samples that follow their prompt. Safe to interrupt and to repeat.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { formatReport } from '../../experiments/prompt-following/check.js';
import { runPromptFollowing } from '../../experiments/prompt-following/run.js';
import { interruptSignal } from '../../src/cli/interrupt.js';
import { note, print } from '../../src/cli/output.js';
import { createProgress } from '../../src/cli/progress.js';
import { reportError } from '../../src/cli/run.js';
import { loadConfig } from '../../src/config/index.js';
import { writeShapes } from '../../src/data/shapes.js';
import { samplePrompts } from '../../src/infer/sample.js';
import { newestCheckpoint } from '../../src/train/checkpoint.js';
import { train } from '../../src/train/loop.js';

const DATA = path.join('data', 'shapes');
const CONFIG = path.join('configs', 'tiny', 'base.yaml');
const CLIPS = 768;
const PROMPTS = [
  'a red square moves to the left',
  'a blue circle moves up',
  'a green circle moves to the right',
  'a yellow square moves down',
  'a blue square moves to the right',
  'a red circle moves down',
  'a yellow circle moves to the left',
  'a green square moves up',
];

async function main(): Promise<void> {
  const began = performance.now();
  const minutes = () => ((performance.now() - began) / 60e3).toFixed(1);

  note(`\n1. dataset: ${CLIPS} captioned mp4 clips of moving shapes`);
  const bar = createProgress({ label: 'clips', total: CLIPS });
  const shapes = await writeShapes(DATA, { clips: CLIPS, onProgress: done => bar.update(done) });
  bar.stop();
  note(
    `${shapes.folder}: ${shapes.train.clips} to train on, ${shapes.heldout.clips} of ${shapes.heldout.combinations.length} held-out combinations${shapes.reused ? ' (was there already)' : ''}`,
  );

  note('\n2. training the tiny base model');
  const { config } = loadConfig(CONFIG, {
    set: [`data.heldOut.source=${path.join(DATA, 'heldout')}`, 'validate.heldOutEverySteps=200'],
  });
  const run = config.output;
  const last = existsSync(run) ? await newestCheckpoint(run) : null;
  const interrupt = interruptSignal('saving a checkpoint; "npm run quickstart" continues from it');
  if (last?.step === config.train.steps) note(`${run} is trained already`);
  else await train(config, { resume: last !== null, signal: interrupt.signal });
  interrupt.release();

  note('\n3. eight prompts');
  const sampling = createProgress({ label: 'sampling', total: PROMPTS.length });
  const out = path.join(run, 'quickstart');
  const samples = await samplePrompts({
    model: run,
    prompts: PROMPTS,
    out,
    seed: 345,
    batch: 8,
    onProgress: (done, _, what) => sampling.update(done, what),
  });
  sampling.stop();

  note('\n4. do samples follow their prompts? 32 prompts, half of them combinations that training never showed');
  const checking = createProgress({ label: 'checking', total: 32 });
  const result = await runPromptFollowing({
    model: run,
    data: DATA,
    out: path.join(run, 'prompt-following'),
    onProgress: (done, _, what) => checking.update(done, what),
  });
  checking.stop();
  note(formatReport(result));

  const percent = (share: number) => `${Math.round(100 * share)} %`;
  print(`
done in ${minutes()} minutes.

  colour and direction right in ${percent(result.both)} of ${result.n} videos
    (combinations seen in training ${percent(result.byGroup.trained.both)}, never seen ${percent(result.byGroup.heldOut.both)})

  look at   ${samples.sheet}
  play      ${samples.samples[0]?.path}
  figures   ${path.join(run, 'prompt-following', 'result.json')}
  curves    npx show1 report ${run}

  next      npx show1 sample --model ${run} --prompt "a red circle moves up" --out out`);
}

main().catch(error => {
  process.exitCode = reportError(error, { json: false, verbose: process.env.SHOW1_DEBUG === '1' });
});
