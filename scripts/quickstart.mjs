/**
 * `npm run quickstart`: npm packages, TensorFlow, then scripts/quickstart/main.ts (dataset, training, samples). Arguments
 * go to it. Safe to interrupt and to repeat: what is in place is used again.
 */
import { ensureReady } from './dependencies.mjs';

if (await ensureReady()) {
  const { register } = await import('tsx/esm/api');
  register();
  await import(new URL('./quickstart/main.ts', import.meta.url).href);
} else {
  process.exitCode = 1;
}
