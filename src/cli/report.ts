/** `show1 report RUN`. */
import type { ArgumentsCamelCase, Argv } from 'yargs';
import { withJson } from './options.js';
import { formatBytes, note, print, printJson } from './output.js';

export const command = 'report <run>';
export const describe = 'Write a self-contained HTML page of a run: curves, samples, metrics, config';

export function builder(yargs: Argv) {
  return withJson(yargs)
    .positional('run', { type: 'string', demandOption: true, describe: 'The run folder' })
    .option('out', {
      type: 'string',
      requiresArg: true,
      describe: 'The file to write; default report.html in the run folder',
    });
}

export async function handler(args: ArgumentsCamelCase<{ run: string; out?: string; json: boolean; quiet?: boolean }>) {
  const { writeReport } = await import('../report/index.js');
  const result = writeReport(args.run, args.out);
  if (args.json) return printJson(result);
  if (!args.quiet)
    note(
      `${result.step} steps, ${result.sampleSteps} validations, ${formatBytes(result.bytes)}; open it in a browser:`,
    );
  print(result.file);
}
