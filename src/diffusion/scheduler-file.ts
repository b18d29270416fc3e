/** A scheduler's file on disk, and the classes that such a file may name. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { InputError } from '../errors.js';
import { parsePythonJson, stringifyPythonJson } from './python-json.js';

const CONFIG_FILE = 'scheduler_config.json';

export const SCHEDULER_CLASSES = ['DDPMScheduler', 'DDIMScheduler', 'DPMSolverMultistepScheduler'] as const;
export type SchedulerClassName = (typeof SCHEDULER_CLASSES)[number];

export function unknownClass(given: unknown, source: string): InputError {
  return new InputError(
    `${source}: the config is of class ${JSON.stringify(given)}; implemented: ${SCHEDULER_CLASSES.join(', ')}`,
    { code: 'diffusion.scheduler-class', value: given, allowed: SCHEDULER_CLASSES },
  );
}

/**
 * Reads `scheduler_config.json` from a folder (`subfolder` inside a pipeline's folder). Throws `InputError` when it is
 * missing or is not JSON.
 */
export async function readSchedulerConfig(dir: string, subfolder = ''): Promise<Record<string, unknown>> {
  const file = path.join(dir, subfolder, CONFIG_FILE);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new InputError(
      `${file} cannot be read (${(cause as Error).message}); give the folder that holds ${CONFIG_FILE}, e.g. a pipeline's scheduler/`,
      { code: 'diffusion.scheduler-file', file },
      cause,
    );
  }
  try {
    return parsePythonJson(text);
  } catch (cause) {
    throw new InputError(
      `${file} is not valid JSON: ${(cause as Error).message}`,
      { code: 'diffusion.scheduler-json', file },
      cause,
    );
  }
}

/** Writes `dir/scheduler_config.json`, making the folder. */
export async function writeSchedulerConfig(dir: string, config: Record<string, unknown>): Promise<void> {
  await mkdir(dir, { recursive: true });
  await writeFile(path.join(dir, CONFIG_FILE), `${stringifyPythonJson(config)}\n`);
}
