import {
  type AsyncBuffer,
  asyncBufferFromFile,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
} from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { InputError } from '../../errors.js';
import { type CsvTable, checkColumns, recordRow } from '../table.js';

/** A table is read a row group at a time, and never more rows at once than this. */
const ROWS_AT_ONCE = 100_000;

/** hyparquet gives 64-bit integers as BigInt; ids and sizes are numbers everywhere else. */
function plain(value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value;
}

/**
 * Reads a Parquet table with the columns of {@link readCsv}, in any case, with any of Parquet's compressions; `captions` may be
 * a list of strings. Other columns are not read. Rows are counted as lines, from 1.
 * @throws InputError `manifest.columns` when there are no such columns, `manifest.parquet` when the file cannot be read
 */
export async function readParquet(path: string, limit = Number.POSITIVE_INFINITY): Promise<CsvTable> {
  const table: CsvTable = { rows: [], unnamed: [], malformed: [], webvid: false };
  try {
    const file: AsyncBuffer = await asyncBufferFromFile(path);
    const metadata = await parquetMetadataAsync(file);
    const names = parquetSchema(metadata).children.map(({ element }) => element.name);
    const lower = names.map(name => name.trim().toLowerCase());
    const { webvid, used } = checkColumns(path, lower);
    table.webvid = webvid;
    const columns = names.filter((_, i) => used.has(lower[i]!));
    const total = Math.min(Number(metadata.num_rows), limit);
    let groupEnd = 0;
    for (const group of metadata.row_groups) {
      const groupStart = groupEnd;
      groupEnd = Math.min(total, groupStart + Number(group.num_rows));
      for (let rowStart = groupStart; rowStart < groupEnd; rowStart += ROWS_AT_ONCE) {
        const rowEnd = Math.min(groupEnd, rowStart + ROWS_AT_ONCE);
        const rows = await parquetReadObjects({ file, metadata, columns, rowStart, rowEnd, compressors });
        rows.forEach((row, i) => {
          const record: Record<string, unknown> = {};
          for (const name of columns) record[name.trim().toLowerCase()] = plain(row[name]);
          const line = rowStart + i + 1;
          const read = recordRow(record, webvid, line);
          if (typeof read === 'string') table.malformed.push({ line, detail: read });
          else table.rows.push(read);
        });
      }
    }
  } catch (error) {
    if (error instanceof InputError) throw error;
    const why = (error as Error).message;
    throw new InputError(`${path} cannot be read as Parquet: ${why}`, { code: 'manifest.parquet', path }, error);
  }
  return table;
}
