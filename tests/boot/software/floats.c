#include <complex.h>
#include <fenv.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static uint64_t state = 88172645463325252u, hash = 14695981039346656037u;

static uint64_t next(void) {
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}

static void mix(uint64_t value) {
  for (int shift = 0; shift < 64; shift += 8) hash = (hash ^ (value >> shift & 255)) * 1099511628211u;
}

/* The bits of a NaN depend on the order that the compiler gives two operands. */
static void mixDouble(double value) {
  uint64_t bits = 1;
  if (value == value) memcpy(&bits, &value, 8);
  mix(bits);
}

static void mixLong(long double value) {
  uint64_t bits[2] = {1, 1};
  if (value == value) memcpy(bits, &value, 10);
  mix(bits[0]), mix(bits[1] & 0xffff);
}

static double between(double low, double high) { return low + (high - low) * ((next() >> 11) / 9007199254740992.0); }

static void arithmetic(int mode) {
  fesetround(mode);
  for (int i = 0; i < 4000; i++) {
    uint64_t bits[2] = {next(), next()};
    double pair[2];
    memcpy(pair, bits, 16);
    if (i & 1) pair[0] = (int64_t)bits[0] * 1e-9, pair[1] = (int32_t)bits[1] * 1e-3;
    volatile double a = pair[0], b = pair[1];
    mixDouble(a + b), mixDouble(a - b), mixDouble(a * b), mixDouble(a / b), mixDouble(sqrt(a)), mixDouble((float)a), mixDouble((float)a * (float)b), mixDouble((float)a / (float)b);
    mixLong((long double)a * b), mixLong((long double)a / b), mixLong(sqrtl(a)), mixLong(rintl(a));
    mixDouble(floor(a)), mixDouble(trunc(b)), mixDouble(fmod(a, b)), mixDouble(remainder(a, b)), mix(a < b), mix(isunordered(a, b));
    if (fabs(a) < 1e18) mix((int64_t)a), mix(llrint(a));
    mixDouble((int64_t)bits[0]), mixDouble(bits[0]), mixLong(bits[0]);
  }
}

#define FUNCTION(name, low, high) { #name, name, low, high }
static const struct { const char *name; double (*of)(double); double low, high; } functions[] = {
  FUNCTION(sin, -100, 100), FUNCTION(cos, -1e6, 1e6), FUNCTION(tan, -10, 10), FUNCTION(asin, -1, 1), FUNCTION(atan, -50, 50), FUNCTION(sinh, -20, 20), FUNCTION(tanh, -5, 5), FUNCTION(exp, -700, 700),
  FUNCTION(expm1, -5, 5), FUNCTION(log, 0, 1e6), FUNCTION(log10, 0, 1e6), FUNCTION(log1p, -1, 10), FUNCTION(cbrt, -1e6, 1e6), FUNCTION(erf, -4, 4), FUNCTION(tgamma, -20, 100), FUNCTION(lgamma, -20, 1000),
};
/* Most are x87 instructions, whose last place processors differ in (SDM vol. 1 section 8.3.10): only what a double holds counts. */
#define LONG(name, low, high) { #name, name, low, high }
static const struct { const char *name; long double (*of)(long double); double low, high; } longs[] = {
  LONG(sinl, -100, 100), LONG(tanl, -10, 10), LONG(atanl, -50, 50), LONG(asinl, -1, 1), LONG(expl, -11000, 11000), LONG(logl, 0, 1e6), LONG(log2l, 0, 1e6), LONG(tgammal, 0, 1000),
};

int main(void) {
  const int modes[] = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO, FE_TONEAREST};
  for (int i = 0; i < 4; i++) arithmetic(modes[i]);
  printf("arithmetic %016lx\n", hash);
  for (unsigned f = 0; f < sizeof functions / sizeof *functions; f++) {
    for (int i = 0; i < 500; i++) mixDouble(functions[f].of(between(functions[f].low, functions[f].high)));
    printf("%s %016lx\n", functions[f].name, hash);
  }
  for (unsigned f = 0; f < sizeof longs / sizeof *longs; f++) {
    for (int i = 0; i < 200; i++) mixDouble(longs[f].of(between(longs[f].low, longs[f].high)));
    printf("%s %016lx\n", longs[f].name, hash);
  }
  for (int i = 0; i < 500; i++) {
    double x = between(0, 100), y = between(-50, 50);
    double complex z = cexp(x / 10 + y * I);
    mixDouble(pow(x, y)), mixDouble(atan2(y, x)), mixDouble(hypot(x, y)), mixDouble(creal(z)), mixDouble(cimag(z)), mixDouble(fma(x, y, x)), mixDouble(powl(x, y / 10));
  }
  printf("two arguments %016lx\n", hash);
  printf("%.20Lg %.17g %a %La\n", 4 * atanl(1), exp(1), 1 / 3.0, 1 / 3.0L);
}
