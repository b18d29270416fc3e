import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { EventWriter } from '../../../src/train/logging/index.js';
import { folderWith } from '../../config/helpers.js';

/** A Python that has TensorBoard; SHOW1_TEST_PYTHON names one in a virtual environment. */
const python = process.env.SHOW1_TEST_PYTHON ?? 'python3';
const available = spawnSync(python, ['-c', 'import tensorboard']).status === 0;

const READ = `
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing import event_file_loader
import glob
a = EventAccumulator(sys.argv[1], size_guidance={'scalars': 0, 'histograms': 0, 'images': 0, 'tensors': 0}).Reload()
tags = a.Tags()
h = a.Histograms('weights/a')[0]
plugins = sorted({v.metadata.plugin_data.plugin_name
  for f in glob.glob(sys.argv[1] + '/events*') for e in event_file_loader.EventFileLoader(f).Load() for v in e.summary.value})
print(json.dumps({
  'scalars': {t: [[s.step, s.value] for s in a.Scalars(t)] for t in tags['scalars']},
  'histogram': {'step': h.step, 'num': h.histogram_value.num, 'sum': h.histogram_value.sum,
                'median': a.CompressedHistograms('weights/a')[0].compressed_histogram_values[4][1]},
  'images': [[i.step, i.width, i.height, i.encoded_image_string[:6].decode(), len(i.encoded_image_string)] for i in a.Images('samples/0')],
  'text': [[t.step, t.tensor_proto.string_val[0].decode()] for t in a.Tensors('config/text_summary')],
  'plugins': plugins,
}))
`;

describe.skipIf(!available)('the real TensorBoard', () => {
  it('reads everything back, and a resumed run without the steps it repeats', () => {
    const folder = folderWith({});
    const gif = Buffer.from('R0lGODlhAQABAIAAAP8AAAAAACH5BAAAAAAALAAAAAABAAEAAAICRAEAOw==', 'base64');
    const first = new EventWriter(folder);
    for (let step = 1; step <= 6; step++) first.scalars(step, { 'train/loss': step });
    first.histogram(
      2,
      'weights/a',
      Float32Array.from({ length: 1001 }, (_, i) => i / 1000),
    );
    first.image(3, 'samples/0', gif, 1, 1);
    first.text(3, 'config', 'a *config*');
    first.close();
    const second = new EventWriter(folder, { resumeStep: 4 });
    second.scalars(5, { 'train/loss': 50 });
    second.close();

    const { stdout, stderr, status } = spawnSync(python, ['-c', READ, folder], { encoding: 'utf8' });
    expect(status, stderr).toBe(0);
    const read = JSON.parse(stdout);
    expect(read.scalars).toEqual({
      'train/loss': [
        [1, 1],
        [2, 2],
        [3, 3],
        [4, 4],
        [5, 50],
      ],
    });
    expect(read.histogram).toMatchObject({ step: 2, num: 1001 });
    expect(read.histogram.sum).toBeCloseTo(500.5, 3);
    expect(read.histogram.median).toBeGreaterThan(0.45);
    expect(read.histogram.median).toBeLessThan(0.55);
    expect(read.images).toEqual([[3, 1, 1, 'GIF89a', gif.length]]);
    expect(read.text).toEqual([[3, 'a *config*']]);
    expect(read.plugins).toEqual(['histograms', 'images', 'scalars', 'text']);
  });
});
