import { Type } from '@sinclair/typebox';
import { int, list, num, optionalSection, section, text } from '../fields.js';

/** The networks: which UNet, where its weights come from, which text encoder conditions it. */
export const modelSection = section('The networks and where their weights come from.', {
  unet: Type.Optional(
    Type.Unsafe<string | Record<string, unknown>>({
      anyOf: [{ type: 'string', minLength: 1 }, { type: 'object' }],
      description:
        'The UNet3D: a diffusers config written inline (its own snake_case keys, checked by the model), ' +
        'or a path to a config.json or to a folder holding one. Left out: the config of `pretrained` or `inflateFrom`.',
    }),
  ),
  pretrained: Type.Optional(
    text(
      'A diffusers folder to start from: a pipeline (model_index.json, unet/, scheduler/, text_encoder/ …) or one UNet.',
    ),
  ),
  inflateFrom: Type.Optional(
    text('A diffusers folder of a 2D UNet: its weights fill the spatial layers, temporal layers start from `init`.'),
  ),
  init: section('Initial values of the weights that no file provides.', {
    seed: int('Seed of the initial weights.', 0, { maximum: 2 ** 31 - 1 }),
  }),
  textEncoder: optionalSection(
    'The frozen text encoder: `path` or `tiny`. Left out: text_encoder/ of the `pretrained` pipeline.',
    {
      path: Type.Optional(
        text('A transformers folder of a T5 encoder or a CLIP text model (config.json, safetensors).'),
      ),
      tokenizer: Type.Optional(
        text('A folder holding tokenizer.json. Left out: the folder of `path`, else tokenizer/ beside it.'),
      ),
      tiny: optionalSection('A small T5 encoder made from a seed, for tests and quick trials; needs no files.', {
        dModel: int('Width of the token embeddings and of the output.', 64, { minimum: 1 }),
        layers: int('Number of transformer blocks.', 2, { minimum: 1 }),
        heads: int('Attention heads; they share `dModel` evenly.', 4, { minimum: 1 }),
        dFf: int('Inner width of the feed-forward layers.', 128, { minimum: 1 }),
        seed: int('Seed of its weights.', 0, { maximum: 2 ** 31 - 1 }),
      }),
    },
  ),
  vae: optionalSection(
    'sr2: the frozen autoencoder between pixels and latents: `path` or `tiny`. Left out: vae/ of the `pretrained` pipeline.',
    {
      path: Type.Optional(text('A diffusers folder of an AutoencoderKL (config.json, safetensors).')),
      tiny: optionalSection(
        'A small autoencoder, trained on the run’s own clips at the first start and kept in the run folder.',
        {
          blockOutChannels: list(
            'Channels a level; each level but the first halves the frames.',
            Type.Integer({ minimum: 1 }),
            [16, 32, 32],
          ),
          latentChannels: int('Channels of a latent.', 4, { minimum: 1 }),
          steps: int('Training steps.', 600, { minimum: 1 }),
          batchSize: int('Frames a step.', 4, { minimum: 1 }),
          learningRate: num('Learning rate.', 3e-3, { exclusiveMinimum: 0 }),
          seed: int('Seed of its weights and of the frames it sees.', 0, { maximum: 2 ** 31 - 1 }),
        },
      ),
    },
  ),
  maxTextLength: int('Tokens a prompt is cut or padded to.', 77, { minimum: 1 }),
});
