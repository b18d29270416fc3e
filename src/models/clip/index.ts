export { CLIPModel, type ClipOutput } from './clip.js';
export { type ClipConfig, type ClipVisionConfig, parseClipConfig, parseClipVisionConfig } from './config.js';
