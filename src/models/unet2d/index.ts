export { UNet2DConditionModel } from './unet.js';
