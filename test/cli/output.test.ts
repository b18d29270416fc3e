import { describe, expect, it } from 'vitest';
import { table } from '../../src/cli/output.js';

describe('table', () => {
  it('aligns columns', () => {
    const lines = table(
      [{ title: 'name' }, { title: 'error', align: 'right' }, { title: 'ok' }],
      [
        ['unet', '1e-6', 'yes'],
        ['a-longer-name', '0.5', 'no'],
      ],
    );
    expect(lines).toEqual([
      'name           error  ok',
      '-------------  -----  ---',
      'unet            1e-6  yes',
      'a-longer-name    0.5  no',
    ]);
  });
  it('shows the head of an empty table', () => {
    expect(table([{ title: 'a' }], [])).toEqual(['a', '-']);
  });
});
