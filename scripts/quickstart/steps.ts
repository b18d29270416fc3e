/** What both quick starts do: a dataset with a progress bar, a training that continues where it stopped. */
import { existsSync } from 'node:fs';
import { interruptSignal } from '../../src/cli/interrupt.js';
import { note } from '../../src/cli/output.js';
import { createProgress } from '../../src/cli/progress.js';
import { loadConfig } from '../../src/config/index.js';
import { type ShapesDataset, type ShapesOptions, writeShapes } from '../../src/data/shapes.js';
import { newestCheckpoint } from '../../src/train/checkpoint.js';
import { train } from '../../src/train/loop.js';

export const PROMPTS = [
  'a red square moves to the left',
  'a blue circle moves up',
  'a green circle moves to the right',
  'a yellow square moves down',
  'a blue square moves to the right',
  'a red circle moves down',
  'a yellow circle moves to the left',
  'a green square moves up',
];

/** Writes a dataset, or finds it in place. */
export async function makeShapes(folder: string, options: ShapesOptions): Promise<ShapesDataset> {
  const bar = createProgress({ label: 'clips', total: options.clips });
  const shapes = await writeShapes(folder, { ...options, onProgress: done => bar.update(done) });
  bar.stop();
  note(
    `${shapes.folder}: ${shapes.train.clips} to train on, ${shapes.heldout.clips} of ${shapes.heldout.combinations.length} held-out combinations${shapes.reused ? ' (was there already)' : ''}`,
  );
  return shapes;
}

/** Trains a config to its end, unless its run folder holds that already; returns the run folder. */
export async function trainToEnd(file: string, set: string[], command: string): Promise<string> {
  const { config } = loadConfig(file, { set });
  const run = config.output;
  const last = existsSync(run) ? await newestCheckpoint(run) : null;
  if (last && last.step >= config.train.steps) {
    note(`${run} is trained already`);
    return run;
  }
  const interrupt = interruptSignal(`saving a checkpoint; "${command}" continues from it`);
  try {
    await train(config, { resume: last !== null, signal: interrupt.signal });
  } finally {
    interrupt.release();
  }
  return run;
}
