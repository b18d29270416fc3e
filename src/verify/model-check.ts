/** Outputs, loss and gradients of one block against a fixture's `out.*` and `grad.*` tensors. */
import { type Tensor, tf, valueAndGrads } from '../engine/index.js';
import { type Block, toTorch } from '../models/layers/index.js';
import { hostValue, readTensor, toChannelsFirst, toChannelsLast } from './tensors.js';
import type { Check, Fixture, TensorValue } from './types.js';

/** Inputs by name (`in.` removed), channels last. */
export type Inputs = Record<string, Tensor>;

export interface ModelCheck {
  block: Block;
  /** Runs the block; the result is channels last. */
  run(inputs: Inputs): Tensor;
  /** Name of the output (`out.` removed). */
  output: string;
}

const PARAMETER = 'grad.param.';
const INPUT = 'grad.in.';
const GLOBAL_NORM = 'grad.global_norm_all_params';

/** Every output case (`in.*` -> `out.*`, `in2.*` -> `out2.*`, …), then loss and gradients where the fixture has any. */
export function checkModel(fixture: Pick<Fixture, 'io'>, model: ModelCheck): Check[] {
  const { io } = fixture;
  const cases = [...io.keys()].flatMap(name => /^out(\d*)\./.exec(name)?.[1] ?? []);
  const checks = [...new Set(cases)].flatMap(suffix => outputCheck(io, model, suffix));
  const wantsGradients = [...io.keys()].some(name => name.startsWith('grad.'));
  return wantsGradients || io.has('out.loss') ? [...checks, ...gradientChecks(io, model)] : checks;
}

function inputNames(io: Fixture['io'], suffix: string): string[] {
  const prefix = `in${suffix}.`;
  return [...io.keys()].filter(key => key.startsWith(prefix) && key !== `${prefix}target`);
}

const local = (name: string) => name.slice(name.indexOf('.') + 1);

function outputCheck(io: Fixture['io'], { run, output }: ModelCheck, suffix: string): Check[] {
  const name = `out${suffix}.${output}`;
  const expected = io.get(name);
  if (!expected) return [];
  const actual = tf.tidy(() => {
    const inputs = inputNames(io, suffix).map(key => [local(key), toChannelsLast(readTensor(io, key))] as const);
    return hostValue(toChannelsFirst(run(Object.fromEntries(inputs)))) as never;
  }) as TensorValue;
  return [{ name, actual, expected, kind: 'output' }];
}

/** loss = mean((out - target)²) and its gradients with respect to parameters and inputs. */
function gradientChecks(io: Fixture['io'], { block, run }: ModelCheck): Check[] {
  const parameters = [...block.parameters()];
  return tf.tidy(() => {
    // In the file's layout: the transpose is inside the function, so gradients come out in that layout.
    const inputs = inputNames(io, '').map(key => [local(key), readTensor(io, key)] as const);
    const floats = inputs.filter(([, x]) => x.dtype === 'float32');
    const target = readTensor(io, 'in.target');
    const loss = () => {
      const arguments_ = inputs.map(([name, x]) => [name, toChannelsLast(x)] as const);
      return toChannelsFirst(run(Object.fromEntries(arguments_)))
        .sub(target)
        .square()
        .mean();
    };
    const variables = parameters.map(([, p]) => p.value());
    const { value, grads } = valueAndGrads(loss, [...variables, ...floats.map(([, x]) => x)]);

    const actual = new Map<string, TensorValue>([['out.loss', { shape: [1], data: value.dataSync() }]]);
    for (const [i, [name, p]] of parameters.entries()) {
      const data = toTorch(p.layout, p.torchShape, grads[i]!).dataSync();
      actual.set(PARAMETER + name, { shape: p.torchShape, data });
    }
    for (const [i, [name]] of floats.entries()) actual.set(INPUT + name, hostValue(grads[parameters.length + i]!));
    const squares = grads.slice(0, parameters.length).map(g => g.square().sum());
    actual.set(GLOBAL_NORM, {
      shape: [1],
      data: tf
        .addN(squares as never)
        .sqrt()
        .dataSync(),
    });

    const checks: Check[] = [];
    for (const [name, expected] of io) {
      const found = actual.get(name);
      if (found) checks.push({ name, actual: found, expected, kind: name === 'out.loss' ? 'output' : 'gradient' });
    }
    return checks as never;
  }) as Check[];
}
