import type { BlockBackend } from '@hanok/machine';
import type { Machine, MachineConfig } from '@hanok/vmm';

/** An image that hanok can make. */
export interface ImageInfo {
  readonly name: string;
  readonly summary: string;
  readonly cached: boolean;
  readonly sizeBytes: number;
}

/** How far one step of making an image is. A total of 0 says that it is unknown. */
export interface ImageProgress {
  readonly label: string;
  readonly done: number;
  readonly total: number;
  /** The same in words that change as the step goes on. */
  readonly detail?: string;
}

/** What a made image boots from. */
export interface BootFiles {
  readonly kernel: string;
  readonly initrd: string;
  readonly commandLine: string;
  /** A disk of its own that stays as it is: its machines write to an overlay. */
  readonly disk?: string;
  readonly memoryBytes?: number;
}

export interface BuildOptions {
  /** Packages that are there besides the image's own. */
  readonly packages?: readonly string[];
  /** Makes it anew where the mirror has newer packages. */
  readonly refresh?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: ImageProgress) => void;
  readonly onNotice?: (text: string) => void;
}

/** What the commands use of the rest of the project; tests put their own in its place. */
export interface Services {
  /** Says that a machine is going to be made, so that its threads load their code meanwhile. */
  prepareMachine(): void;
  createMachine(config: MachineConfig): Promise<Machine>;
  listImages(): Promise<readonly ImageInfo[]>;
  /** Makes the image where it is not in the cache yet. */
  buildImage(name: string, options: BuildOptions): Promise<BootFiles>;
  /** A cpio archive that, appended to an image's initrd, has the guest run `script`. */
  commandArchive(script: string): Promise<Uint8Array>;
  openRawDisk(path: string, options: { readonly readOnly: boolean }): Promise<BlockBackend>;
  openOverlayDisk(basePath: string): Promise<BlockBackend>;
}
