export * from './layers/index.js';
export * from './unet2d/index.js';
export * from './unet3d/index.js';
