#include <stdint.h>
#include <stdio.h>

static uint64_t state = 88172645463325252u, hash = 14695981039346656037u;

static uint64_t next(void) {
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}

static void mix(uint64_t value) {
  for (int shift = 0; shift < 64; shift += 8) hash = (hash ^ (value >> shift & 255)) * 1099511628211u;
}

int main(void) {
  for (int i = 0; i < 50000; i++) {
    uint64_t a = next(), b = next() | 1;
    if (i % 3 == 0) b = (b & 0xff) | 1;
    if (i % 5 == 0) a &= 0xffff;
    mix(a / b), mix(a % b), mix((int64_t)a / ((int64_t)b == -1 ? 3 : (int64_t)b)), mix((uint32_t)a / ((uint32_t)b | 1)), mix((uint8_t)a / ((uint8_t)b | 1));
    unsigned __int128 product = (unsigned __int128)a * b;
    mix(product >> 64), mix(product / (a | 1) >> 3), mix((uint64_t)((__int128)(int64_t)a * (int64_t)b >> 64)), mix((__int128)product % ((__int128)(int64_t)b | 1));
    mix(__builtin_popcountll(a)), mix(__builtin_clzll(b)), mix(__builtin_ctzll(b)), mix(__builtin_bswap64(a)), mix(a << (b & 63) | a >> (-b & 63)), mix((int64_t)a >> (b & 63));
    long sum;
    mix(__builtin_add_overflow((long)a, (long)b, &sum)), mix(sum), mix(__builtin_mul_overflow((long)a, (long)b, &sum)), mix(sum);
    mix(a < b), mix((int64_t)a < (int64_t)b), mix((short)a < (short)b), mix((signed char)a <= (signed char)b), mix((uint32_t)(uint16_t)a * (uint16_t)b);
  }
  printf("%016lx\n", hash);
}
