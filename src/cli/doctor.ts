/** `show1 doctor`: what runs here and what is missing, with the remedy. Repairs nothing. */
import type { Argv } from 'yargs';
import type { DeviceRequest, Problem, RuntimeFacts } from '../engine/runtime.js';
import { formatBytes, note, print, printJson } from './output.js';

export const command = 'doctor';
export const describe = 'Show what training runs on here: TensorFlow, device, memory, ffmpeg';

export const builder = (yargs: Argv) =>
  yargs
    .option('device', {
      choices: ['auto', 'cpu', 'cuda'] as const,
      default: 'auto' as const,
      describe: 'Fail when this device is not there',
    })
    .option('json', { type: 'boolean', default: false, describe: 'Print one JSON document on stdout' });

interface Args {
  device: DeviceRequest;
  json: boolean;
}

interface Program {
  path: string;
  source: string;
  version: string;
}

/** Exit code 1 when something is missing. */
export async function handler({ device, json }: Args): Promise<void> {
  const { inspectRuntime } = await import('../engine/runtime.js');
  const facts = await inspectRuntime(device);
  const programs = await findPrograms(facts.problems);
  const report = { ok: facts.problems.length === 0, ...facts, ...programs };
  for (const line of describeFacts(facts, programs)) (json ? note : print)(line);
  if (json) printJson(report);
  if (!report.ok) process.exitCode = 1;
}

async function findPrograms(problems: Problem[]): Promise<{ ffmpeg?: Program; ffprobe?: Program }> {
  try {
    const { describePrograms } = await import('../data/ffmpeg-locate.js');
    return describePrograms();
  } catch (error) {
    problems.push({
      what: (error as Error).message,
      fix: 'npm install --include=optional, or install ffmpeg and set FFMPEG_PATH and FFPROBE_PATH',
    });
    return {};
  }
}

/** The report for a terminal. */
export function describeFacts(
  facts: RuntimeFacts,
  { ffmpeg, ffprobe }: { ffmpeg?: Program; ffprobe?: Program },
): string[] {
  const { platform, processor, memory, tensorflow, device, dtypes, convolution, problems } = facts;
  const rows: [string, string][] = [
    [
      'Node',
      `${facts.node.version} on ${platform.system} ${platform.arch}${platform.glibc ? `, glibc ${platform.glibc}` : ''}`,
    ],
    [
      'processor',
      `${processor.model}, ${processor.threads} threads, ${processor.features.join(' ') || 'features unknown'}`,
    ],
    [
      'memory',
      `${formatBytes(memory.limit)} (${memory.source}), ${formatBytes(memory.available)} available` +
        (memory.limit < memory.total ? `; the machine has ${formatBytes(memory.total)}` : ''),
    ],
    [
      'TensorFlow',
      tensorflow ? `${tensorflow.version} (${tensorflow.build} build) from ${tensorflow.detail}` : 'not ready',
    ],
    [
      'device',
      `${device.kind}: ${device.why}${device.names.length > 0 ? ` [${device.names.map(shortName).join(', ')}]` : ''}`,
    ],
    ...Object.entries(dtypes).map(([name, { ok, ms, error }]): [string, string] => [
      name,
      ok ? `512 x 512 matrix product right, ${ms} ms` : `not usable: ${error}`,
    ]),
    ['convolution', convolution.ok ? 'forward and both gradients are right' : `wrong: ${convolution.error}`],
    ['ffmpeg', ffmpeg ? `${ffmpeg.version}, ${ffmpeg.path} (${ffmpeg.source})` : 'missing'],
    ['ffprobe', ffprobe ? `${ffprobe.version}, ${ffprobe.path} (${ffprobe.source})` : 'missing'],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(([name, text]) => `${name.padEnd(width)}  ${text}`);
  if (problems.length === 0) return [...lines, '', 'ready'];
  return [...lines, '', ...problems.flatMap(({ what, fix }) => [`problem: ${what}`, `    fix: ${fix}`])];
}

/** `/job:localhost/replica:0/task:0/device:GPU:0` as `GPU:0`. */
const shortName = (name: string): string => name.replace(/^.*device:/, '');
