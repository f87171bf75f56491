/* Integer work: arithmetic, branches, calls, tables. */
#include <stdlib.h>
#include <string.h>

#include "workloads.h"

static uint64_t sieve(unsigned count) {
  enum { LIMIT = 1 << 18 };
  static unsigned char composite[LIMIT];
  uint64_t found = 0;
  for (unsigned round = 0; round < count; round++) {
    memset(composite, 0, sizeof composite);
    for (unsigned i = 2; i < LIMIT; i++) {
      if (composite[i]) continue;
      found += i;
      for (unsigned j = i * 2; j < LIMIT; j += i) composite[j] = 1;
    }
  }
  return found;
}

static uint64_t matmul(unsigned count) {
  enum { N = 96 };
  static int a[N][N], b[N][N], c[N][N];
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) a[i][j] = i * 3 + j, b[i][j] = i ^ (j * 7);
  uint64_t sum = 0;
  for (unsigned round = 0; round < count; round++) {
    for (int i = 0; i < N; i++)
      for (int j = 0; j < N; j++) {
        int s = 0;
        for (int k = 0; k < N; k++) s += a[i][k] * b[k][j];
        c[i][j] = s;
      }
    a[round % N][0] = c[N - 1][round % N];
    sum += (uint32_t)c[round % N][3];
  }
  return sum;
}

static const uint32_t sha_constants[64] = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
  0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
  0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
  0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
  0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
  0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

/* The compression function of FIPS 180-4 §6.2.2. */
static void sha_block(uint32_t *h, const uint32_t *block) {
  uint32_t w[64], v[8];
  memcpy(w, block, 64);
  for (int t = 16; t < 64; t++) {
    uint32_t s0 = rotate(w[t - 15], 7) ^ rotate(w[t - 15], 18) ^ w[t - 15] >> 3;
    uint32_t s1 = rotate(w[t - 2], 17) ^ rotate(w[t - 2], 19) ^ w[t - 2] >> 10;
    w[t] = w[t - 16] + s0 + w[t - 7] + s1;
  }
  memcpy(v, h, sizeof v);
  for (int t = 0; t < 64; t++) {
    uint32_t t1 = v[7] + (rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + sha_constants[t] + w[t];
    uint32_t t2 = (rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
    memmove(v + 1, v, 28);
    v[4] += t1;
    v[0] = t1 + t2;
  }
  for (int i = 0; i < 8; i++) h[i] += v[i];
}

static uint64_t sha256(unsigned count) {
  uint32_t h[8] = {1, 2, 3, 4, 5, 6, 7, 8}, block[16] = {0};
  for (unsigned round = 0; round < count; round++) {
    block[round & 15] ^= h[round & 7];
    sha_block(h, block);
  }
  return (uint64_t)h[0] << 32 | h[7];
}

static void sort_range(uint32_t *a, int low, int high) {
  while (low < high) {
    uint32_t pivot = a[(low + high) / 2];
    int i = low, j = high;
    while (i <= j) {
      while (a[i] < pivot) i++;
      while (a[j] > pivot) j--;
      if (i > j) break;
      uint32_t t = a[i];
      a[i++] = a[j];
      a[j--] = t;
    }
    if (j - low < high - i) sort_range(a, low, j), low = i;
    else sort_range(a, i, high), high = j;
  }
}

static uint64_t quicksort(unsigned count) {
  enum { N = 20000 };
  static uint32_t a[N];
  uint32_t seed = 1;
  uint64_t sum = 0;
  for (unsigned round = 0; round < count; round++) {
    for (int i = 0; i < N; i++) a[i] = next_random(&seed);
    sort_range(a, 0, N - 1);
    for (int i = 0; i < N; i += 100) sum = sum * 31 + a[i];
  }
  return sum;
}

/* A register machine with a switch for each instruction, as interpreters of languages have it. */
static uint64_t bytecode(unsigned count) {
  enum { ADD, SUB, MUL, XOR, SHIFT, LOAD, STORE, LESS, JUMP_IF, END };
  static const unsigned char program[][4] = {
    {LOAD, 0, 1, 0}, {ADD, 0, 0, 2}, {MUL, 3, 0, 4}, {XOR, 3, 3, 5}, {SHIFT, 3, 3, 6}, {STORE, 3, 1, 0},
    {ADD, 5, 5, 3},  {SUB, 4, 5, 0}, {ADD, 1, 1, 7}, {LESS, 6, 1, 8}, {JUMP_IF, 6, 0, 0}, {END, 0, 0, 0},
  };
  uint32_t memory[256] = {0};
  uint32_t r[16] = {0, 0, 3, 0, 0x9e3779b9, 7, 0, 1, 0};
  r[8] = count;
  for (const unsigned char *at = program[0];; at += 4) {
    switch (at[0]) {
      case ADD: r[at[1]] = r[at[2]] + r[at[3]]; break;
      case SUB: r[at[1]] = r[at[2]] - r[at[3]]; break;
      case MUL: r[at[1]] = r[at[2]] * r[at[3]]; break;
      case XOR: r[at[1]] = r[at[2]] ^ r[at[3]]; break;
      case SHIFT: r[at[1]] = r[at[2]] >> (r[at[3]] & 7); break;
      case LOAD: r[at[1]] = memory[r[at[2]] & 255]; break;
      case STORE: memory[r[at[2]] & 255] = r[at[1]]; break;
      case LESS: r[at[1]] = r[at[2]] < r[at[3]]; break;
      case JUMP_IF:
        if (r[at[1]]) at = program[0] + at[2] * 4 - 4;
        break;
      default: return r[3] ^ (uint64_t)r[5] << 32;
    }
  }
}

/* Finds repeats with a hash of four bytes, as LZ4 does. */
static uint64_t lz(unsigned count) {
  enum { N = 1 << 16 };
  static unsigned char text[N];
  static uint32_t table[1 << 12];
  uint32_t seed = 7;
  for (int i = 0; i < N; i++) text[i] = i < 64 || next_random(&seed) % 8 == 0 ? next_random(&seed) % 64 : text[i - 1 - next_random(&seed) % 60];
  uint64_t sum = 0;
  for (unsigned round = 0; round < count; round++) {
    memset(table, 0, sizeof table);
    for (int i = 0; i < N - 8;) {
      uint32_t word;
      memcpy(&word, text + i, 4);
      uint32_t *slot = &table[(word * 2654435761u) >> 20];
      int from = (int)*slot, length = 0;
      *slot = (uint32_t)i;
      while (i + length < N && from < i && text[from + length] == text[i + length] && length < 255) length++;
      sum = sum * 33 + (length >= 4 ? (uint32_t)(i - from) * 256 + (uint32_t)length : text[i]);
      i += length >= 4 ? length : 1;
    }
  }
  return sum;
}

static uint64_t crc32(unsigned count) {
  static uint32_t table[256];
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
    table[i] = c;
  }
  uint32_t crc = ~0u;
  for (unsigned i = 0; i < count; i++) crc = table[(crc ^ i) & 255] ^ crc >> 8;
  return crc;
}

static uint64_t hash_table(unsigned count) {
  enum { SLOTS = 1 << 14 };
  static uint32_t keys[SLOTS], values[SLOTS];
  memset(keys, 0, sizeof keys);
  memset(values, 0, sizeof values);
  uint32_t seed = 3;
  uint64_t sum = 0;
  for (unsigned i = 0; i < count; i++) {
    uint32_t key = next_random(&seed) % 9000 + 1, slot = key * 2654435761u >> 18;
    while (keys[slot] && keys[slot] != key) slot = (slot + 1) % SLOTS;
    keys[slot] = key;
    sum += values[slot]++ * (uint64_t)key;
  }
  return sum;
}

static int place_queens(unsigned all, unsigned columns, unsigned left, unsigned right) {
  if (columns == all) return 1;
  int found = 0;
  for (unsigned free = all & ~(columns | left | right); free;) {
    unsigned bit = free & -free;
    free ^= bit;
    found += place_queens(all, columns | bit, (left | bit) << 1, (right | bit) >> 1);
  }
  return found;
}

static uint64_t queens(unsigned count) {
  uint64_t sum = 0;
  for (unsigned i = 0; i < count; i++) sum += (uint64_t)place_queens((1u << 9) - 1, 0, 0, 0);
  return sum;
}

static uint64_t divide(unsigned count) {
  uint64_t sum = 0, x = 0x123456789abcdefu;
  for (unsigned i = 1; i <= count; i++) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    sum += x / (i | 1) + x % 1000003 + (uint32_t)x / (uint32_t)(i * 3 | 1);
  }
  return sum;
}

const struct workload integer_workloads[] = {
  {"sieve", sieve, 28},       {"matmul", matmul, 100},   {"sha256", sha256, 40000},        {"quicksort", quicksort, 20}, {"bytecode", bytecode, 1600000},
  {"lz", lz, 200},             {"crc32", crc32, 10000000}, {"hash-table", hash_table, 8000000}, {"queens", queens, 700},       {"divide", divide, 4000000},
  {0},
};
