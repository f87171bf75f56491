#define _GNU_SOURCE
#include <fenv.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static sigjmp_buf escape;
static volatile int code;
static volatile int zero;
static volatile double dividend = 1;
static volatile long minusOne = -1;

static void set(long flag) { __asm__ volatile("pushf; orq %0,(%%rsp); popf" ::"r"(flag) : "memory", "cc"); }
static void clear(long flag) { __asm__ volatile("pushf; andq %0,(%%rsp); popf" ::"r"(~flag) : "memory", "cc"); }

static void caught(int number, siginfo_t *info, void *context) {
  (void)context;
  clear(0x40000); /* Linux keeps AC. */
  code = info->si_code;
  siglongjmp(escape, number);
}

static void divide(void) { zero = 7 / zero; }
static void overflow(void) { zero = (int)((long)(1ul << 63) / minusOne); }
static void null(void) { *(volatile int *)0 = 1; }
static void nonCanonical(void) { *(volatile char *)0x8000000000001234 = 1; }
static void undefined(void) { __asm__ volatile("ud2"); }
static void breakpoint(void) { __asm__ volatile("int3"); }
static void privileged(void) { __asm__ volatile("hlt"); }
static void readOnly(void) { *(volatile char *)mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) = 1; }
static void noExecute(void) { ((void (*)(void))mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))(); }
static void divideDouble(void) { feenableexcept(FE_DIVBYZERO); dividend = dividend / zero; }
static void invalidLong(void) { feenableexcept(FE_INVALID); volatile long double value = 0; value = value / value; value = value + 1; }
static void timer(void) { ualarm(20000, 0); while (!code) zero = 0; }
static void alignment(void) { static char bytes[16] __attribute__((aligned(16))); set(0x40000); *(volatile int *)(bytes + 1) = 3; }
static void step(void) { set(0x100); __asm__ volatile("nop; nop"); }

static const struct { const char *name; void (*cause)(void); } causes[] = {
  {"divide", divide}, {"overflow", overflow}, {"null", null}, {"not canonical", nonCanonical}, {"undefined", undefined}, {"breakpoint", breakpoint}, {"privileged", privileged}, {"read-only", readOnly},
  {"no execute", noExecute}, {"divide double", divideDouble}, {"invalid long", invalidLong}, {"timer", timer}, {"alignment", alignment}, {"step", step},
};

static atomic_long shared;
static long guarded;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static __thread long own = 5;

static void *count(void *argument) {
  for (int i = 0; i < 5000; i++) {
    atomic_fetch_add(&shared, 1);
    pthread_mutex_lock(&mutex);
    guarded += own;
    pthread_mutex_unlock(&mutex);
    if (i % 1000 == 0) sched_yield();
  }
  return (void *)(own += (long)argument);
}

int main(void) {
  stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
  sigaltstack(&stack, 0);
  struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
  const int numbers[] = {SIGFPE, SIGSEGV, SIGILL, SIGTRAP, SIGBUS, SIGALRM};
  for (int i = 0; i < 6; i++) sigaction(numbers[i], &action, 0);
  for (volatile unsigned i = 0; i < sizeof causes / sizeof *causes; i++) {
    code = 0;
    int number = sigsetjmp(escape, 1);
    if (!number) causes[i].cause();
    fedisableexcept(FE_ALL_EXCEPT);
    printf("%s: %s, code %d\n", causes[i].name, number ? strsignal(number) : "nothing", code);
  }
  pthread_t threads[8];
  long owned = 0;
  for (long i = 0; i < 8; i++) pthread_create(threads + i, 0, count, (void *)i);
  for (int i = 0; i < 8; i++) {
    void *result;
    pthread_join(threads[i], &result);
    owned += (long)result;
  }
  printf("threads: %ld %ld %ld\n", (long)shared, guarded, owned);
  fflush(stdout);
  pid_t child = fork();
  if (!child) {
    signal(SIGILL, SIG_DFL);
    undefined();
  }
  int status;
  waitpid(child, &status, 0);
  printf("child: %s\n", strsignal(WTERMSIG(status)));
  unsigned char *code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  long sum = 0;
  for (int i = 0; i < 2000; i++) {
    const unsigned char body[] = {0xb8, i, i >> 8, 0, 0, 0xc3}; /* mov eax, i; ret */
    memcpy(code, body, sizeof body);
    sum += ((int (*)(void))code)();
  }
  printf("code written anew: %ld\n", sum);
}
