export { type ParseOptions, type PerLevel, parseUNet3DConfig, type UNet3DConfig, unet3dConfigJson } from './config.js';
export { DIFFUSERS_KEYS, detectFamily, type UNet3DFamily, type UNetFamily } from './family.js';
export {
  clearTemporalOutputs,
  type InflateOptions,
  inflateConfig,
  inflatedEntries,
  isTemporal,
  loadImageWeights,
} from './inflate.js';
export type { PartRunner } from './level.js';
export { type UNetConditions, UNetModel } from './network.js';
export { UNet3DConditionModel } from './unet.js';
