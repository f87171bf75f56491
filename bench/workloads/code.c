/* Code that changes: patched loops, generated functions, more code than fits a cache. */
#include <string.h>
#include <sys/mman.h>

#include "workloads.h"

static unsigned char *code_pages(unsigned long bytes) {
  unsigned char *pages = mmap(0, bytes, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) fail("mmap");
  return pages;
}

/* mov eax, VALUE; ret */
static void put_constant(unsigned char *at, uint32_t value) {
  at[0] = 0xb8;
  memcpy(at + 1, &value, 4);
  at[5] = 0xc3;
}

static uint32_t call(const void *at) { return ((uint32_t(*)(void))at)(); }

/* A function whose constant is written before each call. */
static uint64_t self_modifying(unsigned count) {
  unsigned char *code = code_pages(4096);
  uint64_t sum = 0;
  for (unsigned i = 0; i < count; i++) {
    put_constant(code, i * 3);
    sum += call(code);
  }
  munmap(code, 4096);
  return sum;
}

/* As a just-in-time compiler does: many functions, each called a few times, then new ones in their place. */
static uint64_t generate(unsigned count) {
  enum { FUNCTIONS = 64, FUNCTION_BYTES = 256 };
  unsigned char *code = code_pages(FUNCTIONS * FUNCTION_BYTES);
  uint64_t sum = 0;
  for (unsigned round = 0; round < count; round++) {
    for (unsigned f = 0; f < FUNCTIONS; f++) {
      unsigned char *at = code + f * FUNCTION_BYTES;
      *at++ = 0x31, *at++ = 0xc0; /* xor eax, eax */
      for (unsigned i = 0; i < 40; i++) {
        uint32_t value = round * 31 + f * 7 + i;
        *at++ = i & 1 ? 0x05 : 0x35; /* add or xor eax, imm32 */
        memcpy(at, &value, 4);
        at += 4;
      }
      *at = 0xc3;
    }
    for (unsigned repeat = 0; repeat < 10; repeat++)
      for (unsigned f = 0; f < FUNCTIONS; f++) sum += call(code + f * FUNCTION_BYTES);
  }
  munmap(code, FUNCTIONS * FUNCTION_BYTES);
  return sum;
}

/* Thousands of functions, called in an order that no branch predictor knows. */
static uint64_t many_functions(unsigned count) {
  enum { FUNCTIONS = 4096, FUNCTION_BYTES = 64 };
  unsigned char *code = code_pages(FUNCTIONS * FUNCTION_BYTES);
  for (unsigned f = 0; f < FUNCTIONS; f++) put_constant(code + f * FUNCTION_BYTES, f * 17);
  uint64_t sum = 0;
  uint32_t seed = 13;
  for (unsigned i = 0; i < count; i++) sum += call(code + next_random(&seed) % FUNCTIONS * FUNCTION_BYTES);
  munmap(code, FUNCTIONS * FUNCTION_BYTES);
  return sum;
}

/* Fresh pages of code that run once. */
static uint64_t run_once(unsigned count) {
  enum { BYTES = 65536 };
  uint64_t sum = 0;
  for (unsigned round = 0; round < count; round++) {
    unsigned char *code = code_pages(BYTES), *at = code;
    *at++ = 0xb8;
    memcpy(at, &round, 4);
    at += 4;
    while (at < code + BYTES - 16) {
      *at++ = 0x05; /* add eax, imm32 */
      uint32_t value = (uint32_t)(at - code) * 5;
      memcpy(at, &value, 4);
      at += 4;
    }
    *at = 0xc3;
    sum += call(code);
    munmap(code, BYTES);
  }
  return sum;
}

const struct workload code_workloads[] = {
  {"self-modifying", self_modifying, 6000}, {"generate", generate, 150}, {"many-functions", many_functions, 1000000}, {"run-once", run_once, 100}, {0},
};
