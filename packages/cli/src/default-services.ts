import { preloadThreads } from '@hanok/vmm/threads';
import type { Services } from './services.ts';
import { didYouMean } from './suggest.ts';

/** The project's own machines and images, loaded when a command first uses them, so that help comes at once. */
export const defaultServices: Services = {
  prepareMachine() {
    preloadThreads();
    // Loaded while the disk gives the kernel; who needs it is told what went wrong.
    import('@hanok/vmm').catch(() => {});
  },
  async createMachine(config) {
    const [{ createMachine }, { defaultCacheDirectory }] = await Promise.all([import('@hanok/vmm'), import('@hanok/images/cache')]);
    return createMachine({ cacheFolder: defaultCacheDirectory(), ...config });
  },
  listImages: async () => (await import('@hanok/images')).listImages(),
  buildImage: async (name, options) => (await import('@hanok/images')).buildImage(name, { ...options, createMachine: defaultServices.createMachine, suggest: didYouMean }),
  commandArchive: async (script) => (await import('@hanok/images')).commandArchive(script),
  openRawDisk: async (path, options) => (await import('@hanok/images')).openRawDisk(path, options),
  openOverlayDisk: async (basePath) => (await import('@hanok/images')).openOverlayDisk(basePath),
};
