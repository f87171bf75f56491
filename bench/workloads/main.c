/* workloads ROUNDS [NAME...]: runs each workload ROUNDS times; prints column, name, result and each round's nanoseconds. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "workloads.h"

static const struct {
  const char *name;
  const struct workload *workloads;
} columns[] = {
  {"integer", integer_workloads}, {"memory", memory_workloads}, {"float", float_workloads},
  {"code", code_workloads},       {"os", os_workloads},         {"tools", tool_workloads},
};

void fail(const char *what) {
  printf("failed %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int is_asked(const char *name, const char *column, int count, char **names) {
  for (int i = 0; i < count; i++)
    if (!strcmp(names[i], name) || !strcmp(names[i], column)) return 1;
  return count == 0;
}

static void measure(const char *column, const struct workload *w, int rounds) {
  uint64_t ns[64], result = 0;
  for (int i = 0; i < rounds; i++) {
    uint64_t start = now_ns();
    uint64_t r = w->run(w->count);
    ns[i] = now_ns() - start;
    if (i > 0 && r != result) fail(w->name);
    result = r;
  }
  printf("workload %s %s %016llx", column, w->name, (unsigned long long)result);
  for (int i = 0; i < rounds; i++) printf(" %llu", (unsigned long long)ns[i]);
  printf("\n");
  fflush(stdout);
}

int main(int argc, char **argv) {
  int rounds = argc > 1 ? atoi(argv[1]) : 3;
  if (rounds < 1 || rounds > 64) {
    fprintf(stderr, "usage: workloads ROUNDS [NAME...], with 1 to 64 rounds\n");
    return 2;
  }
  printf("workloads start %llu\n", (unsigned long long)now_ns());
  fflush(stdout);
  for (unsigned c = 0; c < sizeof columns / sizeof *columns; c++)
    for (const struct workload *w = columns[c].workloads; w->name; w++)
      if (is_asked(w->name, columns[c].name, argc - 2, argv + 2)) measure(columns[c].name, w, rounds);
  printf("workloads end %llu\n", (unsigned long long)now_ns());
  return 0;
}
