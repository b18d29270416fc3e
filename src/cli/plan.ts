/** `show1 plan CONFIG`: what training would cost. */
import type { Argv } from 'yargs';
import { configFrom, withConfig, withJson } from './options.js';
import { formatBytes, formatDuration, print, printJson, table } from './output.js';
import { createProgress } from './progress.js';

export const command = 'plan <config>';
export const describe = 'Say what training would cost: shapes, parameters, memory, time';

export const builder = (yargs: Argv) =>
  withJson(withConfig(yargs)).option('calibrate', {
    type: 'boolean',
    default: true,
    describe: 'Time a few steps on random input; --no-calibrate only counts',
  });

interface Args {
  config: string;
  set: string[];
  calibrate: boolean;
  json: boolean;
  quiet: boolean;
}

const count = (n: number): string => n.toLocaleString('en');

export async function handler(args: Args): Promise<void> {
  const { config } = await configFrom(args);
  const { plan } = await import('../train/plan.js');
  const progress = createProgress({ label: 'calibrating', quiet: args.quiet });
  const result = await plan(config, { calibrate: args.calibrate, onStep: done => progress.update(done) });
  progress.stop();
  if (args.json) return printJson(result);
  const { parameters, memory, calibration } = result;
  print(`stage ${result.stage}, batch [${result.batchShape.join(', ')}] (clips, frames, height, width, channels)\n`);
  const rows = Object.entries(parameters.byPart).map(([part, n]) => [part, count(n.total), count(n.trainable)]);
  rows.push(['all', count(parameters.total), count(parameters.trainable)]);
  for (const line of table(
    [{ title: 'part' }, { title: 'parameters', align: 'right' }, { title: 'trainable', align: 'right' }],
    rows,
  ))
    print(line);
  print();
  for (const [name, bytes] of Object.entries(memory)) print(`${name.padEnd(10)} ${formatBytes(bytes)}`);
  if (calibration) {
    print(`peak       ${formatBytes(calibration.peakBytes)} of this process, activations included (measured)`);
    print(
      `\n${calibration.secondsPerStep.toFixed(2)} s a step (the first ${calibration.firstStepSeconds.toFixed(1)} s); ${count(result.steps)} steps, ${count(result.clipsSeen)} clips: ${formatDuration(calibration.etaSeconds)}`,
    );
  } else {
    print(`\n${count(result.steps)} steps, ${count(result.clipsSeen)} clips`);
  }
}
