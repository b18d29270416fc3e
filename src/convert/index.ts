export { type ConvertFolderOptions, type ConvertFolderResult, convertFolder } from './dtype.js';
export { type ExportOptions, type ExportResult, exportPipeline } from './export.js';
export { type InflateFolderOptions, type InflateResult, inflateFolder } from './inflate.js';
export { convertMetrics } from './metrics.js';
export type { ConvertedModel, ConvertOptions } from './model.js';
export type { OutputOptions } from './output-folder.js';
export { PIPELINE_CLASSES } from './pipeline-index.js';
export { parseSize } from './size.js';
export { FLOAT_DTYPES, type FloatDtype, type FloatName } from './tensors.js';
