import { forget, record, type TapeNode } from './tape.js';
import { type Tensor, tf, type Variable } from './tf.js';

export interface ValueAndGrads {
  value: Tensor;
  /** In the order of `xs`. */
  grads: Tensor[];
  /** Further results of the function, without gradients. */
  aux: Tensor[];
}

/**
 * Value and gradients of a scalar function with respect to variables or tensors used inside it.
 * A variable without a path to the value gets a zero gradient (TF.js's own `variableGrads` drops it silently).
 * @param f returns the scalar, or the scalar and further tensors to hand out
 */
export function valueAndGrads(f: () => Tensor | [Tensor, ...Tensor[]], xs: (Tensor | Variable)[]): ValueAndGrads {
  const { result, tape } = record(() => {
    const made = f();
    return Array.isArray(made) ? [made[0], ...made.slice(1).map(t => t.clone())] : [made]; // the caller may free them
  });
  const [value, ...aux] = result as [Tensor, ...Tensor[]];
  try {
    const grads = tf.tidy(() => {
      const backward = new Backward(xs);
      backward.add(value, tf.ones(value.shape));
      backward.walk(tape);
      return xs.map(x => backward.of(x) ?? tf.zerosLike(x as Tensor));
    });
    return { value, grads, aux };
  } finally {
    forget(tape);
  }
}

/** Gradients on their way back. They are added in the order of TF.js's own walk, so sums come out the same. */
class Backward {
  private readonly gradients = new Map<number, Tensor>();
  /** Tensors that depend on the wanted ones; no other gradients are computed. */
  private readonly reached: Set<number>;
  /** A replayed function's tensor -> the tensor of the forward pass whose gradient it shares. */
  private readonly twins = new Map<number, number>();

  constructor(xs: { id: number }[]) {
    this.reached = new Set(xs.map(({ id }) => id));
  }

  of(x: { id: number }): Tensor | undefined {
    return this.gradients.get(this.idOf(x));
  }

  add(x: { id: number }, gradient: Tensor): void {
    const before = this.of(x);
    this.gradients.set(this.idOf(x), before ? tf.add(before, gradient) : gradient);
    before?.dispose();
  }

  private idOf({ id }: { id: number }): number {
    return this.twins.get(id) ?? id;
  }

  private isReached(x: Tensor): boolean {
    return this.reached.has(this.idOf(x));
  }

  /** Carries the gradients of a tape's outputs to its inputs. */
  walk(tape: TapeNode[]): void {
    for (const { inputs, outputs } of tape) {
      if (Object.values(inputs).some(x => this.isReached(x))) for (const y of outputs) this.reached.add(this.idOf(y));
    }
    for (const node of [...tape].reverse()) {
      const dys = node.outputs.map(y => this.of(y) ?? null);
      const wanted = Object.entries(node.inputs).filter(([, x]) => this.isReached(x));
      if (wanted.length === 0 || dys.every(dy => dy === null)) continue;
      if (node.replay) {
        this.replay(node);
        continue;
      }
      if (!node.gradient) throw new Error(`valueAndGrads: the op ${node.kernelName} has no gradient`);
      const thunks = node.gradient(dys);
      for (const [name, x] of wanted) {
        const thunk = thunks[name];
        if (!thunk) throw new Error(`valueAndGrads: the op ${node.kernelName} has no gradient for its input ${name}`);
        const dx = tf.tidy(thunk);
        if (dx.dtype !== 'float32' || dx.shape.join() !== x.shape.join()) {
          throw new Error(
            `valueAndGrads: the gradient of ${node.kernelName}'s input ${name} is ${dx.dtype} [${dx.shape}]; it must be float32 [${x.shape}]`,
          );
        }
        this.add(x, dx);
      }
    }
  }

  /** Runs a checkpointed function again and carries the gradients through it; what it computed is gone afterwards. */
  private replay({ outputs, saved, replay }: TapeNode): void {
    const before = new Set(this.gradients.keys());
    const lasting = new Set(this.reached);
    tf.tidy(() => {
      const dys = outputs.flatMap(y => this.of(y) ?? []);
      const { result: again, tape } = record(() => replay!.run(dys));
      const owners = new Set(again.inputs.map(({ id }) => id));
      again.inputs.forEach((x, i) => {
        this.twins.set(x.id, this.idOf(replay!.inputs[i]!));
      });
      again.outputs.forEach((y, i) => {
        if (!owners.has(y.id)) this.twins.set(y.id, this.idOf(outputs[i]!)); // else an input that is handed through
      });
      this.walk(tape);
      forget(tape);
      for (const id of this.gradients.keys()) if (!before.has(id) && !lasting.has(id)) this.gradients.delete(id);
      return [...this.gradients.values()];
    });
    if (saved) tf.dispose(saved);
  }
}
