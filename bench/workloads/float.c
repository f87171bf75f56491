/* Floating point: scalar and packed SSE2, x87, the mathematical library. */
#include <emmintrin.h>
#include <math.h>
#include <string.h>

#include "workloads.h"

static uint64_t bits_of(double value) {
  uint64_t bits;
  memcpy(&bits, &value, 8);
  return bits;
}

struct body {
  double x[3], v[3], mass;
};

static uint64_t nbody(unsigned count) {
  struct body bodies[5] = {
    {{0, 0, 0}, {0, 0, 0}, 39.5},
    {{4.8, -1.2, -0.1}, {0.6, 2.8, -0.02}, 0.04},
    {{8.3, 4.1, -0.4}, {-1.0, 1.8, 0.008}, 0.01},
    {{12.9, -15.1, -0.2}, {1.1, 0.9, -0.01}, 0.002},
    {{15.4, -25.9, 0.2}, {1.0, 0.6, -0.03}, 0.002},
  };
  for (unsigned step = 0; step < count; step++) {
    for (int i = 0; i < 5; i++)
      for (int j = i + 1; j < 5; j++) {
        double d[3], square = 0;
        for (int k = 0; k < 3; k++) d[k] = bodies[i].x[k] - bodies[j].x[k], square += d[k] * d[k];
        double strength = 0.001 / (square * sqrt(square));
        for (int k = 0; k < 3; k++) {
          bodies[i].v[k] -= d[k] * bodies[j].mass * strength;
          bodies[j].v[k] += d[k] * bodies[i].mass * strength;
        }
      }
    for (int i = 0; i < 5; i++)
      for (int k = 0; k < 3; k++) bodies[i].x[k] += 0.001 * bodies[i].v[k];
  }
  return bits_of(bodies[0].x[0]) ^ bits_of(bodies[4].v[2]);
}

static uint64_t mandelbrot_sse(unsigned count) {
  uint64_t sum = 0;
  for (unsigned y = 0; y < count; y++)
    for (unsigned x = 0; x < count; x++) {
      double cr = 3.0 * x / count - 2, ci = 2.0 * y / count - 1, zr = 0, zi = 0;
      int n = 0;
      for (; n < 100 && zr * zr + zi * zi < 4; n++) {
        double t = zr * zr - zi * zi + cr;
        zi = 2 * zr * zi + ci;
        zr = t;
      }
      sum += (uint64_t)n;
    }
  return sum;
}

static uint64_t mandelbrot_x87(unsigned count) {
  uint64_t sum = 0;
  for (unsigned y = 0; y < count; y++)
    for (unsigned x = 0; x < count; x++) {
      long double cr = 3.0L * x / count - 2, ci = 2.0L * y / count - 1, zr = 0, zi = 0;
      int n = 0;
      for (; n < 100 && zr * zr + zi * zi < 4; n++) {
        long double t = zr * zr - zi * zi + cr;
        zi = 2 * zr * zi + ci;
        zr = t;
      }
      sum += (uint64_t)n;
    }
  return sum;
}

static uint64_t packed_float(unsigned count) {
  enum { N = 1024 };
  static float a[N] __attribute__((aligned(16))), b[N] __attribute__((aligned(16)));
  for (int i = 0; i < N; i++) a[i] = (float)i / N, b[i] = 1.0f / (float)(i + 1);
  const __m128 factor = _mm_set1_ps(0.999f);
  for (unsigned round = 0; round < count; round++)
    for (int i = 0; i < N; i += 4) {
      __m128 x = _mm_load_ps(a + i), y = _mm_load_ps(b + i);
      x = _mm_add_ps(_mm_mul_ps(x, factor), _mm_mul_ps(y, _mm_set1_ps(0.001f)));
      y = _mm_min_ps(_mm_sub_ps(y, _mm_mul_ps(x, _mm_set1_ps(0.001f))), x);
      _mm_store_ps(a + i, x);
      _mm_store_ps(b + i, y);
    }
  uint64_t sum = 0;
  for (int i = 0; i < N; i++) sum += bits_of(a[i]) >> 20;
  return sum;
}

static uint64_t packed_integer(unsigned count) {
  enum { N = 4096 };
  static uint8_t a[N] __attribute__((aligned(16))), b[N] __attribute__((aligned(16)));
  for (int i = 0; i < N; i++) a[i] = (uint8_t)(i * 7), b[i] = (uint8_t)(i * 13 + 5);
  __m128i total = _mm_setzero_si128();
  for (unsigned round = 0; round < count; round++)
    for (int i = 0; i < N; i += 16) {
      __m128i x = _mm_load_si128((__m128i *)(a + i)), y = _mm_load_si128((__m128i *)(b + i));
      total = _mm_add_epi64(total, _mm_sad_epu8(x, y));
      x = _mm_adds_epu8(_mm_avg_epu8(x, y), _mm_cmpgt_epi8(x, y));
      y = _mm_unpacklo_epi8(_mm_packus_epi16(x, y), _mm_srli_epi16(y, 3));
      _mm_store_si128((__m128i *)(a + i), _mm_xor_si128(x, y));
    }
  uint64_t sums[2];
  memcpy(sums, &total, 16);
  return sums[0] ^ sums[1];
}

static uint64_t libm(unsigned count) {
  double sum = 0;
  for (unsigned i = 1; i <= count; i++) {
    double x = i * 0.01;
    sum += sin(x) + cos(x) * exp(-x / 1000) + log(x) + pow(x, 0.7) + atan2(x, 3);
  }
  return bits_of(sum) >> 12;
}

static uint64_t matmul_double(unsigned count) {
  enum { N = 64 };
  static double a[N][N], b[N][N], c[N][N];
  memset(c, 0, sizeof c);
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) a[i][j] = i * 0.5 + j, b[i][j] = i - j * 0.25;
  for (unsigned round = 0; round < count; round++)
    for (int i = 0; i < N; i++)
      for (int j = 0; j < N; j++) {
        double s = 0;
        for (int k = 0; k < N; k++) s += a[i][k] * b[k][j];
        c[i][j] = s + c[i][j] * 0.5;
      }
  return bits_of(c[5][7]) ^ bits_of(c[60][33]);
}

static uint64_t convert(unsigned count) {
  double x = 0.5;
  float f = 1.5f;
  uint64_t sum = 0;
  for (unsigned i = 0; i < count; i++) {
    x = x * 1.0000001 + (double)(int)i * 1e-9;
    f = (float)x + f * 0.5f;
    sum += (uint64_t)(int)(x * 1000) + (uint64_t)(int)f;
  }
  return sum;
}

const struct workload float_workloads[] = {
  {"nbody", nbody, 150000},           {"mandelbrot-sse", mandelbrot_sse, 300}, {"mandelbrot-x87", mandelbrot_x87, 200}, {"packed-float", packed_float, 40000},
  {"packed-integer", packed_integer, 40000}, {"libm", libm, 200000},               {"matmul-double", matmul_double, 50},     {"convert", convert, 3000000},
  {0},
};
