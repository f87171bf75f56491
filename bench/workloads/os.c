/* What needs the operating system: calls, faults, processes, files. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "workloads.h"

static uint64_t getppid_loop(unsigned count) {
  long first = syscall(SYS_getppid);
  uint64_t same = 0;
  for (unsigned i = 0; i < count; i++) same += syscall(SYS_getppid) == first;
  return same;
}

static uint64_t page_faults(unsigned count) {
  enum { PAGES = 256 };
  uint64_t sum = 0;
  for (unsigned round = 0; round < count; round++) {
    volatile unsigned char *pages = mmap(0, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) fail("mmap");
    for (int i = 0; i < PAGES; i++) sum += pages[i * 4096]++ + 1u;
    munmap((void *)pages, PAGES * 4096);
  }
  return sum;
}

static void wait_for(pid_t child) {
  int status;
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0) fail("child");
}

static uint64_t fork_loop(unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    pid_t child = fork();
    if (child == 0) _exit(0);
    wait_for(child);
  }
  return count;
}

/* Runs this program again, which then only ends. */
static uint64_t fork_exec(unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    pid_t child = fork();
    if (child == 0) {
      dup2(open("/dev/null", O_WRONLY), 1);
      execl("/proc/self/exe", "workloads", "1", "none", (char *)0);
      _exit(1);
    }
    wait_for(child);
  }
  return count;
}

static uint64_t context_switch(unsigned count) {
  int there[2], back[2];
  if (pipe(there) || pipe(back)) fail("pipe");
  pid_t child = fork();
  if (child == 0) {
    char byte;
    for (unsigned i = 0; i < count; i++)
      if (read(there[0], &byte, 1) != 1 || write(back[1], &byte, 1) != 1) _exit(1);
    _exit(0);
  }
  uint64_t sum = 0;
  for (unsigned i = 0; i < count; i++) {
    char byte = (char)(i & 63);
    if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1) fail("pipe");
    sum += (uint64_t)byte;
  }
  wait_for(child);
  for (int i = 0; i < 2; i++) close(there[i]), close(back[i]);
  return sum;
}

static uint64_t file_io(unsigned count) {
  static char block[4096];
  uint64_t sum = 0;
  for (unsigned round = 0; round < count; round++) {
    int file = open("/tmp/workload-file", O_CREAT | O_RDWR | O_TRUNC, 0600);
    if (file < 0) fail("/tmp/workload-file");
    for (int i = 0; i < 64; i++) {
      memset(block, i, sizeof block);
      if (write(file, block, sizeof block) != sizeof block) fail("write");
    }
    lseek(file, 0, SEEK_SET);
    while (read(file, block, 1000) == 1000) sum += (unsigned char)block[round % 1000];
    close(file);
    unlink("/tmp/workload-file");
  }
  return sum;
}

static volatile sig_atomic_t signal_count;
static void on_signal(int number) { signal_count += number == SIGUSR1; }

static uint64_t signals(unsigned count) {
  signal_count = 0;
  signal(SIGUSR1, on_signal);
  for (unsigned i = 0; i < count; i++) raise(SIGUSR1);
  return (uint64_t)signal_count;
}

const struct workload os_workloads[] = {
  {"getppid", getppid_loop, 200000}, {"page-faults", page_faults, 60}, {"fork", fork_loop, 120}, {"fork-exec", fork_exec, 60},
  {"context-switch", context_switch, 6000}, {"file-io", file_io, 60}, {"signals", signals, 20000}, {0},
};
