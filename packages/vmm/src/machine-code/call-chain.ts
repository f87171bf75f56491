import type { DynamicLibrary } from 'node:ffi';

/** An argument of a call: a number or address, or what an earlier call returned. */
export type Argument = bigint | { readonly resultOf: number };

/** A call of a C or C++ function with up to four arguments in registers (System V ABI for x86-64, section 3.2.3). */
export interface Call {
  /** Address of the function. */
  readonly at: bigint;
  readonly arguments: readonly Argument[];
}

const ARGUMENTS_MAX = 4;
/** Of a record: the function, where its arguments lie, and where its result goes; each eight bytes. */
const RECORD_WORDS = ARGUMENTS_MAX + 2;
const PAGE_BYTES = 4096n;
const [PROT_READ, PROT_WRITE, PROT_EXEC] = [1, 2, 4];
const [MAP_PRIVATE, MAP_ANONYMOUS] = [2, 0x20];
const MAP_FAILED = 2n ** 64n - 1n;

/** Makes the calls of the records from RDI on, up to one without a function. */
export const CHAIN_CODE = Uint8Array.of(
  0x53, // push rbx
  0x48, 0x89, 0xfb, // mov rbx, rdi
  0x48, 0x8b, 0x03, // next: mov rax, [rbx]
  0x48, 0x85, 0xc0, // test rax, rax
  0x74, 0x2b, // jz end
  0x48, 0x8b, 0x7b, 0x08, // mov rdi, [rbx + 8]
  0x48, 0x8b, 0x3f, // mov rdi, [rdi]
  0x48, 0x8b, 0x73, 0x10, // mov rsi, [rbx + 16]
  0x48, 0x8b, 0x36, // mov rsi, [rsi]
  0x48, 0x8b, 0x53, 0x18, // mov rdx, [rbx + 24]
  0x48, 0x8b, 0x12, // mov rdx, [rdx]
  0x48, 0x8b, 0x4b, 0x20, // mov rcx, [rbx + 32]
  0x48, 0x8b, 0x09, // mov rcx, [rcx]
  0xff, 0xd0, // call rax
  0x48, 0x8b, 0x53, 0x28, // mov rdx, [rbx + 40]
  0x48, 0x89, 0x02, // mov [rdx], rax
  0x48, 0x83, 0xc3, 0x30, // add rbx, 48
  0xeb, 0xcd, // jmp next
  0x31, 0xc0, // end: xor eax, eax
  0x5b, // pop rbx
  0xc3, // ret
);

/**
 * Calls native functions one behind the other without JavaScript in between: what V8's functions return are handles, and
 * those end where a call from JavaScript does.
 */
export class CallChain {
  readonly #run: (records: bigint) => void;
  readonly #address: (bytes: ArrayBufferView<ArrayBuffer>) => bigint;
  /** The calls that are being made; a function may call back and make others. */
  readonly #inUse = new Set<BigUint64Array>();

  constructor(library: DynamicLibrary, address: (bytes: ArrayBufferView<ArrayBuffer>) => bigint) {
    const code = placeCode(library, address(CHAIN_CODE));
    // A C library's way to call the function at an address: the comparison of a search in one element.
    const search = library.getFunction('bsearch', { arguments: ['pointer', 'pointer', 'uint64', 'uint64', 'pointer'], return: 'pointer' });
    this.#run = (records) => void search(records, records, 1n, 1n, code);
    this.#address = address;
  }

  /** Their results, RAX of each. */
  run(calls: readonly Call[]): bigint[] {
    const recordWords = (calls.length + 1) * RECORD_WORDS;
    const words = new BigUint64Array(recordWords + calls.length * (ARGUMENTS_MAX + 1));
    const start = this.#address(words);
    const addressOf = (word: number) => start + BigInt(word * 8);
    const resultWord = (call: number) => recordWords + call * (ARGUMENTS_MAX + 1);
    calls.forEach(({ at, arguments: given }, index) => {
      const places = Array.from({ length: ARGUMENTS_MAX }, (_, number) => {
        const argument = given[number] ?? 0n;
        if (typeof argument !== 'bigint') return addressOf(resultWord(argument.resultOf));
        words[resultWord(index) + 1 + number] = argument;
        return addressOf(resultWord(index) + 1 + number);
      });
      words.set([at, ...places, addressOf(resultWord(index))], index * RECORD_WORDS);
    });
    // V8 must not collect what only native code still needs.
    this.#inUse.add(words);
    this.#run(start);
    this.#inUse.delete(words);
    return calls.map((_, index) => words[resultWord(index)]!);
  }
}

/** Puts the code where it may be executed. */
function placeCode(library: DynamicLibrary, source: bigint): bigint {
  const map = library.getFunction('mmap', { arguments: ['pointer', 'uint64', 'int32', 'int32', 'int32', 'int64'], return: 'pointer' });
  const page = map(0n, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0n) as bigint;
  if (page === MAP_FAILED) throw new Error('no memory for code');
  library.getFunction('memcpy', { arguments: ['pointer', 'pointer', 'uint64'], return: 'pointer' })(page, source, BigInt(CHAIN_CODE.length));
  const protect = library.getFunction('mprotect', { arguments: ['pointer', 'uint64', 'int32'], return: 'int32' });
  if (protect(page, PAGE_BYTES, PROT_READ | PROT_EXEC) !== 0) throw new Error('the system allows no code in memory of its own');
  return page;
}
