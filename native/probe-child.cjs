/** Loads the native module named on the command line, runs a few ops and prints one line of JSON (see probe.mjs). */
const { writeSync } = require('node:fs');

const binding = require(String(process.argv[2]));
const [FLOAT, INT, HALF, BFLOAT16] = [1, 3, 19, 14];

/** @param {string} name @param {number} value */
const type = (name, value) => ({ name, type: binding.TF_ATTR_TYPE, value });
/** @param {string} name @param {unknown} value */
const bool = (name, value) => ({ name, type: binding.TF_ATTR_BOOL, value });
/** @param {string} op @param {object[]} attrs @param {number[]} inputs @returns {number} */
const run = (op, attrs, inputs) => binding.executeOp(op, attrs, inputs, 1)[0].id;
/** @param {number[]} shape @param {ArrayLike<number>} values */
const tensor = (shape, values) => binding.createTensor(shape, FLOAT, Float32Array.from(values));
/** @param {number[]} values */
const ints = values => binding.createTensor([values.length], INT, Int32Array.from(values));
/** @param {number} id @returns {number[]} */
const read = id => Array.from(binding.tensorDataSync(id));
/** @param {number} length */
const count = length => Array.from({ length }, (_, i) => i + 1);

/** A 4x4 image of 1..16 and a 3x3 filter of 1..9: small whole numbers, exact in every format. */
function conv() {
  const attrs = [
    type('T', FLOAT),
    { name: 'strides', type: binding.TF_ATTR_INT, value: [1, 1, 1, 1] },
    { name: 'dilations', type: binding.TF_ATTR_INT, value: [1, 1, 1, 1] },
    { name: 'padding', type: binding.TF_ATTR_STRING, value: 'VALID' },
    { name: 'data_format', type: binding.TF_ATTR_STRING, value: 'NHWC' },
  ];
  const x = tensor([1, 4, 4, 1], count(16));
  const w = tensor([3, 3, 1, 1], count(9));
  const dy = tensor([1, 2, 2, 1], [1, 1, 1, 1]);
  const results = {
    forward: [run('Conv2D', attrs, [x, w]), [348, 393, 528, 573]],
    'filter gradient': [
      run('Conv2DBackpropFilter', attrs, [x, ints([3, 3, 1, 1]), dy]),
      [14, 18, 22, 30, 34, 38, 46, 50, 54],
    ],
    'input gradient': [
      run('Conv2DBackpropInput', attrs, [ints([1, 4, 4, 1]), w, dy]),
      [1, 3, 5, 3, 5, 12, 16, 9, 11, 24, 28, 15, 7, 15, 17, 9],
    ],
  };
  for (const [name, [id, expected]] of Object.entries(results)) {
    const got = read(/** @type {number} */ (id));
    if (got.join() !== String(expected)) return { ok: false, error: `${name} is [${got}], expected [${expected}]` };
  }
  return { ok: true };
}

/** @param {number} dtype */
function matmul(dtype) {
  const n = 512;
  const attrs = [type('T', dtype), bool('transpose_a', false), bool('transpose_b', false)];
  /** @param {number} id @param {number} from @param {number} to */
  const cast = (id, from, to) =>
    from === to ? id : run('Cast', [type('SrcT', from), type('DstT', to), bool('Truncate', false)], [id]);
  try {
    const a = cast(tensor([n, n], new Float32Array(n * n).fill(0.5)), FLOAT, dtype);
    let best = Number.POSITIVE_INFINITY;
    let value = Number.NaN;
    for (let i = 0; i < 4; i++) {
      const start = performance.now();
      const product = run('MatMul', attrs, [a, a]);
      value = read(cast(product, dtype, FLOAT))[n + 1] ?? Number.NaN;
      if (i > 0) best = Math.min(best, performance.now() - start);
    }
    if (value !== n / 4) return { ok: false, error: `a sum is ${value}, expected ${n / 4}` };
    return { ok: true, ms: Number(best.toFixed(2)) };
  } catch (error) {
    return { ok: false, error: String(error) };
  }
}

const report = {
  version: binding.TF_Version,
  gpu: binding.isUsingGpuDevice(),
  devices: binding.deviceNames?.() ?? [],
  extension: typeof binding.graphNew === 'function',
  conv: conv(),
  dtypes: { float32: matmul(FLOAT), bfloat16: matmul(BFLOAT16), float16: matmul(HALF) },
};
writeSync(1, `${JSON.stringify(report)}\n`);
process.exit(0);
