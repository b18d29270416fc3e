import { statSync } from 'node:fs';
import { type FileHandle, mkdir, open, readFile, rename, truncate } from 'node:fs/promises';
import { dirname } from 'node:path';
import { InputError, WorkError } from '../../errors.js';
import type { ManifestEntry } from '../manifest.js';
import { type Failure, SCAN_VERSION, type Scan } from './scan.js';

/** One clip's line: which bytes were looked at, and what was found. */
interface Line {
  key: string;
  /** Bytes and milliseconds of the file then: another file is looked at again. */
  size: number;
  changed: number;
  scan?: Scan;
  failure?: Failure;
}

/** Results are on the disk, whatever happens to the machine, after so long. */
const SYNC_MS = 1000;

/** What is known about the clips of a source, kept in a file that a kill at any time leaves readable. */
export interface Journal {
  /** What was found earlier about exactly this clip, if its file has not changed. */
  find(entry: ManifestEntry): Scan | Failure | undefined;
  /** Returns at once; what could not be written is thrown by the next call. */
  add(entry: ManifestEntry, found: Scan | Failure): void;
  /** Waits until everything is on the disk. */
  close(): Promise<void>;
}

export const isFailure = (found: Scan | Failure): found is Failure => 'reason' in found;

/** A clip's name that holds everything that tells its pixels. */
function keyOf({ path, member, segment }: ManifestEntry): string {
  const bytes = member ? `|${member.start}-${member.end}` : '';
  const part = segment ? `|${segment.start}+${segment.seconds}` : '';
  return `${path}${bytes}${part}`;
}

function stateOf(path: string): { size: number; changed: number } | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  return found && { size: found.size, changed: Math.round(found.mtimeMs) };
}

/** The complete lines of a journal; a kill may have cut the last one. */
async function readLines(path: string): Promise<{ lines: string[]; bytes: number } | undefined> {
  const content = await readFile(path).catch(error => {
    if (error.code === 'ENOENT') return undefined;
    throw new WorkError(`${path} cannot be read: ${error.message}`, { code: 'prepare.journal', path }, error);
  });
  if (!content) return undefined;
  const lines: string[] = [];
  let at = 0;
  for (let end = content.indexOf(10); end >= 0; end = content.indexOf(10, at)) {
    lines.push(content.toString('utf8', at, end));
    at = end + 1;
  }
  return { lines, bytes: at };
}

function parse<T>(line: string | undefined): T | undefined {
  try {
    return JSON.parse(line ?? '') as T;
  } catch {
    return undefined; // a sector that the disk lost
  }
}

/**
 * Opens the journal of a source, or starts one. One of an older version of the scan is put aside.
 * @throws InputError `prepare.other-source` when it belongs to another source
 */
export async function openJournal(path: string, source: string): Promise<Journal> {
  await mkdir(dirname(path), { recursive: true });
  const known = new Map<string, Line>();
  let old = await readLines(path);
  const head = parse<{ source: string; version: number }>(old?.lines[0]);
  if (head && head.source !== source) {
    throw new InputError(
      `${dirname(path)} holds what was prepared from ${head.source}, not from ${source}. Choose another --out, or remove that folder`,
      { code: 'prepare.other-source', path, source },
    );
  }
  if (old && head?.version !== SCAN_VERSION) {
    await rename(path, `${path}.old`);
    old = undefined;
  }
  if (old) {
    await truncate(path, old.bytes);
    for (const text of old.lines.slice(1)) {
      const line = parse<Line>(text);
      if (line?.key !== undefined) known.set(line.key, line);
    }
  }
  const file = await open(path, 'a');
  if (!old) await file.appendFile(`${JSON.stringify({ source, version: SCAN_VERSION })}\n`);
  return journalOf(path, file, known);
}

function journalOf(path: string, file: FileHandle, known: ReadonlyMap<string, Line>): Journal {
  let waiting = '';
  let writing: Promise<void> = Promise.resolve();
  let problem: unknown;
  let syncedAt = Date.now();
  const failed = (error: unknown): WorkError =>
    new WorkError(`${path} cannot be written: ${(error as Error).message}`, { code: 'prepare.journal', path }, error);
  const flush = async (sync: boolean): Promise<void> => {
    const text = waiting;
    waiting = '';
    if (text !== '') await file.appendFile(text);
    if (sync) await file.datasync();
  };
  return {
    find(entry) {
      const line = known.get(keyOf(entry));
      if (!line) return undefined;
      const state = stateOf(entry.path);
      return state?.size === line.size && state.changed === line.changed ? (line.scan ?? line.failure) : undefined;
    },
    add(entry, found) {
      if (problem !== undefined) throw failed(problem);
      const state = stateOf(entry.path) ?? { size: -1, changed: 0 };
      const line: Line = { key: keyOf(entry), ...state, ...(isFailure(found) ? { failure: found } : { scan: found }) };
      waiting += `${JSON.stringify(line)}\n`;
      const sync = Date.now() - syncedAt >= SYNC_MS;
      if (sync) syncedAt = Date.now();
      // A disk that takes its time to sync must not hold up the next clip.
      writing = writing
        .then(() => flush(sync))
        .catch(error => {
          problem ??= error;
        });
    },
    async close() {
      await writing;
      try {
        await flush(true);
      } catch (error) {
        problem ??= error;
      }
      await file.close();
      if (problem !== undefined) throw failed(problem);
    },
  };
}
