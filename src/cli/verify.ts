/** `show1 verify DIR`: runs reference fixtures and says where the results differ. */
import type { Argv } from 'yargs';
import { withJson } from './options.js';
import { note, print, printJson, table } from './output.js';
import { createProgress } from './progress.js';

export const command = 'verify <dir>';
export const describe = 'Check the models against reference fixtures';

export const builder = (yargs: Argv) =>
  withJson(yargs)
    .positional('dir', { type: 'string', demandOption: true, describe: 'A fixture, or a folder of fixtures' })
    .option('only', { type: 'string', requiresArg: true, describe: 'Glob over names, e.g. "piece_*"' });

interface Args {
  dir: string;
  only?: string;
  json: boolean;
  quiet: boolean;
}

/** Exit code 1 when a fixture misses, 2 when there is nothing to check. */
export async function handler(args: Args): Promise<void> {
  const { REPORT_COLUMNS, reportNotes, reportRows, summarize, verify } = await import('../verify/index.js');
  let progress: ReturnType<typeof createProgress> | undefined;
  const onStart = (name: string, done: number, total: number) => {
    progress ??= createProgress({ label: 'verifying', total, quiet: args.quiet });
    progress.update(done, name);
  };
  let results: Awaited<ReturnType<typeof verify>>;
  try {
    results = await verify(args.dir, { only: args.only, onStart });
    progress?.update(results.length, '');
  } finally {
    progress?.stop();
  }
  const summary = summarize(results);
  const lines = [...table(REPORT_COLUMNS, reportRows(results)), '', ...reportNotes(results)];
  for (const line of lines) (args.json ? note : print)(line);
  if (args.json) printJson({ fixtures: results, ...summary });
  if (!summary.ok) process.exitCode = 1;
}
