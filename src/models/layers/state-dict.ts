/** Loading weights by name: everything that does not fit is listed at once, before any data is read. */
import { InputError } from '../../errors.js';
import { isFloatFormat } from '../weights/dtypes.js';
import { type FloatBytes, Staging, type WeightSource } from '../weights/source.js';
import type { Parameter } from './parameter.js';

export interface LoadOptions {
  /** Missing and unexpected names are errors (default true). Wrong shapes always are. */
  strict?: boolean;
  /** Name of the parameter that a file's tensor belongs to (old or foreign spellings); null skips the tensor. */
  rename?: (name: string) => string | null;
  /** Parameters that may be missing even in strict mode; they are reported. */
  mayMiss?: (name: string) => boolean;
}

export interface StateDictReport {
  /** Parameters that the source lacks; they keep their values. */
  missing: string[];
  /** Tensors of the source that belong to no parameter. */
  unexpected: string[];
}

/** Names shown a category in a message; the error's data holds all. */
const SHOWN = 20;

/** Which tensor of a source belongs to which parameter. */
export interface StateDictMatch extends StateDictReport {
  /** Parameter to tensor. */
  tensorOf: Map<string, string>;
}

/**
 * Fills `parameters` from `source`.
 * @throws InputError as `matchStateDict`
 */
export async function loadStateDict(
  parameters: ReadonlyMap<string, Parameter>,
  source: WeightSource,
  options: LoadOptions,
): Promise<StateDictReport> {
  const { tensorOf, missing, unexpected } = matchStateDict(parameters, source, options);
  const staging = new Staging();
  staging.take(4 * Math.max(0, ...[...tensorOf.keys()].map(name => parameters.get(name)!.size))); // grown at once
  for (const [name, tensor] of tensorOf) parameters.get(name)!.load(await readFloats(source, tensor, staging));
  return { missing, unexpected };
}

/**
 * Finds each parameter's tensor by name and checks its shape; reads no values.
 * @throws InputError listing missing names, unexpected names and wrong shapes together, with the file
 */
export function matchStateDict(
  parameters: ReadonlyMap<string, Parameter>,
  source: WeightSource,
  { strict = true, rename = name => name, mayMiss = () => false }: LoadOptions,
): StateDictMatch {
  const tensorOf = new Map<string, string>();
  const unexpected: string[] = [];
  for (const tensor of source.names()) {
    const name = rename(tensor);
    if (name === null) continue;
    if (parameters.has(name)) tensorOf.set(name, tensor);
    else unexpected.push(tensor);
  }
  const missing = [...parameters.keys()].filter(name => !tensorOf.has(name));
  const mismatched: { name: string; model: number[]; file: number[]; in: string }[] = [];
  for (const [name, tensor] of tensorOf) {
    const { shape, file } = source.info(tensor);
    const expected = parameters.get(name)!.torchShape;
    if (!fits(expected, shape)) mismatched.push({ name, model: expected, file: shape, in: file });
  }
  const lacking = missing.filter(name => !mayMiss(name));
  if (mismatched.length || (strict && (lacking.length || unexpected.length))) {
    throw misfit(parameters.size, source, lacking, unexpected, mismatched);
  }
  return { tensorOf, missing, unexpected };
}

/** Values of one tensor: as bytes of the file where it holds floats, else converted. Valid until `staging` serves again. */
export async function readFloats(
  source: WeightSource,
  tensor: string,
  staging: Staging,
): Promise<Float32Array | FloatBytes> {
  if (source.readBytes && isFloatFormat(source.info(tensor).dtype)) return source.readBytes(tensor, staging);
  const data = await source.read(tensor);
  return data instanceof Float32Array ? data : Float32Array.from(data);
}

/** Equal shapes, or a matrix against the same matrix as a 1×1 convolution: the values lie in the same order. */
function fits(expected: readonly number[], shape: readonly number[]): boolean {
  const matrix = (s: readonly number[]) => (s.length > 2 && s.slice(2).every(size => size === 1) ? s.slice(0, 2) : s);
  const plain = expected.join() === shape.join();
  return plain || (Math.min(expected.length, shape.length) === 2 && matrix(expected).join() === matrix(shape).join());
}

function misfit(
  total: number,
  source: WeightSource,
  missing: string[],
  unexpected: string[],
  mismatched: { name: string; model: number[]; file: number[]; in: string }[],
): InputError {
  const names = source.names();
  const file = names.length ? source.info(names[0]!).file : 'an empty source';
  const list = (what: string, lines: string[]) => {
    if (!lines.length) return '';
    const rest = lines.length > SHOWN ? `\n  … and ${lines.length - SHOWN} more` : '';
    return `\n${lines.length} ${what}:${lines
      .slice(0, SHOWN)
      .map(line => `\n  ${line}`)
      .join('')}${rest}`;
  };
  return new InputError(
    `The weights in ${file} do not fit the model (${names.length} tensors for ${total} parameters).` +
      list('missing', missing) +
      list('unexpected', unexpected) +
      list(
        'of another shape',
        mismatched.map(m => `${m.name}: the model has [${m.model}], ${m.in} has [${m.file}]`),
      ) +
      '\nIs this the config that belongs to these weights?',
    { code: 'weights.misfit', file, missing, unexpected, mismatched },
  );
}
