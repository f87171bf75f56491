import type { DynamicLibrary } from 'node:ffi';
import { createRequire } from 'node:module';
import { type Argument, type Call, CallChain } from './call-chain.ts';

/** V8's functions, as Node exports them for addons (v8-wasm.h, v8-isolate.h, v8-context.h, v8-object.h). */
const SYMBOLS = {
  currentIsolate: '_ZN2v87Isolate10GetCurrentEv',
  currentContext: '_ZN2v87Isolate17GetCurrentContextEv',
  global: '_ZN2v87Context6GlobalEv',
  getElement: '_ZN2v86Object3GetENS_5LocalINS_7ContextEEEj',
  setElement: '_ZN2v86Object3SetENS_5LocalINS_7ContextEEEjNS1_INS_5ValueEEE',
  compiledModule: '_ZN2v816WasmModuleObject17GetCompiledModuleEv',
  serialize: '_ZN2v818CompiledWasmModule9SerializeEv',
  destroyModules: '_ZNSt12_Destroy_auxILb0EE9__destroyIPN2v818CompiledWasmModuleEEEvT_S5_',
  newCompilation: '_ZN2v821WasmModuleCompilationC1Ev',
  endCompilation: '_ZN2v821WasmModuleCompilationD1Ev',
  hasCompiledBytes: '_ZN2v821WasmModuleCompilation25SetHasCompiledModuleBytesEv',
  bytesReceived: '_ZN2v821WasmModuleCompilation15OnBytesReceivedEPKhm',
  finish: '_ZN2v821WasmModuleCompilation6FinishEPNS_7IsolateERKSt8functionIFvRNS_13WasmStreaming22ModuleCachingInterfaceEEERKS3_IFvSt7variantIJNS_5LocalINS_16WasmModuleObjectEEENSC_INS_5ValueEEEEEEE',
  free: '_ZdaPv',
  nothing: 'getpid',
} as const;

/** The version of V8 whose interface this is; another one has its own. */
const V8_VERSION = '14.6.202.34-node.34';
/** Element of the global object where values pass between JavaScript and V8's functions. */
const ELEMENT = 0;
/** sizeof(CompiledWasmModule): a shared pointer and a string. */
const COMPILED_MODULE_BYTES = 48n;
/** Of V8's ModuleCachingInterface: SetCachedCompiledModuleBytes among its virtual functions. */
const SET_CACHED_BYTES = 1n;

/**
 * Machine code that V8 made of WebAssembly modules, as bytes and back: what browsers keep beside a page's modules. Node has
 * it, but no function in JavaScript for it, so these are V8's own, called through `node:ffi`.
 */
export class ModuleCode {
  readonly #ffi: typeof import('node:ffi');
  readonly #library: DynamicLibrary;
  readonly #addresses: Readonly<Record<keyof typeof SYMBOLS, bigint>>;
  readonly #chain: CallChain;
  /** Memory of V8's objects: CompiledWasmModule, OwnedBuffer, WasmModuleCompilation, and two of std::function. */
  readonly #objects = { compiled: new BigUint64Array(6), owned: new BigUint64Array(2), compilation: new BigUint64Array(1), giver: new BigUint64Array(4), taker: new BigUint64Array(4) };

  private constructor(ffi: typeof import('node:ffi')) {
    this.#ffi = ffi;
    this.#library = new ffi.DynamicLibrary(null);
    const addresses = Object.entries(SYMBOLS).map(([name, symbol]) => [name, this.#library.getSymbol(symbol)]);
    this.#addresses = Object.fromEntries(addresses) as Record<keyof typeof SYMBOLS, bigint>;
    this.#chain = new CallChain(this.#library, ffi.getRawPointer as (bytes: ArrayBufferView<ArrayBuffer>) => bigint);
  }

  /** Undefined where this version of Node cannot do it. */
  static open(): ModuleCode | undefined {
    if (process.platform !== 'linux' || process.arch !== 'x64' || process.versions.v8 !== V8_VERSION) return undefined;
    try {
      return new ModuleCode(loadFfi());
    } catch (e) { console.error(e);
      return undefined;
    }
  }

  /** The optimized code of a module; what is not optimized (yet) is not in it. */
  serialize(module: WebAssembly.Module): Uint8Array<ArrayBuffer> {
    const { compiled, owned } = this.#objects;
    const compiledAt = this.#address(compiled);
    this.#withElement(module, (context, global, next) => [
      this.#call('getElement', global, context, BigInt(ELEMENT)),
      this.#call('compiledModule', compiledAt, { resultOf: next }),
      this.#call('serialize', this.#address(owned), compiledAt),
      this.#call('destroyModules', compiledAt, compiledAt + COMPILED_MODULE_BYTES),
    ]);
    const [at, sizeBytes] = [owned[0]!, owned[1]!];
    const bytes = new Uint8Array(this.#ffi.toBuffer(at, Number(sizeBytes))).slice();
    this.#chain.run([this.#call('free', at)]);
    return bytes;
  }

  /**
   * A module with machine code that was made of the same bytes, where `v8.cachedDataVersionTag` was the same. V8 does not
   * check the code beyond that. Undefined where it does not take it.
   */
  deserialize(code: Uint8Array<ArrayBuffer>, bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module | undefined {
    const { getUint64 } = this.#ffi;
    const { compilation, giver, taker } = this.#objects;
    let isTaken = false;
    const giveCode = this.#library.registerCallback({ arguments: ['uint64', 'uint64'] }, (_, caching) => {
      const setCachedBytes = getUint64(getUint64(caching, 0) + SET_CACHED_BYTES * 8n, 0);
      isTaken = (this.#chain.run([{ at: setCachedBytes, arguments: [caching, this.#address(code), BigInt(code.length)] }])[0]! & 0xffn) === 1n;
    });
    const takeModule = this.#library.registerCallback({ arguments: ['uint64', 'uint64'] }, (_, result) => {
      this.#withElement(undefined, (context, global) => [this.#call('setElement', global, context, BigInt(ELEMENT), getUint64(result, 0))]);
    });
    giver.set([0n, 0n, this.#addresses.nothing, giveCode]);
    taker.set([0n, 0n, this.#addresses.nothing, takeModule]);
    const compilationAt = this.#address(compilation);
    this.#chain.run([
      this.#call('newCompilation', compilationAt),
      this.#call('hasCompiledBytes', compilationAt),
      this.#call('bytesReceived', compilationAt, this.#address(bytes), BigInt(bytes.length)),
      this.#call('currentIsolate'),
      this.#call('finish', compilationAt, { resultOf: 3 }, this.#address(giver), this.#address(taker)),
      this.#call('endCompilation', compilationAt),
    ]);
    // Where V8 does not take the code, it compiles the module and calls back later.
    if (isTaken) for (const at of [giveCode, takeModule]) this.#library.unregisterCallback(at);
    const module: unknown = Reflect.get(globalThis, ELEMENT);
    Reflect.deleteProperty(globalThis, ELEMENT);
    return isTaken && module instanceof WebAssembly.Module ? module : undefined;
  }

  #address(bytes: Uint8Array<ArrayBuffer> | BigUint64Array<ArrayBuffer>): bigint {
    return this.#ffi.getRawPointer(bytes);
  }

  #call(name: keyof typeof SYMBOLS, ...given: Argument[]): Call {
    return { at: this.#addresses[name], arguments: given };
  }

  /** Makes calls with the context and its global object, whose element is `value` meanwhile, if it is given. */
  #withElement(value: object | undefined, calls: (context: Argument, global: Argument, next: number) => readonly Call[]): void {
    if (value) Reflect.set(globalThis, ELEMENT, value);
    this.#chain.run([
      this.#call('currentIsolate'),
      this.#call('currentContext', { resultOf: 0 }),
      this.#call('global', { resultOf: 1 }),
      ...calls({ resultOf: 1 }, { resultOf: 2 }, 3),
    ]);
    if (value) Reflect.deleteProperty(globalThis, ELEMENT);
  }
}

/** Without its warning that it may change: this is for the one version of Node where it is known. */
function loadFfi(): typeof import('node:ffi') {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return createRequire(import.meta.url)('node:ffi') as typeof import('node:ffi');
  } finally {
    process.emitWarning = emitWarning;
  }
}
