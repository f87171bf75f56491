import { ImageError } from '../image-error.ts';
import type { DirectoryNode, TreeNode } from '../ext4/tree.ts';

const LINK_LIMIT = 40;
const ROOT_DIRECTORY = { mode: 0o755, uid: 0, gid: 0, mtimeSeconds: 0 };

/** The files of a system, put together as dpkg does when it unpacks one package after the other. */
export class FileTree {
  readonly root: DirectoryNode = { type: 'directory', ...ROOT_DIRECTORY, entries: new Map() };

  /**
   * Puts a file at `path`, below the directories that its parents lead to, through symlinks too. A directory that is
   * there already stays with its attributes, and so does a symlink to a directory; of two files the later wins.
   */
  add(path: string, node: TreeNode): void {
    const parts = path.split('/').filter(Boolean);
    const name = parts.pop();
    if (name === undefined) {
      if (node.type === 'directory') Object.assign(this.root, { mode: node.mode, uid: node.uid, gid: node.gid, mtimeSeconds: node.mtimeSeconds });
      return;
    }
    const parent = this.#directory(parts, path);
    const there = parent.entries.get(name);
    if (node.type === 'directory') {
      if (there && this.#resolve([...parts, name])?.type === 'directory') return;
    } else if (there?.type === 'directory') {
      throw new ImageError(`two packages disagree on /${path}: one has a directory there, another a file; leave one of them out`);
    }
    parent.entries.set(name, node);
  }

  /** The file that `path` leads to, its last part not followed; undefined when there is none. */
  find(path: string): TreeNode | undefined {
    const parts = path.split('/').filter(Boolean);
    const name = parts.pop();
    if (name === undefined) return this.root;
    const parent = this.#resolve(parts);
    return parent?.type === 'directory' ? parent.entries.get(name) : undefined;
  }

  /** The directory at `parts`; what lacks is made. */
  #directory(parts: readonly string[], wanted: string): DirectoryNode {
    for (let count = 1; count <= parts.length; count++) {
      const path = parts.slice(0, count);
      if (this.#resolve(path)) continue;
      const parent = this.#resolve(path.slice(0, -1));
      if (parent?.type !== 'directory' || parent.entries.has(path.at(-1)!)) break;
      parent.entries.set(path.at(-1)!, { type: 'directory', ...ROOT_DIRECTORY, entries: new Map() });
    }
    const found = this.#resolve(parts);
    if (found?.type !== 'directory') throw new ImageError(`/${wanted} stands below something that is no directory: a package is damaged`);
    return found;
  }

  /** What a path leads to with every symlink followed, as in a system whose root this is. */
  #resolve(parts: readonly string[]): TreeNode | undefined {
    const stack: DirectoryNode[] = [this.root];
    const rest = [...parts].reverse();
    let links = 0;
    for (let part = rest.pop(); part !== undefined; part = rest.pop()) {
      if (part === '..') {
        if (stack.length > 1) stack.pop();
        continue;
      }
      const node = stack.at(-1)!.entries.get(part);
      if (node?.type === 'directory') {
        stack.push(node);
      } else if (node?.type === 'symlink') {
        if (++links > LINK_LIMIT) return undefined;
        if (node.target.startsWith('/')) stack.length = 1;
        rest.push(...node.target.split('/').filter((name) => name !== '' && name !== '.').reverse());
      } else {
        return rest.length === 0 ? node : undefined;
      }
    }
    return stack.at(-1);
  }
}
