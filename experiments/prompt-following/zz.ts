import { decode, encode } from '../../src/data/ffmpeg.js';
import { randomStream } from '../../src/data/random.js';
import { describeClip, renderClip } from '../../src/data/shapes-render.js';
import { COLOUR_NAMES, captionOf, combinations, SHAPES } from '../../src/data/shapes-vocabulary.js';
import { checkVideo } from './check-video.js';

for (const size of [
  { width: 16, height: 16, frames: 8 },
  { width: 32, height: 20, frames: 5 },
  { width: 64, height: 64, frames: 16 },
]) {
  const all = combinations(COLOUR_NAMES, SHAPES);
  let n = 0,
    ok = 0;
  const bad: any[] = [];
  for (let i = 0; i < 3000; i++) {
    const c = all[i % all.length]!;
    const clip = describeClip(c, size, 5, i);
    const r = checkVideo(renderClip(clip), captionOf(c));
    n++;
    if (r.colourRight && r.directionRight) ok++;
    else bad.push([captionOf(c), clip, r]);
  }
  console.log(size.width, n, ok);
  console.log(JSON.stringify(bad.slice(0, 3)));
}
const all = combinations(COLOUR_NAMES, SHAPES);
let ok = 0;
const bad = [];
for (let i = 0; i < 256; i++) {
  const c = all[(i * 5) % all.length]!;
  const clip = describeClip(c, { width: 16, height: 16, frames: 8 }, 6, i);
  await encode('/tmp/w/data/o/c.mp4', renderClip(clip), { fps: 8, crf: 8, scale: i % 2 ? 1 : 8 });
  const v = await decode('/tmp/w/data/o/c.mp4');
  const r = checkVideo(v, captionOf(c));
  if (r.colourRight && r.directionRight) ok++;
  else bad.push([captionOf(c), clip.background, clip.radius, clip.shade, r]);
}
console.log('mp4', ok);
console.log(JSON.stringify(bad.slice(0, 6), null, 0));
for (const sd of [5, 10, 15, 20, 30]) {
  let ok = 0;
  for (let i = 0; i < 640; i++) {
    const c = all[i % all.length]!;
    const v = renderClip(describeClip(c, { width: 16, height: 16, frames: 8 }, 6, i));
    const rnd = randomStream(i, 5);
    for (let j = 0; j < v.data.length; j++) v.data[j] = Math.max(0, Math.min(255, v.data[j]! + sd * rnd.normal()));
    const r = checkVideo(v, captionOf(c));
    if (r.colourRight && r.directionRight) ok++;
  }
  console.log('noise', sd, ok / 640);
}
