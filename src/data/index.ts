export type { AssignOptions, Bucket, BucketAssignment, BucketRules } from './buckets.js';
export { assignBuckets, chooseBucket } from './buckets.js';
export type { DecodeOptions, EncodeOptions, VideoInfo } from './ffmpeg.js';
export { decode, encode, probe } from './ffmpeg.js';
export { clipProblem } from './ffmpeg-errors.js';
export type { Program } from './ffmpeg-locate.js';
export { describePrograms, locate } from './ffmpeg-locate.js';
export type { Frames } from './frames.js';
export { asFrames, frameBytes, fromUnit, sliceFrames, writeUnit } from './frames.js';
export type {
  Batch,
  Loader,
  LoaderBucket,
  LoaderImages,
  LoaderOptions,
  LoaderStats,
  SkippedClip,
} from './loader.js';
export { createLoader } from './loader.js';
export type { Manifest, ManifestEntry, ManifestOptions, Skip } from './manifest.js';
export { describeCounts, fingerprint, openManifest } from './manifest.js';
export type { PrepareOptions, PrepareResult, PrepareSummary } from './prepare/index.js';
export { prepareDataset } from './prepare/index.js';
export type { ShapesDataset, ShapesOptions, ShapesRecipe } from './shapes.js';
export { writeShapes } from './shapes.js';
export type { Colour, Combination, Direction, Shape } from './shapes-vocabulary.js';
export { captionOf, readPrompt } from './shapes-vocabulary.js';
export type { Segment, TarMember, VideoSource } from './video-source.js';
