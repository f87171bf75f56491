export * from './pci/index.ts';
export * from './platform/index.ts';
export * from './virtio/index.ts';
