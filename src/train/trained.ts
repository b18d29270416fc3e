/** What a run trains, with the rate and decay of each tensor. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { TrainConfig } from '../config/schema.js';
import type { UNet3DConditionModel } from '../models/unet3d/index.js';
import { assignGroups, describeGroup, type GroupSummary } from './groups.js';
import { type Selection, selectTrainable } from './masks.js';
import type { TrainableVariable } from './optimizer.js';

export interface Trained {
  selection: Selection;
  groups: GroupSummary[];
  /** In the model's order. */
  tensors: TrainableVariable[];
}

/** Applies `train.trainable`, `train.groups` and `train.weightDecayExclude`. @throws InputError for globs that match nothing */
export function chooseTrained(unet: UNet3DConditionModel, hyper: TrainConfig): Trained {
  const parameters = [...unet.parameters().values()];
  const selection = selectTrainable(
    parameters.map(p => ({ name: p.path, size: p.size })),
    hyper.trainable,
  );
  const chosen = new Set(selection.names);
  const trained = parameters.filter(p => chosen.has(p.path));
  const { hyper: own, groups } = assignGroups(
    trained.map(p => ({ name: p.path, shape: p.shape })),
    hyper,
  );
  const tensors = trained.map((p, i) => ({ name: p.path, variable: p.value(), ...own[i] }));
  return { selection, groups, tensors };
}

/** Prints what trains and stores it in the run's `trainable.json`. */
export async function recordTrained(
  run: string,
  { selection, groups }: Trained,
  total: number,
  print: (line: string) => void,
): Promise<void> {
  const record = groups.length > 0 ? { ...selection, groups } : selection;
  await writeFile(path.join(run, 'trainable.json'), `${JSON.stringify(record, null, 2)}\n`);
  const share = ((100 * selection.trainable) / selection.total).toFixed(1);
  const [some, all] = [selection.trainable, selection.total].map(count => count.toLocaleString('en'));
  print(`training ${selection.names.length} of ${total} tensors, ${some} of ${all} parameters (${share} %)`);
  for (const group of groups) print(describeGroup(group));
}
