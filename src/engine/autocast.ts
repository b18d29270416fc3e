/**
 * bfloat16 autocast: matrix products and convolutions, with their gradients, run in bfloat16; everything else stays
 * float32, because on CPUs bfloat16 pointwise ops are slower than float32 ones. Weights and sums stay float32.
 */
import { type Attr, AttrType, boolAttr, DType, typeAttr } from './raw.js';

export type Precision = 'fp32' | 'bf16';

/** Which inputs of an op carry data (the others are shapes). */
const DATA_INPUTS: Record<string, readonly number[]> = {
  Conv2D: [0, 1],
  Conv2DBackpropInput: [1, 2],
  Conv2DBackpropFilter: [0, 2],
  Conv3D: [0, 1],
  Conv3DBackpropInputV2: [1, 2],
  Conv3DBackpropFilterV2: [0, 2],
  MatMul: [0, 1],
  BatchMatMul: [0, 1],
  BatchMatMulV2: [0, 1],
};

export type Execute = (name: string, attrs: Attr[], inputs: number[]) => number;

/** Remembers casts that were made, so that a value is cast once. Only valid while its ids are (inside one trace). */
export type CastMemo = Map<number, number>;

const isFloat = (attr: Attr) => attr.name === 'T' && attr.type === AttrType.type && attr.value === DType.float32;

export function wantsAutocast(name: string, attrs: Attr[]): boolean {
  return name in DATA_INPUTS && attrs.some(isFloat);
}

const castAttrs = (from: number, to: number) => [
  typeAttr('SrcT', from),
  typeAttr('DstT', to),
  boolAttr('Truncate', false),
];

/**
 * Runs one float32 op in bfloat16 and returns its float32 output.
 * @param execute runs an op with one output and returns its id
 * @param memo float32 id -> bfloat16 id of the same value
 */
export function runAutocast(execute: Execute, name: string, attrs: Attr[], inputs: number[], memo: CastMemo): number {
  const low = inputs.slice();
  for (const i of DATA_INPUTS[name]!) {
    const id = inputs[i]!;
    if (!memo.has(id)) memo.set(id, execute('Cast', castAttrs(DType.float32, DType.bfloat16), [id]));
    low[i] = memo.get(id)!;
  }
  const lowAttrs = attrs.map(attr => (isFloat(attr) ? typeAttr('T', DType.bfloat16) : attr));
  const result = execute(name, lowAttrs, low);
  const output = execute('Cast', castAttrs(DType.bfloat16, DType.float32), [result]);
  memo.set(output, result); // a product that feeds another product needs no round trip
  return output;
}
