/** `show1 eval compare A.json B.json`: whether two figures may stand side by side; exit code 0 either way. */
import { readFile } from 'node:fs/promises';
import type { Argv } from 'yargs';
import { InputError } from '../errors.js';
import { METRICS } from '../eval/metrics.js';
import type { EvaluationResult } from '../eval/protocol.js';
import { type ArgsOf, withJson } from './options.js';
import { formatNumber, print, printJson, table } from './output.js';

export function compareOptions(yargs: Argv) {
  return withJson(yargs)
    .positional('a', { type: 'string', demandOption: true, describe: 'A result that --out wrote' })
    .positional('b', { type: 'string', demandOption: true, describe: 'Another one' });
}

async function readResult(file: string): Promise<EvaluationResult> {
  try {
    const result = JSON.parse(await readFile(file, 'utf8')) as EvaluationResult;
    const { metric, value, protocol } = result ?? {};
    if (METRICS.includes(metric) && typeof value === 'number' && protocol?.sides !== undefined) return result;
  } catch (error) {
    throw new InputError(`${file} cannot be read: ${(error as Error).message}`, { code: 'eval.result', file });
  }
  throw new InputError(`${file} is no result of show1 eval: it has no "metric", "value" and "protocol"`, {
    code: 'eval.result',
    file,
  });
}

export async function compare(args: ArgsOf<typeof compareOptions>): Promise<void> {
  const { compareProtocols, isHarmless } = await import('../eval/protocol.js');
  const [a, b] = [await readResult(args.a), await readResult(args.b)];
  const all = compareProtocols(a.protocol, b.protocol);
  const differences = all.filter(one => !isHarmless(one));
  const comparable = differences.length === 0;
  if (args.json)
    return printJson({ a: a.value, b: b.value, comparable, differences, harmless: all.filter(isHarmless) });
  print(`${a.metric} ${formatNumber(a.value, 5)} and ${b.metric} ${formatNumber(b.value, 5)}`);
  if (comparable) return print('measured the same way: they compare');
  print('measured differently:');
  const text = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value)).slice(0, 40);
  const columns = ['field', args.a, args.b].map(title => ({ title }));
  const rows = differences.map(one => [one.field, text(one.a), text(one.b)]);
  for (const line of table(columns, rows)) print(`  ${line}`);
}
