/** Rows of a table by number. TF.js's own gather reads its indices back, which stalls and cannot be traced. */
import { defineOp } from '../define-op.js';
import { intAttr, raw, T, typeAttr } from '../raw.js';
import { type Tensor, tf } from '../tf.js';

const typeOf = (name: string, x: Tensor) => typeAttr(name, T(x).value as number);

const run = defineOp<'table' | 'rows', { count: number }>({
  name: 'Show1GatherRows',
  inputs: ['table', 'rows'],
  save: ['rows'],
  forward: ({ table, rows }) => {
    const axis = tf.scalar(0, 'int32');
    const types = [typeOf('Tparams', table), typeOf('Tindices', rows), typeOf('Taxis', axis)];
    return [raw('GatherV2', [...types, intAttr('batch_dims', 0)], [table, rows, axis])];
  },
  backward: (dy, { rows }, _, { count }) => ({
    table: () => {
      const total = tf.scalar(count, 'int32');
      const types = [T(dy), typeOf('Tindices', rows), typeOf('Tnumsegments', total)];
      return raw('UnsortedSegmentSum', types, [dy, rows, total]);
    },
  }),
});

/**
 * @param table [R, D]
 * @param rows int32 of any shape, each in 0 … R − 1 (outside it the CPU throws, a GPU gives zeros)
 * @returns [...rows, D]
 */
export function gatherRows(table: Tensor, rows: Tensor): Tensor {
  if (table.rank !== 2 || rows.dtype !== 'int32') {
    throw new Error(`gatherRows: a table [R, D] and int32 rows are needed, not [${table.shape}] and ${rows.dtype}`);
  }
  return run({ table, rows }, { count: table.shape[0] as number });
}
