import { Type } from '@sinclair/typebox';
import { int, num, oneOf, optionalSection, section, text } from '../fields.js';

/** The clips: where they are and how each becomes a `[F, H, W, 3]` tensor. */
export const dataSection = section('The clips and how they are cut.', {
  source: text('A folder of videos with captions, a CSV (WebVid columns), a JSONL, or a prepared dataset.'),
  root: Type.Optional(
    text('Folder that relative video paths in the source start from. Left out: the source’s folder.'),
  ),
  frames: int('Frames per clip.', 8, { minimum: 1 }),
  fps: num('Frames per second at which clips are sampled; Show-1’s keyframes are 2 per second.', 2, {
    exclusiveMinimum: 0,
    maximum: 240,
  }),
  strides: Type.Array(Type.Integer({ minimum: 1 }), {
    description:
      'Every how many-th of these frames a clip takes; one is drawn for each clip. [1, 2] also shows everything at twice the speed.',
    default: [1],
    minItems: 1,
  }),
  width: int('Width of a frame in pixels.', 64, { minimum: 1 }),
  height: int('Height of a frame in pixels.', 40, { minimum: 1 }),
  fit: oneOf(
    'How a video of another shape becomes width × height: `crop` scales to cover and cuts the middle, ' +
      '`pad` scales to fit and adds black bars, `stretch` ignores the aspect ratio.',
    ['crop', 'pad', 'stretch'],
    'crop',
  ),
  heldOut: section('Clips never trained on, for the held-out loss: `source` or `fraction`.', {
    source: Type.Optional(text('A separate source of held-out clips.')),
    fraction: num('Share of the source held out, chosen by a hash of each clip’s name.', 0, {
      minimum: 0,
      exclusiveMaximum: 1,
    }),
  }),
  workers: int('Decoders that run ahead of training; 0 decodes when a batch is asked for.', 2, { maximum: 256 }),
  cacheBytes: int('Memory for decoded clips in bytes; 0 switches the cache off.', 256 * 2 ** 20),
  cached: optionalSection(
    'Folders that `show1 data cache` filled for this model and data; one that does not belong to them is refused.',
    {
      text: Type.Optional(text('Text embeddings: the text encoder is then not loaded.')),
      latents: Type.Optional(text('sr2: latents of whole clips: training then decodes and encodes no frames.')),
    },
  ),
});
