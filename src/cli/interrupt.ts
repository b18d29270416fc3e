/** Ctrl-C as an AbortSignal: the first asks the work to stop at a safe point, the second stops at once. */
import { note } from './output.js';
import { EXIT } from './run.js';

export function interruptSignal(what: string): { signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  const onSignal = () => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted);
    note(`interrupted: ${what}; press Ctrl-C again to stop at once`);
    controller.abort();
  };
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, onSignal);
  return {
    signal: controller.signal,
    release: () => {
      for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, onSignal);
    },
  };
}
