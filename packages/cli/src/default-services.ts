import type { Services } from './services.ts';

/** The project's own machines and images, loaded when a command first uses them, so that help comes at once. */
export const defaultServices: Services = {
  createMachine: async (config) => (await import('@hanok/vmm')).createMachine(config),
  listImages: async () => (await import('@hanok/images')).listImages(),
  buildImage: async (_name, options) => (await import('@hanok/images')).buildTiny(options),
  commandArchive: async (script) => (await import('@hanok/images')).commandArchive(script),
  openRawDisk: async (path, options) => (await import('@hanok/images')).openRawDisk(path, options),
  openOverlayDisk: async (basePath) => (await import('@hanok/images')).openOverlayDisk(basePath),
};
