/* Busybox's own tools over files made here, as programs that somebody else compiled. BUSYBOX names the program. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "workloads.h"

#define FOLDER "/tmp/workload-tools"

static void make_text(unsigned lines) {
  static const char *const words[] = {"yard", "roof", "room", "stone", "paper", "door", "garden", "kitchen", "lantern", "winter"};
  mkdir(FOLDER, 0700);
  FILE *file = fopen(FOLDER "/text", "w");
  if (!file) fail(FOLDER "/text");
  uint32_t seed = 17;
  for (unsigned i = 0; i < lines; i++) {
    fprintf(file, "%u", next_random(&seed) % 100000);
    for (int k = 0; k < 6; k++) fprintf(file, " %s", words[next_random(&seed) % 10]);
    fputc('\n', file);
  }
  fclose(file);
}

/* Sums what a command prints. $BB is busybox. */
static uint64_t output_of(const char *command) {
  char line[600];
  const char *busybox = getenv("BUSYBOX");
  if (!busybox) busybox = "/bin/busybox";
  snprintf(line, sizeof line, "BB=%s; cd " FOLDER "; %s", busybox, command);
  int ends[2];
  if (pipe(ends)) fail("pipe");
  pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 1);
    close(ends[0]);
    close(ends[1]);
    setenv("LC_ALL", "C", 1);
    execl(busybox, "sh", "-c", line, (char *)0);
    _exit(127);
  }
  close(ends[1]);
  uint64_t sum = 0;
  unsigned char buffer[4096];
  for (ssize_t got; (got = read(ends[0], buffer, sizeof buffer)) > 0;)
    for (ssize_t i = 0; i < got; i++) sum = sum * 31 + buffer[i];
  close(ends[0]);
  int status;
  if (waitpid(child, &status, 0) != child || status != 0) fail(command);
  return sum;
}

static uint64_t tool(unsigned lines, const char *command) {
  make_text(lines);
  return output_of(command);
}

static uint64_t gzip_tool(unsigned n) { return tool(n, "$BB gzip -c text | $BB gunzip -c | $BB md5sum"); }
static uint64_t sort_tool(unsigned n) { return tool(n, "$BB sort text | $BB md5sum"); }
static uint64_t awk_tool(unsigned n) { return tool(n, "$BB awk '{ n[$2] += $1; t += length($0) } END { for (w in n) s += n[w]; print s, t }' text"); }
static uint64_t grep_tool(unsigned n) { return tool(n, "$BB grep -c 'roof.*garden' text; $BB sed -e 's/stone/wood/g' text | $BB wc"); }
static uint64_t shell_tool(unsigned n) {
  char command[200];
  mkdir(FOLDER, 0700);
  snprintf(command, sizeof command, "i=0; s=0; while [ $i -lt %u ]; do s=$(( (s * 7 + i) %% 10007 )); i=$((i + 1)); done; echo $s", n);
  return output_of(command);
}
static uint64_t pipeline_tool(unsigned n) {
  char command[200];
  make_text(50);
  snprintf(command, sizeof command, "i=0; while [ $i -lt %u ]; do $BB head -n 5 text | $BB tail -n 1; i=$((i + 1)); done", n);
  return output_of(command);
}

const struct workload tool_workloads[] = {
  {"gzip", gzip_tool, 10000}, {"sort", sort_tool, 10000},       {"awk", awk_tool, 15000}, {"grep-sed", grep_tool, 10000},
  {"shell", shell_tool, 25000}, {"pipeline", pipeline_tool, 20}, {0},
};
