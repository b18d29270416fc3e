/**
 * Checkpoints that survive a kill at any moment: written to a temporary folder, synced, renamed. Weights and moments are
 * float32 and come back bit for bit. Layout: `checkpoints/step-N/{unet/, ema/, optimizer.safetensors, state.json}` and
 * the links `checkpoints/last` and, of the lowest held-out loss, `checkpoints/best`.
 */
import { existsSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { InputError } from '../errors.js';

/** What a checkpoint says about itself, `state.json`. */
export interface CheckpointState {
  /** Optimizer updates done. */
  step: number;
  stage: string;
  seed: number;
  /** Names of the trained parameters. */
  trainable: string[];
  /** Held-out loss of these weights, if it was measured at this step. */
  heldOutLoss?: number;
  /** Lowest held-out loss so far, if one was measured. */
  bestHeldOutLoss?: number;
  version: string;
}

const NAME = /^step-(\d+)$/;

export const checkpointsDir = (run: string): string => path.join(run, 'checkpoints');

/** The complete checkpoints of a run, oldest first. Interrupted ones have another name and do not appear. */
export async function listCheckpoints(run: string): Promise<{ step: number; dir: string }[]> {
  const root = checkpointsDir(run);
  if (!existsSync(root)) return [];
  const found = (await readdir(root)).flatMap(name => {
    const match = NAME.exec(name);
    return match ? [{ step: Number(match[1]), dir: path.join(root, name) }] : [];
  });
  return found.sort((a, b) => a.step - b.step);
}

/** Which checkpoints stay: the newest, and those of the lowest held-out losses. */
export interface Rotation {
  keepLast: number;
  keepBest: number;
}

/**
 * Writes a checkpoint: `write` fills an empty folder, which then takes its final name. What the rotation does not keep is
 * removed afterwards, so there is a complete one at any time.
 */
export async function saveCheckpoint(
  run: string,
  state: CheckpointState,
  rotation: Rotation,
  write: (dir: string) => Promise<void>,
): Promise<string> {
  const root = checkpointsDir(run);
  await mkdir(root, { recursive: true });
  await removeLeftovers(root);
  const final = path.join(root, `step-${state.step}`);
  const temporary = path.join(root, `.writing-step-${state.step}-${process.pid}`);
  await mkdir(temporary);
  await write(temporary);
  await writeFile(path.join(temporary, 'state.json'), `${JSON.stringify(state, null, 2)}\n`);
  await syncTree(temporary);
  await remove(final);
  await rename(temporary, final);
  await link(root, 'last', `step-${state.step}`);
  await sync(root);
  await rotate(run, rotation);
  return final;
}

/** Removes what the rotation does not keep; the newest always stays. */
async function rotate(run: string, { keepLast, keepBest }: Rotation): Promise<void> {
  const all = await listCheckpoints(run);
  const keep = new Set(all.slice(-keepLast).map(({ dir }) => dir));
  if (keepBest > 0) {
    const losses = await Promise.all(all.map(async ({ dir }) => ({ dir, ...(await readCheckpointState(dir)) })));
    const ranked = losses.filter(({ heldOutLoss }) => heldOutLoss !== undefined);
    ranked.sort((a, b) => a.heldOutLoss! - b.heldOutLoss!);
    for (const { dir } of ranked.slice(0, keepBest)) keep.add(dir);
    if (ranked.length > 0) await link(checkpointsDir(run), 'best', path.basename(ranked[0]!.dir));
  }
  for (const { dir } of all) if (!keep.has(dir)) await remove(dir);
}

/** Takes a checkpoint its name away first: a kill halfway leaves no half checkpoint among the complete ones. */
async function remove(dir: string): Promise<void> {
  if (!existsSync(dir)) return;
  const aside = path.join(path.dirname(dir), `.removing-${path.basename(dir)}-${process.pid}`);
  await rename(dir, aside);
  await rm(aside, { recursive: true, force: true });
}

const LEFTOVER = /^\.(writing|removing|last|best)-/;

/** Folders and links of writers that were killed. */
async function removeLeftovers(root: string): Promise<void> {
  for (const name of await readdir(root)) {
    if (LEFTOVER.test(name)) await rm(path.join(root, name), { recursive: true, force: true });
  }
}

async function link(root: string, name: 'last' | 'best', target: string): Promise<void> {
  const temporary = path.join(root, `.${name}-${process.pid}`);
  await rm(temporary, { force: true });
  await symlink(target, temporary);
  await rename(temporary, path.join(root, name));
}

async function sync(file: string): Promise<void> {
  const handle = await open(file, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function syncTree(dir: string): Promise<void> {
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const file = path.join(dir, entry.name);
    await (entry.isDirectory() ? syncTree(file) : sync(file));
  }
  await sync(dir);
}

/** Reads `state.json`. Throws `InputError` when the folder is no checkpoint. */
export async function readCheckpointState(dir: string): Promise<CheckpointState> {
  const file = path.join(dir, 'state.json');
  try {
    const state = JSON.parse(await readFile(file, 'utf8')) as CheckpointState;
    if (!Number.isInteger(state.step) || state.step < 0) throw new Error(`step is ${JSON.stringify(state.step)}`);
    return state;
  } catch (error) {
    throw new InputError(
      `${dir} is not a complete checkpoint: ${file}: ${(error as Error).message}. ` +
        'A checkpoint folder is named step-N and holds unet/, optimizer.safetensors and state.json.',
      { code: 'train.bad-checkpoint', dir },
      error,
    );
  }
}

/** The newest complete checkpoint of a run, or null. */
export async function newestCheckpoint(run: string): Promise<{ step: number; dir: string } | null> {
  return (await listCheckpoints(run)).at(-1) ?? null;
}

/**
 * The newest complete checkpoint of a run that is to go on, or null for a new run.
 * @throws InputError `train.run-exists` when there is a run and nobody asked to continue it
 */
export async function findRun(run: string, resume: boolean): Promise<{ step: number; dir: string } | null> {
  const found = await newestCheckpoint(run);
  if (!found || resume) return found;
  throw new InputError(
    `${run} already holds a run at step ${found.step}. Add --resume to continue it, or choose another folder with --set output=DIR.`,
    { code: 'train.run-exists', run },
  );
}
