/** Where the content of a file stands in the file system; blocks follow each other. */
export interface StoredContent {
  readonly firstBlock: number;
  readonly sizeBytes: number;
}

interface Attributes {
  /** Permission bits, with setuid, setgid and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSeconds: number;
}

export interface FileNode extends Attributes {
  readonly type: 'file';
  readonly content: StoredContent;
}

export interface DirectoryNode extends Attributes {
  readonly type: 'directory';
  readonly entries: Map<string, TreeNode>;
}

export interface SymlinkNode extends Attributes {
  readonly type: 'symlink';
  readonly target: string;
}

export interface SpecialNode extends Attributes {
  readonly type: 'character-device' | 'block-device' | 'fifo';
  readonly deviceMajor: number;
  readonly deviceMinor: number;
}

/** A file of a file system; one that stands in two places is one file with two hard links. */
export type TreeNode = FileNode | DirectoryNode | SymlinkNode | SpecialNode;
