export {
  type ConfigSource,
  type LoadedConfig,
  type LoadOptions,
  loadConfig,
  parseConfig,
  stringifyConfig,
} from './load.js';
export { nearest } from './nearest.js';
export {
  type Config,
  type ConfigInput,
  ConfigSchema,
  type DataConfig,
  type DiffusionConfig,
  type ModelConfig,
  type Stage,
  type TimestepsConfig,
  type TrainableConfig,
  type TrainConfig,
  type ValidateConfig,
} from './schema.js';
