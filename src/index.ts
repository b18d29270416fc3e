/** The public API: `import { … } from 'show1'`. Names and configs are diffusers', camelCased. */
export { type Config, loadConfig, parseConfig } from './config/index.js';
export { convertFolder, convertMetrics, exportPipeline, inflateFolder } from './convert/index.js';
export { createLoader, decode, encode, openManifest, prepareDataset, writeShapes } from './data/index.js';
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
export {
  compareProtocols,
  type EvaluateRequest,
  type EvaluationResult,
  evaluate,
  FeatureStatistics,
  frechetDistance,
  inceptionScore,
} from './eval/index.js';
export { BaseSampler } from './infer/base.js';
export { type CascadeOptions, type GenerateOptions, Show1Pipeline } from './infer/cascade.js';
export { FirstFrameSampler } from './infer/first-frame.js';
export { InterpSampler } from './infer/interp.js';
export { type SampleRequest, type SampleResult, samplePrompts } from './infer/sample.js';
export { Sr1Sampler } from './infer/sr1.js';
export { Sr2Sampler } from './infer/sr2.js';
export { contactSheet, writeVideo } from './infer/video.js';
export { CLIPModel } from './models/clip/index.js';
export { C3D, InceptionI3d, InceptionV3, openMetricNetwork } from './models/metrics/index.js';
export {
  CLIPTextModel,
  cleanCaption,
  StreamedT5Encoder,
  T5EncoderModel,
  TextConditioner,
  Tokenizer,
} from './models/text/index.js';
export { UNet2DConditionModel } from './models/unet2d/index.js';
export { UNet3DConditionModel } from './models/unet3d/index.js';
export { AutoencoderKL, VideoCodec } from './models/vae/index.js';
export { applyDelta, openDelta, writeDelta } from './models/weights/delta.js';
export { openSafetensors, writeSafetensors } from './models/weights/safetensors.js';
export { type FinetuneRequest, type FinetuneSummary, finetune } from './train/finetune/index.js';
export { type TrainOptions, type TrainSummary, train } from './train/loop.js';
export { AdamW } from './train/optimizer.js';
export { VERSION } from './version.js';
