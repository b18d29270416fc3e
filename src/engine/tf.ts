/**
 * The one place that loads TensorFlow.js: everything else imports `tf` from here.
 * The package's native binding is built by `npm run setup`; without it, loading fails with the remedy.
 */
import { createRequire } from 'node:module';
import util from 'node:util';
import type * as TF from '@tensorflow/tfjs-node-gpu';

const require = createRequire(import.meta.url);

process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
process.env.TF_FORCE_GPU_ALLOW_GROWTH ??= 'true';

// Node 23 removed the util.is* helpers that tfjs-node 4.22.0 still calls, and Node 22 warns about them.
const legacyUtil = util as unknown as Record<string, unknown>;
legacyUtil.isNullOrUndefined = (value: unknown) => value === null || value === undefined;
legacyUtil.isArray = Array.isArray;

export const tf: typeof TF = require('@tensorflow/tfjs-node-gpu');
export type { TF };
export type Tensor = TF.Tensor;
export type Variable = TF.Variable;
export type TypedArray = Float32Array | Int32Array | Uint8Array;
