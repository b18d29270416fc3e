/**
 * Gradient checkpointing (Chen et al. 2016, arXiv 1604.06174): the results inside a function are not kept for the backward
 * pass but computed again there, from the function's inputs.
 */
import { dropoutState, withDropoutState } from './ops/dropout.js';
import { forget, isRecording, push, record } from './tape.js';
import { type Tensor, tf } from './tf.js';
import { after } from './trace.js';

/**
 * Runs `fn(...inputs)`. Under `valueAndGrads` only `inputs` and outputs stay in memory; the backward pass runs `fn` once
 * more, with the same dropout masks, and its gradients are those of `fn` itself bit for bit (the same sums in the same order).
 * Elsewhere this is a plain call.
 * @param fn a pure function of `inputs` and of variables
 */
export function checkpoint(fn: (...inputs: Tensor[]) => Tensor[], inputs: Tensor[]): Tensor[] {
  if (!isRecording()) return tf.tidy(() => fn(...inputs));
  const { result: saved, tape: clones } = record(() => inputs.map(t => tf.keep(t.clone())));
  forget(clones);
  const dropout = dropoutState();
  const { result: outputs, tape } = record(() => fn(...inputs));
  forget(tape);
  const run = (dys: Tensor[]) => {
    // In a traced function nothing else would hold the second run back until the backward pass comes here.
    const again = saved.map(t => after(t, dys));
    const state = dropout && { ...dropout, key: after(dropout.key, dys) };
    return { inputs: again, outputs: withDropoutState(state, () => fn(...again)) };
  };
  push({ kernelName: 'Checkpoint', inputs: leaves(tape), outputs, saved, replay: { inputs, run } });
  return outputs;
}

/** What the recorded ops read and none of them made: inputs, variables, constants. */
function leaves(tape: { inputs: Record<string, Tensor>; outputs: Tensor[] }[]): Record<string, Tensor> {
  const made = new Set(tape.flatMap(({ outputs }) => outputs.map(({ id }) => id)));
  const read = tape.flatMap(({ inputs }) => Object.values(inputs)).filter(({ id }) => !made.has(id));
  return Object.fromEntries(read.map(t => [t.id, t]));
}
