/** Prints result.json as the README's table: `npx tsx experiments/memory/table.ts [result.json]`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Measured } from './record.js';
import { STAGES } from './stages.js';

const file = process.argv[2] ?? join(import.meta.dirname, 'result.json');
const { rows } = JSON.parse(readFileSync(file, 'utf8')) as { rows: Measured[] };
const GB = (bytes: number | null | undefined) => (bytes == null ? '' : (bytes / 1e9).toFixed(1));

console.log('| part | precision | show1: predicted, GB | peak, GB | s | CPU s | PyTorch: peak, GB | s | CPU s |');
console.log('| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |');
for (const stage of STAGES) {
  for (const precision of ['fp32', 'bf16']) {
    const of = (side: string) => rows.find(r => r.stage === stage && r.side === side && r.precision === precision);
    const [show1, torch] = [of('show1'), of('pytorch')];
    if (!show1 && !torch) continue;
    const time = (row?: Measured) => [row?.seconds?.toFixed(0) ?? '', row?.cpuSeconds?.toFixed(0) ?? ''];
    const peak = torch && (torch.peakBytes === null ? 'does not fit' : GB(torch.peakBytes));
    const cells = [
      stage,
      precision,
      GB(show1?.predictedBytes),
      GB(show1?.peakBytes),
      ...time(show1),
      peak ?? '',
      ...time(torch),
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
}
