/* A workload does `count` units of its work and returns a number that depends on all of it. */
#ifndef WORKLOADS_H
#define WORKLOADS_H

#include <stdint.h>

struct workload {
  const char *name;
  uint64_t (*run)(unsigned count);
  unsigned count;
};

extern const struct workload integer_workloads[];
extern const struct workload memory_workloads[];
extern const struct workload float_workloads[];
extern const struct workload code_workloads[];
extern const struct workload os_workloads[];
extern const struct workload tool_workloads[];

/* A small generator, the same everywhere. */
static inline uint32_t next_random(uint32_t *state) {
  uint32_t x = *state;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  return *state = x;
}

/* Ends the program with what failed. */
void fail(const char *what);

#endif
