/** Picks the scheduler class that a config names. */
import { DDIMScheduler } from './ddim.js';
import { DDPMScheduler } from './ddpm.js';
import { DPMSolverMultistepScheduler } from './dpm-solver.js';
import type { Scheduler } from './scheduler.js';
import { readSchedulerConfig, type SchedulerClassName, unknownClass } from './scheduler-file.js';

/** Any implemented sampler, where the class does not matter. */
export type AnyScheduler = Scheduler;

const CLASSES = { DDPMScheduler, DDIMScheduler, DPMSolverMultistepScheduler } satisfies Record<
  SchedulerClassName,
  unknown
>;

/** The scheduler of the config's `_class_name`. Throws `InputError` when that is absent or not implemented. */
export function schedulerFromConfig(config: Record<string, unknown>, source = 'scheduler config'): Scheduler {
  const name = config._class_name as SchedulerClassName;
  if (typeof name !== 'string' || !Object.hasOwn(CLASSES, name)) throw unknownClass(name, source);
  return new CLASSES[name](config);
}

/** The scheduler of `dir/scheduler_config.json` (`dir/subfolder/…` in a pipeline's folder). */
export async function loadScheduler(dir: string, { subfolder = '' } = {}): Promise<Scheduler> {
  return schedulerFromConfig(await readSchedulerConfig(dir, subfolder), dir);
}
