export { AutoencoderKL, type VaePassOptions } from './autoencoder.js';
export { type AutoencoderKLConfig, parseAutoencoderConfig } from './config.js';
export { type LatentDistribution, latentKl, sampleLatents } from './distribution.js';
export { type CodecOptions, type TileOptions, VideoCodec } from './video-codec.js';
