/**
 * TF.js's gradient tape, seen from inside: what `valueAndGrads` walks and what `checkpoint` adds to it. TF.js's own walk
 * (`tf.grads`) can neither replay a part of the tape nor be called again while it runs.
 */
import { type Tensor, tf } from './tf.js';

/** One recorded op. */
export interface TapeNode {
  id: number;
  kernelName: string;
  inputs: Record<string, Tensor>;
  outputs: Tensor[];
  /** One thunk for each input's gradient; an output that nothing depends on has null. */
  gradient?: (dys: (Tensor | null)[]) => Record<string, () => Tensor>;
  /** Clones that live until the backward pass is done. */
  saved?: Tensor[];
  /** What `checkpoint` did: runs the same function again, on the inputs that it kept. */
  replay?: Replay;
}

export interface Replay {
  /** The tensors that the function was called with; they may be disposed of by now. */
  inputs: Tensor[];
  /** Runs the function after the gradients `dys` are there. `inputs` are what it was given this time. */
  run(dys: Tensor[]): { inputs: Tensor[]; outputs: Tensor[] };
}

interface TapeEngine {
  state: { activeTape: TapeNode[] | null; gradientDepth: number; nextTapeNodeId: number };
  isTapeOn(): boolean;
  tidy<R>(name: string, fn: () => R): R;
}

const engine = () => tf.engine() as unknown as TapeEngine;

/** True while ops are being recorded. */
export const isRecording = (): boolean => engine().isTapeOn();

/** Runs `fn` with a tape of its own; tensors that it does not return are gone, but for what the tape keeps. */
export function record<R>(fn: () => R): { result: R; tape: TapeNode[] } {
  const { state } = engine();
  const outer = state.activeTape;
  const tape: TapeNode[] = [];
  state.activeTape = tape;
  state.gradientDepth++;
  try {
    return { result: engine().tidy('record', fn), tape };
  } catch (error) {
    forget(tape);
    throw error;
  } finally {
    state.gradientDepth--;
    state.activeTape = outer;
  }
}

/** Frees what a tape keeps. */
export function forget(tape: TapeNode[]): void {
  for (const { saved } of tape) if (saved) tf.dispose(saved);
}

/** Puts a node onto the tape that is being recorded. */
export function push(node: Omit<TapeNode, 'id'>): void {
  const { state } = engine();
  state.activeTape!.push({ id: state.nextTapeNodeId++, ...node });
}
