// What the tests share.
#pragma once

#include <cstdio>

extern int failures;

#define CHECK(condition, ...)                                   \
  do {                                                          \
    if (!(condition)) {                                         \
      ++failures;                                               \
      std::printf("%s:%d: %s; ", __FILE__, __LINE__, #condition); \
      std::printf(__VA_ARGS__);                                 \
      std::printf("\n");                                        \
    }                                                           \
  } while (0)

void test_int4();
void test_layers();
void test_frame();
void test_codec();
