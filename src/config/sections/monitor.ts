import { Type } from '@sinclair/typebox';
import { flag, int, list, num, oneOf, optionalSection, section, text } from '../fields.js';

/** When training writes its state. */
export const checkpointSection = section('Saving the state of training.', {
  everySteps: int('Steps between checkpoints; 0 saves only at the end and on Ctrl-C.', 500),
  everyMinutes: num('Minutes of wall time after which the next step is saved, whatever its number; 0 is off.', 0, {
    minimum: 0,
  }),
  keepLast: int('Complete checkpoints kept; older ones are removed.', 3, { minimum: 1 }),
  keepBest: int(
    'Checkpoints of the lowest held-out losses kept besides; a loss among them is saved at once, and `checkpoints/best` links to ' +
      'the lowest. 0 is off.',
    0,
  ),
});

/** When training reports. */
export const logSection = section('Reporting on training.', {
  everySteps: int('Steps between status lines, each also a line of stats.jsonl.', 10, { minimum: 1 }),
  tensorboard: flag('Write TensorBoard events into the run folder.', true),
  histogramsEverySteps: int('Steps between weight and gradient histograms; 0 is off.', 500),
});

const CONVERTED = (network: string) => `Folder of the ${network} network that \`show1 convert metrics\` wrote.`;

/** Samples and the held-out loss during training. */
export const validateSection = section(
  'Samples and the held-out loss during training; `sampler` is also what `show1 sample` starts from.',
  {
    everySteps: int('Steps between validation samples; 0 is off. Stage base needs `prompts`.', 0),
    prompts: list('What stage base samples.', Type.String({ description: 'A prompt; it may be empty.' })),
    clips: int(
      'Held-out clips (training clips where none are held out) that the other stages sample, with their captions: condition, sample and truth.',
      4,
      { minimum: 1, maximum: 64 },
    ),
    seed: int('Seed of the validation samples: the same at each validation, so that they compare.', 0, {
      maximum: 2 ** 31 - 1,
    }),
    sampler: section('How validation samples are drawn.', {
      steps: int('Denoising steps.', 25, { minimum: 1 }),
      guidanceScale: num('Classifier-free guidance; 1 is none.', 9, { minimum: 0 }),
      scheduler: oneOf('Sampler.', ['ddim', 'ddpm', 'dpmsolver++'], 'ddim'),
    }),
    heldOutEverySteps: int('Steps between held-out losses; 0 is off. Needs `data.heldOut`.', 0),
    heldOutTimesteps: list(
      'Timesteps at which it is measured.',
      Type.Integer({ minimum: 0 }),
      [100, 300, 500, 700, 900],
    ),
    metrics: optionalSection(
      'Figures of drawn videos, logged as `metrics/fvd` …; with the few samples of a validation they compare steps of one run, not ' +
        'models: docs/evaluation.md. Clips are those held out (training clips where none are), captions theirs.',
      {
        everySteps: int('Steps between measurements; the last step is measured too.', 1000, { minimum: 1 }),
        samples: int('Videos drawn for each measurement.', 16, { minimum: 2, maximum: 100_000 }),
        fvd: optionalSection('Fréchet video distance to the clips; needs `data.frames` from 10.', {
          weights: text(CONVERTED('I3D')),
          preprocess: oneOf('How frames become its input.', ['stylegan-v', 'videogpt'], 'stylegan-v'),
        }),
        fidVid: optionalSection('Fréchet inception distance of the frames.', {
          weights: text(CONVERTED('Inception')),
          preprocess: oneOf('How frames become its input.', ['clean', 'legacy-pytorch'], 'clean'),
        }),
        is: optionalSection('Video Inception score; needs `data.frames: 16`.', {
          weights: text(CONVERTED('C3D')),
        }),
        clipsim: optionalSection('CLIPSIM and the consistency of frames.', {
          weights: text('Folder of a CLIP model with its tokenizer.'),
        }),
      },
    ),
  },
);
