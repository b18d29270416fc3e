/** What setup reports when it cannot go on: what happened, and the command that repairs it. */

export class SetupError extends Error {
  /**
   * @param {string} code stable identifier, e.g. `compiler.missing`
   * @param {string} message what was wrong, with the value and where it came from
   * @param {string[]} [fix] lines that say what to do
   */
  constructor(code, message, fix = []) {
    super(message);
    this.name = 'SetupError';
    this.code = code;
    this.fix = fix;
  }
}

/**
 * The text for a terminal.
 * @param {unknown} error
 * @returns {string}
 */
export function describeError(error) {
  if (!(error instanceof SetupError)) {
    const cause = /** @type {NodeJS.ErrnoException} */ (error);
    if (cause?.code === 'ENOSPC') return describeError(diskFull(cause.message));
    return `show1 setup failed: ${cause?.stack ?? String(error)}`;
  }
  const fix = error.fix.length > 0 ? `\n  fix: ${error.fix.join('\n       ')}` : '';
  return `show1 setup: ${error.message}${fix}`;
}

/**
 * @param {string} detail
 * @returns {SetupError}
 */
export function diskFull(detail) {
  return new SetupError('disk.full', `the disk is full: ${detail}`, [
    'free some space, or put the cache on another disk: SHOW1_CACHE=/path/on/a/larger/disk npm run setup',
  ]);
}
