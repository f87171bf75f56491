/* Memory work: dependent loads, copies, streams. */
#include <stdlib.h>
#include <string.h>

#include "workloads.h"

static uint64_t chase(unsigned count) {
  enum { N = 1 << 16 };
  static uint32_t next[N], order[N];
  uint32_t seed = 5;
  for (uint32_t i = 0; i < N; i++) order[i] = i;
  for (uint32_t i = N - 1; i > 0; i--) {
    uint32_t j = next_random(&seed) % i, t = order[i];
    order[i] = order[j];
    order[j] = t;
  }
  for (uint32_t i = 0; i < N; i++) next[order[i]] = order[(i + 1) % N];
  uint32_t at = 0;
  for (unsigned i = 0; i < count; i++) at = next[at];
  return at;
}

enum { BUFFER_BYTES = 1 << 20 };
static unsigned char from[BUFFER_BYTES], to[BUFFER_BYTES];

static uint64_t copy(unsigned count) {
  memset(from, 17, sizeof from);
  for (unsigned i = 0; i < count; i++) {
    from[i] = (unsigned char)i;
    memcpy(to + (i & 63), from, sizeof from - 64);
  }
  return to[100] + to[count + 5];
}

static uint64_t rep_movs(unsigned count) {
  memset(from, 3, sizeof from);
  memset(to, 0, sizeof to);
  for (unsigned i = 0; i < count; i++) {
    void *source = from, *target = to;
    unsigned long length = 4096 + i % 64;
    from[i & 4095] ^= (unsigned char)i;
    __asm__ volatile("rep movsb" : "+S"(source), "+D"(target), "+c"(length) : : "memory");
  }
  uint64_t sum = 0;
  for (int i = 0; i < 4096; i++) sum = sum * 31 + to[i];
  return sum;
}

static uint64_t fill(unsigned count) {
  uint64_t sum = 0;
  for (unsigned i = 0; i < count; i++) {
    memset(to, (int)i, sizeof to);
    sum += to[i * 4099 % BUFFER_BYTES];
  }
  return sum;
}

static uint64_t stream(unsigned count) {
  enum { N = 1 << 15 };
  static volatile uint32_t a[N], b[N];
  for (uint32_t i = 0; i < N; i++) a[i] = i, b[i] = i * 5;
  for (unsigned round = 0; round < count; round++)
    for (int i = 0; i < N; i++) a[i] = a[i] + b[i] * 3;
  uint64_t sum = 0;
  for (int i = 0; i < N; i++) sum = sum * 31 + a[i];
  return sum;
}

static uint64_t scatter(unsigned count) {
  enum { N = 1 << 20 };
  static uint32_t table[N];
  memset(table, 0, sizeof table);
  uint32_t seed = 11;
  for (unsigned i = 0; i < count; i++) {
    uint32_t r = next_random(&seed);
    table[r % N] ^= r;
  }
  uint64_t sum = 0;
  for (int i = 0; i < N; i += 7) sum += table[i];
  return sum;
}

static uint64_t strings(unsigned count) {
  static char text[4096];
  memset(text, 'a', sizeof text - 1);
  uint64_t sum = 0;
  for (unsigned i = 0; i < count; i++) {
    text[i % 4000 + 50] = 'b';
    char *volatile start = text;
    sum += strlen(start) + (uint64_t)(strchr(start, 'b') - start) + (uint64_t)memcmp(start, start + 1, 40);
    text[i % 4000 + 50] = 'a';
  }
  return sum;
}

const struct workload memory_workloads[] = {
  {"chase", chase, 4000000}, {"copy", copy, 300}, {"rep-movs", rep_movs, 300000},   {"fill", fill, 800},
  {"stream", stream, 700},   {"scatter", scatter, 4000000}, {"strings", strings, 200000}, {0},
};
