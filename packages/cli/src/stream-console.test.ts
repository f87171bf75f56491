import assert from 'node:assert/strict';
import { PassThrough, Writable } from 'node:stream';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { StreamConsole } from './stream-console.ts';

/** Takes at most `room` bytes until it is given more. */
class Taker {
  room: number;
  ended = false;
  readonly #console: StreamConsole;
  readonly #taken: Buffer[] = [];

  constructor(console: StreamConsole, room: number) {
    this.#console = console;
    this.room = room;
    console.onInput((bytes) => {
      const takenBytes = Math.min(bytes.length, this.room);
      this.#taken.push(Buffer.from(bytes.subarray(0, takenBytes)));
      this.room -= takenBytes;
      return takenBytes;
    });
    console.onEnd(() => (this.ended = true));
  }

  get text(): string {
    return Buffer.concat(this.#taken).toString('latin1');
  }

  give(room: number): void {
    this.room = room;
    this.#console.ready();
  }
}

test('input comes through in order while the guest takes a little at a time, then the end', async () => {
  const input = new PassThrough();
  const taker = new Taker(new StreamConsole({ input }), 3);
  input.write('abcdef');
  input.end('gh');
  await setImmediate();
  assert.equal(taker.text, 'abc');
  taker.give(1);
  assert.equal(taker.text, 'abcd');
  taker.give(0);
  assert.equal(taker.text, 'abcd');
  assert.equal(taker.ended, false);
  taker.give(100);
  await setImmediate();
  assert.equal(taker.text, 'abcdefgh');
  assert.equal(taker.ended, true);
});

test('while the guest takes nothing, the source is held back', async () => {
  const input = new PassThrough({ highWaterMark: 16 });
  const taker = new Taker(new StreamConsole({ input }), 0);
  let writes = 0;
  while (input.write('0123456789') && writes < 100) {
    writes++;
    await setImmediate();
  }
  assert.ok(writes < 10, `${writes} writes went through`);
  taker.give(1000);
  await setImmediate();
  assert.equal(taker.text, '0123456789'.repeat(writes + 1));
  assert.equal(input.writableNeedDrain, false);
});

test('an end that comes before the machine is there is still told', async () => {
  const input = new PassThrough();
  const console = new StreamConsole({ input });
  input.end();
  await setImmediate();
  const taker = new Taker(console, 10);
  await setImmediate();
  assert.equal(taker.ended, true);
});

test('a source that fails is a source that ended', async () => {
  const input = new PassThrough();
  const taker = new Taker(new StreamConsole({ input }), 10);
  input.write('ab');
  await setImmediate();
  input.destroy(new Error('EIO'));
  await setImmediate();
  assert.equal(taker.text, 'ab');
  assert.equal(taker.ended, true);
});

test('a terminal line gets an end-of-input byte in place of an end', async () => {
  const input = new PassThrough();
  const taker = new Taker(new StreamConsole({ input, endOfInput: Uint8Array.of(4) }), 10);
  input.end('x');
  await setImmediate();
  assert.equal(taker.text, 'x\x04');
  assert.equal(taker.ended, false);
});

test('a filter sees all input at once even where the guest takes none, and what waits is bounded', async () => {
  const input = new PassThrough();
  let seenBytes = 0;
  const filter = (bytes: Uint8Array) => {
    seenBytes += bytes.length;
    return bytes.filter((byte) => byte !== 0x71);
  };
  const taker = new Taker(new StreamConsole({ input, inputFilter: filter }), 0);
  for (let i = 0; i < 300; i++) {
    input.write(`q${'.'.repeat(1023)}`);
    await setImmediate();
  }
  assert.equal(seenBytes, 300 * 1024);
  taker.give(2 ** 20);
  assert.ok(taker.text.length < 80 * 1024 && taker.text.length >= 64 * 1000, `${taker.text.length} bytes waited`);
  assert.ok(!taker.text.includes('q'));
});

test('output pauses while the reader is slow and goes on when it has caught up', async () => {
  const releases: (() => void)[] = [];
  const written: Buffer[] = [];
  const output = new Writable({
    highWaterMark: 4,
    write(chunk: Buffer, _encoding, done) {
      written.push(chunk);
      releases.push(done);
    },
  });
  const console = new StreamConsole({ output });
  let drains = 0;
  console.onDrain(() => drains++);
  const guestMemory = Uint8Array.from(Buffer.from('abcdef'));
  assert.equal(console.write(guestMemory), false);
  guestMemory.fill(0);
  assert.equal(drains, 0);
  releases.shift()?.();
  await setImmediate();
  assert.equal(drains, 1);
  assert.equal(Buffer.concat(written).toString(), 'abcdef');
});

test('shared guest memory can be written', () => {
  const output = new PassThrough();
  const bytes = new Uint8Array(new SharedArrayBuffer(3)).fill(65);
  assert.equal(new StreamConsole({ output }).write(bytes), true);
  assert.equal(output.read().toString(), 'AAA');
});

test('when nobody reads any more, that is told once and the guest is not held back', async () => {
  const output = new PassThrough({ highWaterMark: 1 });
  let gone = 0;
  let drains = 0;
  const console = new StreamConsole({ output, onOutputGone: () => gone++ });
  console.onDrain(() => drains++);
  assert.equal(console.write(Buffer.from('abc')), false);
  output.destroy(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
  await setImmediate();
  assert.deepEqual([gone, drains], [1, 1]);
  assert.equal(console.write(Buffer.from('abc')), true);
});

test('a port without input never ends', async () => {
  const taker = new Taker(new StreamConsole({ output: new PassThrough() }), 10);
  await setImmediate();
  assert.equal(taker.ended, false);
});

test('input can wait until the guest says something', async () => {
  const input = new PassThrough();
  const console = new StreamConsole({ input, output: new PassThrough(), waitsForOutput: true });
  const taker = new Taker(console, 10);
  input.write('ab');
  await setImmediate();
  assert.equal(taker.text, '');
  console.write(Buffer.from('# '));
  await setImmediate();
  assert.equal(taker.text, 'ab');
});
