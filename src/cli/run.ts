/** The one place where errors of any command become a message and an exit code. */
import { Show1Error } from '../errors.js';
import { hasPrintedJson, note, printJson } from './output.js';

/** 0 done · 1 the work failed · 2 the input was wrong · 130 interrupted with the state saved. */
export const EXIT = { done: 0, failed: 1, wrongInput: 2, interrupted: 130 } as const;

export interface ReportOptions {
  /** Also print `{"error": {code, message}}` as the JSON document, unless the command has printed its own. */
  json: boolean;
  /** Show the stack. */
  verbose: boolean;
}

/**
 * Prints an error on stderr and returns the exit code. Errors raised on purpose (`Show1Error`) show their message;
 * anything else is a defect and says how to get its stack.
 */
export function reportError(error: unknown, { json, verbose }: ReportOptions): number {
  const known = error instanceof Show1Error;
  const message = error instanceof Error ? error.message : String(error);
  if (known) note(error.exitCode === EXIT.interrupted ? message : `error: ${message}`);
  else note(`unexpected error: ${message}`);
  if (verbose) note(stackOf(error));
  else if (!known) note('Add --verbose (or SHOW1_DEBUG=1) for the stack.');
  if (json && !hasPrintedJson()) printJson({ error: { code: known ? error.code : 'internal', message } });
  return known ? error.exitCode : EXIT.failed;
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.stack ?? error.message;
  return error.cause === undefined ? own : `${own}\ncaused by: ${stackOf(error.cause)}`;
}
