/** Counts in vitest's JSON report. */

/**
 * @typedef {object} Counts
 * @property {number} passed
 * @property {number} failed tests, and files that could not be loaded
 * @property {number} skipped
 */

/**
 * @param {any} report vitest's JSON report; undefined when the run ended before it was written
 * @param {number} exitCode vitest's own
 * @returns {Counts}
 */
export function countTests(report, exitCode) {
  const passed = report?.numPassedTests ?? 0;
  const brokenFiles = (report?.testResults ?? []).filter(
    (/** @type {any} */ file) =>
      file.status === 'failed' && !file.assertionResults?.some((/** @type {any} */ test) => test.status === 'failed'),
  ).length;
  const failed = (report?.numFailedTests ?? 0) + brokenFiles;
  const skipped = (report?.numPendingTests ?? 0) + (report?.numTodoTests ?? 0);
  // A crash outside any test still is a failure.
  return { passed, failed: failed === 0 && exitCode !== 0 ? 1 : failed, skipped };
}
