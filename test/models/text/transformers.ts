/** Loads a folder with Python's transformers, where there is one, and runs the model there. */
import { spawnSync } from 'node:child_process';

/** A Python that has transformers and torch; SHOW1_TEST_PYTHON names one in a virtual environment. */
const python = process.env.SHOW1_TEST_PYTHON ?? 'python3';
export function hasTransformers(): boolean {
  const find = "import importlib.util as u; assert u.find_spec('transformers') and u.find_spec('torch')"; // importing is slow
  return spawnSync(python, ['-c', find]).status === 0;
}

const RUN = `
import json, sys, torch, transformers
job = json.load(sys.stdin)
model, info = getattr(transformers, job['class']).from_pretrained(job['dir'], output_loading_info=True)
inputs = {k: torch.tensor(v) for k, v in job['inputs'].items()}
with torch.no_grad():
  out = model.eval()(**inputs)
print(json.dumps({'config': model.config.to_dict(), 'outputs': {k: out[k].tolist() for k in job['outputs']},
  'problems': {k: sorted(map(str, info[k])) for k in ('missing_keys', 'unexpected_keys', 'mismatched_keys')}}, default=str))
`;

export interface TransformersRun {
  config: Record<string, any>;
  outputs: Record<string, any>;
  problems: Record<'missing_keys' | 'unexpected_keys' | 'mismatched_keys', string[]>;
}

/** @param inputs nested arrays by argument name  @param outputs names of what to return */
export function runTransformers(
  dir: string,
  className: string,
  inputs: Record<string, unknown>,
  outputs: string[],
): TransformersRun {
  const job = JSON.stringify({ dir, class: className, inputs, outputs });
  const { stdout, stderr, status } = spawnSync(python, ['-c', RUN], { input: job, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout.trim().split('\n').at(-1)!);
}
