/**
 * Do samples of a trained tiny base model follow their prompts? Samples 32 prompts, half of them combinations that
 * training never showed, and checks the decoded mp4 files:
 *   npx tsx experiments/prompt-following/run.ts --model runs/tiny-base --data data/shapes [--prompts 32] [--out DIR]
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { InputError } from '../../src/errors.js';
import { type SampleResult, samplePrompts } from '../../src/infer/sample.js';
import { checkSamples, formatReport, type PromptFollowing } from './check.js';

export interface PromptFollowingOptions {
  model: string;
  /** A dataset of `show1 data shapes`; its split.json says which combinations were held out. */
  data: string;
  /** Where samples and result.json go. */
  out: string;
  /** Prompts in all, half of them held out. */
  prompts?: number;
  seed?: number;
  /** Default: the run's. */
  guidance?: number;
  onProgress?: (done: number, total: number, what: string) => void;
}

/** Spreads `count` picks evenly over a list, repeating it when it is shorter. */
const pick = (list: string[], count: number): string[] =>
  Array.from(
    { length: count },
    (_, i) => list[count <= list.length ? Math.floor((i * list.length) / count) : i % list.length]!,
  );

export async function runPromptFollowing(
  options: PromptFollowingOptions,
): Promise<PromptFollowing & { settings: SampleResult['settings'] }> {
  const { model, data, out, prompts = 32, seed = 1000, guidance, onProgress } = options;
  const file = join(data, 'split.json');
  const split = JSON.parse(
    await readFile(file, 'utf8').catch(() => {
      throw new InputError(`${file} is missing: give --data the folder that "show1 data shapes" wrote`, {
        code: 'samples.split',
        file,
      });
    }),
  ) as { train: string[]; heldout: string[] };
  const half = Math.floor(prompts / 2);
  const list = [
    ...pick(split.train, prompts - half).map(prompt => ({ prompt, heldOut: false })),
    ...pick(split.heldout, half).map(prompt => ({ prompt, heldOut: true })),
  ];
  const result = await samplePrompts({
    model,
    prompts: list.map(p => p.prompt),
    out,
    seed,
    guidance,
    batch: 8,
    onProgress,
  });
  const samples = list.map((entry, i) => ({
    ...entry,
    seed: seed + i,
    path: result.samples[i]!.path.slice(out.length + 1),
  }));
  await writeFile(join(out, 'samples.json'), `${JSON.stringify(samples, null, 2)}\n`);
  const checked = { model: result.model, settings: result.settings, ...(await checkSamples(out)) };
  await writeFile(join(out, 'result.json'), `${JSON.stringify(checked, null, 2)}\n`);
  return checked;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      model: { type: 'string' },
      data: { type: 'string' },
      prompts: { type: 'string' },
      out: { type: 'string' },
      seed: { type: 'string' },
      guidance: { type: 'string' },
    },
  });
  if (!values.model || !values.data)
    throw new InputError('usage: run.ts --model RUN --data SHAPES [--prompts 32] [--out DIR] [--seed N]', {
      code: 'samples.usage',
    });
  const result = await runPromptFollowing({
    model: values.model,
    data: values.data,
    out: values.out ?? join(values.model, 'prompt-following'),
    prompts: Number(values.prompts ?? 32),
    seed: Number(values.seed ?? 1000),
    guidance: values.guidance === undefined ? undefined : Number(values.guidance),
    onProgress: (done, total, what) => process.stderr.write(`\r${done.toFixed(1)}/${total} ${what}   `),
  });
  process.stdout.write(`\n${formatReport(result)}\n`);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  main().catch((error: Error & { exitCode?: number }) => {
    process.stderr.write(`error: ${error.message}\n`);
    process.exitCode = error.exitCode ?? 1;
  });
}
