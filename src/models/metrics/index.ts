export { C3D, C3D_POOL5, type C3dPool5 } from './c3d.js';
export type { WeightOrigin } from './config.js';
export { InceptionI3d } from './i3d.js';
export { InceptionV3 } from './inception-v3.js';
export { fileSha256, METRIC_KINDS, type MetricKind, type MetricNetwork, openMetricNetwork } from './open.js';
