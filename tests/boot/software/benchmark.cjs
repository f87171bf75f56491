'use strict';
// Deterministic work of many kinds for a JavaScript engine and its compilers.
const { createHash, createCipheriv, pbkdf2Sync } = require('node:crypto');
const { Worker } = require('node:worker_threads');

const hash = (data) => createHash('sha256').update(data).digest('hex').slice(0, 16);
let seed = 42;
const random = () => {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return seed >>> 0;
};

const work = {
  queues() {
    const queues = Array.from({ length: 5 }, (_, id) => ({ id, packets: [], ran: 0 }));
    const rules = [(p) => ({ ...p, value: (p.value * 31 + 7) & 0xffff }), (p) => ({ kind: p.kind ^ 1, value: p.value + 1 }), (p) => ({ kind: p.kind, value: (p.value >> 1) ^ (p.value & 1 ? 0xb400 : 0) })];
    for (let i = 0; i < 50; i++) queues[i % 5].packets.push({ kind: i & 1, value: i * 97 });
    for (let i = 0; i < 60_000; i++) {
      const queue = queues[(i * 7) % 5];
      const packet = queue.packets.pop();
      if (!packet) continue;
      queue.ran++;
      const next = rules[(packet.value + queue.id) % 3](packet);
      queues[(next.value + next.kind) % 5].packets.push(next);
    }
    return queues.map(({ ran, packets }) => `${ran}/${packets.length}`).join(' ');
  },
  objects() {
    const kinds = [class { constructor(v) { this.side = v; } area() { return this.side * this.side; } }, class { constructor(v) { this.radius = v; } area() { return Math.PI * this.radius ** 2; } }, class { constructor(v) { this.a = v; this.b = v + 1; } area() { return this.a * this.b / 2; } }];
    const counts = new Map();
    let total = 0;
    for (let i = 0; i < 30_000; i++) {
      total += new kinds[i % 3](random() % 100).area();
      const key = `key${random() % 500}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
      if (i % 1000 === 0) for (const [name, count] of counts) if (count > 5) counts.delete(name);
    }
    return `${total} ${counts.size} ${hash([...counts].sort().join())}`;
  },
  diffusion() {
    const width = 66;
    const before = Float64Array.from({ length: width * width }, () => (random() % 1000) / 1000);
    const after = new Float64Array(width * width);
    const singles = new Float32Array(width * width);
    for (let round = 0; round < 20; round++)
      for (let i = width; i < width * (width - 1); i++) {
        after[i] = (before[i] + 0.25 * (after[i - 1] + before[i + 1] + before[i - width] + before[i + width])) / 2;
        singles[i] += Math.fround(after[i]) * 0.1;
      }
    return hash(after) + hash(singles);
  },
  views() {
    const hashes = [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array].map((View) => hash(View.from({ length: 3000 }, () => random() / 3 - 5e8).sort()));
    const view = new DataView(new ArrayBuffer(64));
    for (let i = 0; i < 3000; i++) {
      view.setFloat32(i % 60, random() / 7, !!(i & 1));
      view.setInt16((i * 3) % 62, i);
      view.setBigUint64(i % 56, BigInt(i) ** 3n, true);
    }
    return hash(hashes.join()) + hash(view);
  },
  expressions() {
    let text = '';
    for (let i = 0; i < 1500; i++) text += `user${random() % 1000}@host${random() % 50}.example.org, ${['red', 'Green', 'BLUE'][random() % 3]} ${random()}\n`;
    let length = 0;
    for (const match of text.matchAll(/(?<user>[a-z]+\d+)@(host\d+)\.(?:example)\.org, (red|green|blue) (\d+)$/gim)) length += match.groups.user.length * match[4].length;
    return `${length} ${hash(text.replace(/(\d)(\d)(?=\d{3}\b)/g, '$2-$1'))} ${text.split(/[,@\s.]+/).length} ${/^(?:a+)+b$/.test(`${'a'.repeat(16)}c`)}`;
  },
  integers() {
    let factorial = 1n;
    for (let i = 1n; i < 400n; i++) factorial *= i;
    let power = 1n;
    for (let i = 0; i < 200; i++) power = (power * 65537n + factorial) % (2n ** 521n - 1n);
    return hash(`${factorial} ${3n ** 900n / 7n ** 200n} ${power} ${BigInt.asIntN(64, factorial + power)} ${-factorial >> 100n}`);
  },
  json() {
    let text = JSON.stringify(Array.from({ length: 1000 }, (_, id) => ({ id, name: `n${random()}`, tags: ['a', 'ü', '\u2028'], x: random() / 3, y: -random() / 1e9, large: 1e21 * random(), none: null })));
    for (let i = 0; i < 3; i++) text = JSON.stringify(JSON.parse(text), null, i);
    return `${text.length} ${hash(text)}`;
  },
  functions() {
    const names = ['sin', 'cos', 'tan', 'asin', 'atan', 'sinh', 'tanh', 'exp', 'expm1', 'log', 'log2', 'log1p', 'cbrt', 'sqrt', 'round', 'fround', 'clz32', 'asinh'];
    const sums = names.map((name) => {
      let sum = 0;
      for (let i = 0; i < 2000; i++) sum += Math[name](random() / 2 ** 32) + (i % 7.3) + Math.hypot(i, 3) + Math.imul(i, 0x9e3779b1) % 17;
      return sum;
    });
    return hash(sums.join());
  },
  sorting() {
    const values = Array.from({ length: 10_000 }, random);
    return hash([...values].sort((a, b) => a - b).join()) + hash(values.map((value) => ({ key: value % 100, value })).sort((a, b) => a.key - b.key).map(({ value }) => value).join()) + hash(values.sort().join());
  },
  exceptions() {
    let count = 0;
    const fall = (depth) => {
      if (depth === 0) throw new RangeError(`${count}`);
      try {
        return fall(depth - 1);
      } finally {
        count++;
      }
    };
    for (let i = 0; i < 500; i++)
      try {
        fall(i % 20);
      } catch (error) {
        count += Number(error.message) % 3;
      }
    return `${count}`;
  },
  types() { // Compiled code meets types that it was not compiled for.
    const add = (a, b) => a + b;
    let text = '';
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 10_000; i++) add(i, 1);
      text += `${add(0x7fffffff, round)} ${add(1.5, 2)} ${add('a', round)} ${add(1n, 2n)} ${add(null, 1)} `;
    }
    return text;
  },
  garbage() {
    let live = [];
    let sum = 0;
    for (let i = 0; i < 15_000; i++) {
      live.push({ i, filler: new Array(10).fill(i), text: `x${i}` });
      if (live.length > 2000) live = live.filter((_, index) => (index * 7 + i) % 3);
      if (i % 5000 === 0) sum += live.reduce((total, { filler, text }) => total + filler[3] + text.length, 0);
    }
    return `${sum}`;
  },
  ciphers() {
    let data = Buffer.alloc(20_000, 'abc');
    for (const name of ['aes-256-cbc', 'aes-256-ctr', 'aes-256-gcm', 'chacha20-poly1305']) {
      const cipher = createCipheriv(name, Buffer.alloc(32, 7), Buffer.alloc(name.includes('poly') ? 12 : 16, 9), { authTagLength: 16 });
      data = Buffer.concat([cipher.update(data), cipher.final()]);
    }
    return hash(data) + pbkdf2Sync('p', 's', 300, 16, 'sha512').toString('hex');
  },
  webassembly() { // A loop of 64-bit multiplications and shifts.
    const body = [2, 1, 127, 1, 126, 66, 7, 33, 2, 3, 64, 32, 2, 66, 173, 254, 213, 228, 212, 133, 253, 168, 216, 0, 126, 66, 1, 124, 34, 2, 66, 33, 136, 32, 2, 133, 33, 2, 32, 1, 65, 1, 106, 34, 1, 32, 0, 72, 13, 0, 11, 32, 2, 11];
    const code = [1, body.length, ...body];
    const bytes = [0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 127, 1, 126, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, code.length, ...code];
    return `${new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(bytes))).exports.f(200_000)}`;
  },
};

for (const [name, run] of Object.entries(work)) console.log(`${name}: ${run()}`);

const memory = new SharedArrayBuffer(4);
const source = 'const counter = new Int32Array(require("node:worker_threads").workerData); for (let i = 0; i < 10_000; i++) Atomics.add(counter, 0, 1);';
let running = 3;
for (let i = 0; i < 3; i++) new Worker(source, { eval: true, workerData: memory }).on('exit', () => --running || console.log(`threads: ${new Int32Array(memory)[0]}`));
