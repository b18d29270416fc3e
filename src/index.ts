/** The public API: `import { … } from 'show1'`. Names and configs are diffusers', camelCased. */
export { type Config, loadConfig, parseConfig } from './config/index.js';
export { createLoader, decode, encode, openManifest, writeShapes } from './data/index.js';
export {
  DDIMScheduler,
  DDPMScheduler,
  DPMSolverMultistepScheduler,
  diffusionLoss,
  guide,
  loadScheduler,
  schedulerFromConfig,
} from './diffusion/index.js';
export { compile, randomNormal, rngKey, type Tensor, tf, valueAndGrads } from './engine/index.js';
export { InputError, InterruptedError, Show1Error, WorkError } from './errors.js';
export { BaseSampler } from './infer/base.js';
export { type SampleRequest, type SampleResult, samplePrompts } from './infer/sample.js';
export { contactSheet, writeVideo } from './infer/video.js';
export { T5EncoderModel, TextConditioner, Tokenizer } from './models/text/index.js';
export { UNet3DConditionModel } from './models/unet3d/index.js';
export { openSafetensors, writeSafetensors } from './models/weights/safetensors.js';
export { type TrainOptions, type TrainSummary, train } from './train/loop.js';
export { AdamW } from './train/optimizer.js';
export { VERSION } from './version.js';
