/**
 * `npm run quickstart`, after dependencies and TensorFlow are in place: dataset, training of the tiny base model, eight
 * prompts, and the measured share of samples that follow their prompt. With `--full`, all four stages instead (`full.ts`). Safe
 * to interrupt and to repeat.
 */
import path from 'node:path';
import { formatReport } from '../../experiments/prompt-following/check.js';
import { runPromptFollowing } from '../../experiments/prompt-following/run.js';
import { note, print } from '../../src/cli/output.js';
import { createProgress } from '../../src/cli/progress.js';
import { reportError } from '../../src/cli/run.js';
import { InputError } from '../../src/errors.js';
import { samplePrompts } from '../../src/infer/sample.js';
import { fullQuickstart } from './full.js';
import { makeShapes, PROMPTS, trainToEnd } from './steps.js';

const DATA = path.join('data', 'shapes');
const CONFIG = path.join('configs', 'tiny', 'base.yaml');
const CLIPS = 768;

function readArguments(args: string[]): { full: boolean } {
  const unknown = args.find(argument => argument !== '--full');
  if (unknown === undefined) return { full: args.includes('--full') };
  throw new InputError(`quickstart: unknown argument ${unknown}; allowed: --full (all four stages)`, {
    code: 'quickstart.argument',
  });
}

async function main(): Promise<void> {
  const began = performance.now();
  const minutes = () => ((performance.now() - began) / 60e3).toFixed(1);
  const { full } = readArguments(process.argv.slice(2));
  if (full) return fullQuickstart(minutes);

  note(`\n1. dataset: ${CLIPS} captioned mp4 clips of moving shapes`);
  await makeShapes(DATA, { clips: CLIPS });

  note('\n2. training the tiny base model');
  const set = [`data.heldOut.source=${path.join(DATA, 'heldout')}`, 'validate.heldOutEverySteps=200'];
  const run = await trainToEnd(CONFIG, set, 'npm run quickstart');

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

  next      npx show1 sample --model ${run} --prompt "a red circle moves up" --out out
            npm run quickstart -- --full     the whole cascade`);
}

main().catch(error => {
  process.exitCode = reportError(error, { json: false, verbose: process.env.SHOW1_DEBUG === '1' });
});
