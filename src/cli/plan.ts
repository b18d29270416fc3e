/** `show1 plan CONFIG`: what training would cost. `show1 plan DIR`: what sampling from a model folder needs. */
import { statSync } from 'node:fs';
import type { Argv } from 'yargs';
import type { SamplingPlan } from '../infer/plan.js';
import type { StageName } from '../infer/stage-names.js';
import { configFrom, withConfig, withJson } from './options.js';
import { formatBytes, formatDuration, print, printJson, table } from './output.js';
import { createProgress } from './progress.js';

export const command = 'plan <config>';
export const describe = 'Say what training (of a config) or sampling (from a model or cascade folder) would need';

export const builder = (yargs: Argv) =>
  withJson(withConfig(yargs))
    .option('calibrate', {
      type: 'boolean',
      default: true,
      describe: 'Time a few steps on random input; --no-calibrate only counts',
    })
    .option('stages', { type: 'string', describe: 'Of a folder: stages to plan, comma-separated (default: all there)' })
    .option('batch', { type: 'number', default: 1, describe: 'Of a folder: videos denoised together' })
    .option('precision', { choices: ['fp32', 'bf16'] as const, default: 'fp32' as const, describe: 'Of a folder' });

interface Args {
  config: string;
  set: string[];
  calibrate: boolean;
  stages?: string;
  batch: number;
  precision: 'fp32' | 'bf16';
  json: boolean;
  quiet: boolean;
}

const count = (n: number): string => n.toLocaleString('en');

/** A folder, or `STAGE=DIR`. */
const isModel = (name: string): boolean =>
  statSync(name, { throwIfNoEntry: false })?.isDirectory() === true || /^[\w-]+=/.test(name);

async function planSamplingOf({ config, stages, batch, precision, json }: Args): Promise<void> {
  const { planFolders } = await import('../infer/plan.js');
  const wanted = stages?.split(',').map(stage => stage.trim()) as StageName[] | undefined;
  const plan = await planFolders({ models: [config], stages: wanted, batch, precision });
  if (json) return printJson(plan);
  for (const line of samplingTable(plan)) print(line);
  print();
  const { peakBytes, availableBytes, fits } = plan;
  print(
    `peak ${formatBytes(peakBytes)} in ${plan.precision}, one part after the other; ${formatBytes(availableBytes)} are free here: ${fits ? 'it fits' : 'it does not fit'}`,
  );
}

function samplingTable({ texts, stages }: SamplingPlan): string[] {
  const columns = ['parameters', 'weights', 'activations', 'peak'].map(title => ({ title, align: 'right' as const }));
  const rows = [
    ...texts.map(({ family, parameters, streamed, peakBytes }) => {
      const weights = streamed ? 'streamed' : formatBytes(4 * parameters);
      return [`text (${family})`, '', count(parameters), weights, '', formatBytes(peakBytes)];
    }),
    ...stages.map(({ name, sample, parameters, weightBytes, activationBytes, peakBytes }) => {
      const bytes = [weightBytes, activationBytes, peakBytes].map(formatBytes);
      return [name, `[${sample.join(', ')}]`, count(parameters), ...bytes];
    }),
  ];
  return table([{ title: 'part' }, { title: 'sample' }, ...columns], rows);
}

export async function handler(args: Args): Promise<void> {
  if (isModel(args.config)) return planSamplingOf(args);
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
  const { stepBytes, peakBytes } = result.predicted;
  print(`a step     ${formatBytes(stepBytes)} of activations and gradients at the most`);
  print(`peak       ${formatBytes(peakBytes)} in all (predicted)`);
  if (calibration) {
    print(`peak       ${formatBytes(calibration.peakBytes)} of this process, activations included (measured)`);
    print(
      `\n${calibration.secondsPerStep.toFixed(2)} s a step (the first ${calibration.firstStepSeconds.toFixed(1)} s); ${count(result.steps)} steps, ${count(result.clipsSeen)} clips: ${formatDuration(calibration.etaSeconds)}`,
    );
  } else {
    print(`\n${count(result.steps)} steps, ${count(result.clipsSeen)} clips`);
  }
}
