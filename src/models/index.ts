export * from './layers/index.js';
export * from './unet3d/index.js';
