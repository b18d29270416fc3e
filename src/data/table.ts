import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { type CsvError, parse } from 'csv-parse';
import { InputError } from '../errors.js';
import {
  CAPTION_COLUMNS,
  type CaptionRow,
  type CaptionTable,
  captionsOf,
  field,
  INFO_COLUMNS,
  objectRow,
  PATH_COLUMNS,
  statedInfo,
} from './captions.js';

/** WebVid's columns; the video is at `<root>/<page_dir>/<videoid>.mp4`. */
const WEBVID_COLUMNS = ['videoid', 'page_dir', 'name'];

/** A CSV as rows; `webvid` says that keys are relative to the folder of downloaded videos. */
export interface CsvTable extends CaptionTable {
  webvid: boolean;
}

/**
 * Reads a CSV row by row (WebVid has ten million of them). Columns, in any case: WebVid's (`videoid`, `contentUrl`, `duration`,
 * `page_dir`, `name`), or one of {@link PATH_COLUMNS} and one of {@link CAPTION_COLUMNS}; `width`, `height`, `fps`, `frames`
 * are used when all are there.
 * @throws InputError `manifest.columns` when the header has no such columns
 */
export async function readCsv(path: string, limit = Number.POSITIVE_INFINITY): Promise<CsvTable> {
  const table: CsvTable = { rows: [], unnamed: [], malformed: [], webvid: false };
  let header: string[] | undefined;
  const malformed = (error: CsvError | undefined): undefined => {
    table.malformed.push({ line: Number(error?.lines ?? 0), detail: error?.message ?? 'unreadable row' });
  };
  const parser = createReadStream(path).pipe(
    parse({
      bom: true,
      info: true,
      trim: true,
      relax_quotes: true,
      skip_empty_lines: true,
      skip_records_with_error: true,
      on_skip: malformed,
      columns: (names: string[]) => {
        header = names.map(name => name.trim().toLowerCase());
        return header;
      },
    }),
  );
  try {
    for await (const { record, info } of parser as AsyncIterable<{
      record: Record<string, unknown>;
      info: { lines: number };
    }>) {
      if (table.rows.length === 0) table.webvid = checkColumns(path, header ?? []).webvid;
      const row = recordRow(record, table.webvid, info.lines);
      if (typeof row === 'string') table.malformed.push({ line: info.lines, detail: row });
      else table.rows.push(row);
      if (table.rows.length >= limit) break;
    }
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(
      `${path} cannot be read as CSV: ${(error as Error).message}`,
      { code: 'manifest.csv', path },
      error,
    );
  }
  if (header) checkColumns(path, header);
  return table;
}

function webvidPath(record: Record<string, unknown>): string | undefined {
  const id = field(record, ['videoid']);
  if (id === undefined) return undefined;
  const folder = field(record, ['page_dir']);
  return folder === undefined ? `${id}.mp4` : `${folder}/${id}.mp4`;
}

/** One row of a CSV or Parquet table, by its columns' names in lower case, or the reason why it is none. */
export function recordRow(record: Record<string, unknown>, webvid: boolean, line: number): CaptionRow | string {
  const key = webvid ? webvidPath(record) : field(record, PATH_COLUMNS);
  if (key === undefined) return webvid ? 'no videoid' : 'no path';
  const captions = webvid ? undefined : captionsOf(record);
  const caption = field(record, webvid ? ['name'] : CAPTION_COLUMNS) ?? captions?.[0] ?? '';
  return { key, caption, line, info: statedInfo(record), ...(captions && { entry: { captions } }) };
}

/**
 * Whether the columns are WebVid's, and which of them are read.
 * @throws InputError `manifest.columns`
 */
export function checkColumns(path: string, header: readonly string[]): { webvid: boolean; used: ReadonlySet<string> } {
  const webvid = WEBVID_COLUMNS.every(name => header.includes(name));
  const captions = [...CAPTION_COLUMNS, 'captions'];
  const plain = [PATH_COLUMNS, captions].every(names => names.some(name => header.includes(name)));
  if (!webvid && !plain) {
    throw new InputError(
      `${path}: the header has the columns ${header.join(', ') || '(none)'}; expected WebVid's (videoid, contentUrl, duration, ` +
        `page_dir, name), or a path (${PATH_COLUMNS.join(' | ')}) and a caption (${CAPTION_COLUMNS.join(' | ')})`,
      { code: 'manifest.columns', path, header },
    );
  }
  return { webvid, used: new Set([...WEBVID_COLUMNS, ...PATH_COLUMNS, ...captions, ...INFO_COLUMNS]) };
}

/** Reads JSON objects, one a line: `{"path" | "video", "caption" | "text"}`. */
export async function readJsonl(path: string, limit = Number.POSITIVE_INFINITY): Promise<CaptionTable> {
  const table: CaptionTable = { rows: [], unnamed: [], malformed: [] };
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY });
  let line = 0;
  for await (const content of lines) {
    line++;
    if (content.trim() === '') continue;
    try {
      const row = objectRow(JSON.parse(content), line);
      if (typeof row === 'string') table.malformed.push({ line, detail: row });
      else table.rows.push(row);
    } catch (error) {
      table.malformed.push({ line, detail: (error as Error).message });
    }
    if (table.rows.length >= limit) break;
  }
  lines.close();
  return table;
}
