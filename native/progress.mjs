/** Progress on stderr: one redrawn bar with ETA on a terminal, a line every few seconds otherwise. */

const LINE_EVERY_MS = 5000;
const REDRAW_EVERY_MS = 100;

/**
 * @typedef {object} Bar
 * @property {(done: number) => void} update
 * @property {(note?: string) => void} finish
 *
 * @typedef {object} Progress
 * @property {(line: string) => void} log
 * @property {(label: string, total: number, unit: 'MB' | 'steps') => Bar} bar
 */

/** @param {number} seconds */
export function formatSeconds(seconds) {
  if (!Number.isFinite(seconds)) return '?';
  const s = Math.max(0, Math.round(seconds));
  return s < 60 ? `${s} s` : `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, '0')} s`;
}

/**
 * One status text, e.g. `download tensorflow-cpu  43%  118/274 MB  ETA 4 s`.
 * @param {{ label: string, done: number, total: number, unit: 'MB' | 'steps', elapsed: number }} state elapsed in seconds
 */
export function formatProgress({ label, done, total, unit, elapsed }) {
  const share = total > 0 ? Math.min(1, done / total) : 0;
  const scale = unit === 'MB' ? 1e6 : 1;
  const amount = `${Math.round(Math.min(done, total) / scale)}/${Math.round(total / scale)} ${unit}`;
  const eta = share > 0 && share < 1 ? `  ETA ${formatSeconds((elapsed * (1 - share)) / share)}` : '';
  return `${label}  ${String(Math.floor(share * 100)).padStart(3)}%  ${amount}${eta}`;
}

/**
 * @param {{ write(text: string): unknown, isTTY?: boolean, columns?: number }} [stream]
 * @param {() => number} [now] ms
 * @returns {Progress}
 */
export function createProgress(stream = process.stderr, now = Date.now) {
  const prefix = 'setup: ';
  return {
    log: line => void stream.write(`${prefix}${line}\n`),
    bar(label, total, unit) {
      const start = now();
      let last = stream.isTTY ? 0 : start;
      let done = 0;
      const text = () => prefix + formatProgress({ label, done, total, unit, elapsed: (now() - start) / 1000 });
      return {
        update(value) {
          done = value;
          if (now() - last < (stream.isTTY ? REDRAW_EVERY_MS : LINE_EVERY_MS)) return;
          last = now();
          if (!stream.isTTY) {
            stream.write(`${text()}\n`);
            return;
          }
          const width = 24;
          const filled = total > 0 ? Math.round(width * Math.min(1, done / total)) : 0;
          const bar = `[${'#'.repeat(filled)}${'-'.repeat(width - filled)}] `;
          stream.write(`\r\x1b[2K${(bar + text()).slice(0, (stream.columns ?? 100) - 1)}`);
        },
        finish(note = '') {
          const seconds = ((now() - start) / 1000).toFixed(1);
          stream.write(`${stream.isTTY ? '\r\x1b[2K' : ''}${prefix}${label} done in ${seconds} s${note}\n`);
        },
      };
    },
  };
}

/** A progress that says nothing. @type {Progress} */
export const silent = { log: () => {}, bar: () => ({ update: () => {}, finish: () => {} }) };
