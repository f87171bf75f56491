import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ModeBits } from '@hanok/x86';

/** GNU objdump, the disassembler that ours is compared with. */

export interface Line {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly text: string;
}

const MACHINES: Readonly<Record<ModeBits, string>> = { 64: 'i386:x86-64', 32: 'i386', 16: 'i8086' };
const OUTPUT_BYTES_MAX = 2 ** 30;

/** Version of the installed objdump, or undefined. */
export function objdumpVersion(): string | undefined {
  const { status, stdout } = spawnSync('objdump', ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.split('\n')[0] : undefined;
}

function run(args: readonly string[]): Line[] {
  const { status, stdout, stderr } = spawnSync('objdump', ['--wide', '--disassemble-zeroes', '--insn-width=16', ...args], { encoding: 'utf8', maxBuffer: OUTPUT_BYTES_MAX });
  if (status !== 0) throw new Error(`objdump ${args.join(' ')}: ${stderr}`);
  const lines: Line[] = [];
  for (const [, address, bytes, text] of stdout.matchAll(/^\s*([0-9a-f]+):\t((?:[0-9a-f]{2} )+) *(?:\t(.*))?$/gm)) {
    lines.push({ address: BigInt(`0x${address}`), bytes: Uint8Array.from(bytes!.trim().split(' '), (byte) => Number.parseInt(byte, 16)), text: normalise(text ?? '') });
  }
  return lines;
}

/** The executable sections of a program or library. */
export function disassembleFile(path: string): Line[] {
  return run(['--disassemble', '-M', 'intel,intel64', path]);
}

/** Bytes that an instruction gets: the longest has 15, and NOPs behind it bring objdump back into step. */
const CELL_BYTES = 32;
const NOP = 0x90;

/** Each of `codes` on its own; the addresses are `CELL_BYTES` apart from 0. */
export function disassembleEach(codes: readonly Uint8Array[], mode: ModeBits): Line[] {
  const directory = mkdtempSync(join(tmpdir(), 'hanok-objdump-'));
  try {
    const path = join(directory, 'code.bin');
    const cells = new Uint8Array(codes.length * CELL_BYTES).fill(NOP);
    codes.forEach((code, index) => cells.set(code, index * CELL_BYTES));
    writeFileSync(path, cells);
    const lines = new Map(run(['-D', '-b', 'binary', '-m', MACHINES[mode], '-M', 'intel,intel64', path]).map((line) => [line.address, line]));
    return codes.map((_, index) => {
      const line = lines.get(BigInt(index * CELL_BYTES));
      if (!line) throw new Error(`objdump lost its step before cell ${index}`);
      return line;
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/**
 * What does not count as a difference: columns of spaces, symbols beside addresses (which then stand without 0x), REX
 * prefixes without effect, the remark that FNENI and kin did something on the 8087 only, the width of the register
 * that MOV takes a selector from, and the upper half of an address relative to EIP.
 */
export function normalise(text: string): string {
  return text
    .replace(/([0-9a-f]+) <[^>]*>/g, '0x$1')
    .replace(/\b0x0x/g, '0x')
    .replace(/ *\((8087|287) only\)/, '')
    .replace(/\brex(\.[WRXB]+)? /g, '')
    .replace(/\s+/g, ' ')
    .replace(/(\[eip\+.*# 0x)ffffffff(?=[0-9a-f]{8}$)/, '$1')
    .replace(/\b(mov [c-gs?]s?),(?:[er]([a-d]x|[sd]i|[sb]p)|(r\d+)[dw]?)$/, '$1,$2$3')
    .replace(/\b(mov [c-gs]s,r\d+)w$/, '$1')
    .trim();
}
