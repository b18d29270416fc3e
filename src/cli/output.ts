/**
 * What commands print. stdout carries results only: with `--json` exactly one JSON document; everything meant to be
 * watched (progress, notes, errors) goes to stderr.
 */
export { formatBytes, formatCount, formatDuration, formatNumber } from '../format.js';

type Write = typeof process.stdout.write;

const state: { realWrite: Write | undefined; jsonPrinted: boolean; pipesGuarded: boolean } = {
  realWrite: undefined,
  jsonPrinted: false,
  pipesGuarded: false,
};

/** Prints a line of the result on stdout. */
export function print(line = ''): void {
  process.stdout.write(`${line}\n`);
}

/** Prints a line for the person watching, on stderr. */
export function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Prints the one JSON document of a `--json` run on stdout, on one line if `compact`. NaN and infinities become null, as JSON has none. */
export function printJson(document: unknown, { compact = false } = {}): void {
  if (state.jsonPrinted) throw new Error('a --json run prints one document, this is a second one');
  state.jsonPrinted = true;
  const text = `${JSON.stringify(document, null, compact ? 0 : 2)}\n`;
  if (state.realWrite) state.realWrite.call(process.stdout, text);
  else process.stdout.write(text);
}

/** Whether this run has printed its JSON document. */
export function hasPrintedJson(): boolean {
  return state.jsonPrinted;
}

/**
 * Keeps stdout for `printJson` alone: until the returned function is called, anything else written there (a library's
 * greeting, a stray console.log) goes to stderr.
 */
export function reserveStdout(): () => void {
  const realWrite = process.stdout.write;
  state.realWrite = realWrite;
  state.jsonPrinted = false;
  process.stdout.write = process.stderr.write.bind(process.stderr) as Write;
  return () => {
    process.stdout.write = realWrite;
    state.realWrite = undefined;
    state.jsonPrinted = false;
  };
}

/**
 * Output whose reader has gone (`show1 … | head`) is dropped and the work goes on: a training run must outlive the pager
 * that watched it.
 */
export function ignoreBrokenPipes(): void {
  if (state.pipesGuarded) return;
  state.pipesGuarded = true;
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
}

export interface Column {
  title: string;
  /** Numbers read best aligned right. */
  align?: 'left' | 'right';
}

/** Rows in aligned columns under a ruled head; as lines, ready for `print`. Cells are text as it should appear. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const widths = columns.map((column, i) => Math.max(column.title.length, ...rows.map(row => (row[i] ?? '').length)));
  const line = (cells: readonly string[]): string =>
    columns
      .map((column, i) =>
        column.align === 'right' ? (cells[i] ?? '').padStart(widths[i]!) : (cells[i] ?? '').padEnd(widths[i]!),
      )
      .join('  ')
      .trimEnd();
  return [
    line(columns.map(column => column.title)),
    widths.map(width => '-'.repeat(width)).join('  '),
    ...rows.map(line),
  ];
}
