import { Type } from '@sinclair/typebox';
import { int, num, oneOf, optionalSection, section, text } from '../fields.js';

/** The clips: where they are and how each becomes a `[F, H, W, 3]` tensor. */
export const dataSection = section('The clips and how they are cut.', {
  source: text(
    'A folder of videos with captions, a CSV, JSONL or Parquet table, WebDataset shards, UCF-101, MSR-VTT, or what ' +
      '`show1 data prepare` wrote: docs/data.md.',
  ),
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
  buckets: Type.Optional(
    Type.Array(
      Type.Object(
        {
          width: Type.Integer({ description: 'Width in pixels.', minimum: 1 }),
          height: Type.Integer({ description: 'Height in pixels.', minimum: 1 }),
          frames: Type.Integer({ description: 'Frames.', minimum: 1 }),
          batchSize: Type.Optional(
            Type.Integer({ description: 'Clips per forward pass. Left out: `train.batchSize`.', minimum: 1 }),
          ),
        },
        { additionalProperties: false },
      ),
      {
        description:
          'Shapes for clips of many sizes and lengths; a batch holds one shape. Each clip goes to the nearest aspect ratio, there to ' +
          'the most frames it can fill at `fps` and the largest stride, then to the largest size that does not enlarge it. Clips ' +
          'that fit none are reported and left out. `width`, `height` and `frames` must be one of them: what stage base samples in ' +
          'validation. Clips that do not fill a batch wait for the next epoch, so all are shown equally often. docs/training-data.md. ' +
          'Left out: all clips become `width` × `height` × `frames`.',
        minItems: 1,
      },
    ),
  ),
  bucketMaxCrop: num(
    'Largest share of a frame that a bucket of another aspect ratio may cost (by `fit`: cut, filled with bars or distorted).',
    0.5,
    { minimum: 0, exclusiveMaximum: 1 },
  ),
  images: optionalSection(
    'Pictures among the videos: some forward passes train on single frames (stages base and sr2), [B, 1, height, width, 3] in the ' +
      'sizes of the videos.',
    {
      source: text(
        'A folder of jpg, png or webp files with captions as for videos (text files of the same name, metadata.jsonl …), ' +
          'or a source of videos, of which single frames are taken.',
      ),
      root: Type.Optional(text('Folder that relative paths in the source start from. Left out: the source’s folder.')),
      share: num('Share of the forward passes, kept in each 64 of them; which ones is drawn.', 0.25, {
        exclusiveMinimum: 0,
        exclusiveMaximum: 1,
      }),
      batchSize: Type.Optional(
        Type.Integer({ description: 'Pictures per forward pass. Left out: `train.batchSize`.', minimum: 1 }),
      ),
    },
  ),
  fit: oneOf(
    'How a video of another shape becomes width × height: `crop` scales to cover and cuts the middle, ' +
      '`pad` scales to fit and adds black bars, `stretch` ignores the aspect ratio.',
    ['crop', 'pad', 'stretch'],
    'crop',
  ),
  hueTurns: num(
    'Share of the clips whose hues are turned by a random number of sixths, all frames alike, and the colour in the caption with them ' +
      '(red, yellow, green, cyan, blue, purple); clips whose caption names none of these stay. For learning a motion in any colour.',
    0,
    { minimum: 0, maximum: 1 },
  ),
  heldOut: section('Clips never trained on, for the held-out loss: `source` or `fraction`.', {
    source: Type.Optional(text('A separate source of held-out clips.')),
    fraction: num('Share of the source held out, chosen by a hash of each clip’s name.', 0, {
      minimum: 0,
      exclusiveMaximum: 1,
    }),
  }),
  workers: int('Decoders that run ahead of training; 0 decodes when a batch is asked for.', 2, { maximum: 256 }),
  prefetch: Type.Optional(
    Type.Integer({
      description: 'Batches decoded ahead of training. Left out: two clips a decoder, at least 2 batches; 0 is none.',
      minimum: 0,
      maximum: 4096,
    }),
  ),
  prefetchBytes: int(
    'Most bytes that the batches decoded ahead may take, as 8-bit frames; fewer are decoded ahead where this is reached.',
    2 ** 30,
  ),
  cacheBytes: int('Memory for decoded clips in bytes; 0 switches the cache off.', 256 * 2 ** 20),
  cached: optionalSection(
    'Folders that `show1 data cache` filled for this model and data; one that does not belong to them is refused.',
    {
      text: Type.Optional(text('Text embeddings: the text encoder is then not loaded.')),
      latents: Type.Optional(text('sr2: latents of whole clips: training then decodes and encodes no frames.')),
    },
  ),
});
