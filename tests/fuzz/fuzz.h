// SPDX-License-Identifier: AGPL-3.0-or-later
// What a target of libFuzzer consists of, and what the parts of the one for queries share.
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

// The names are libFuzzer's.
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);

#define FUZZ_ADA  "aaaaaaaa-0000-4000-8000-000000000001"
#define FUZZ_BOB  "aaaaaaaa-0000-4000-8000-000000000002"
#define FUZZ_ROOT "aaaaaaaa-0000-4000-8000-000000000003"
#define FUZZ_P1   "11111111-0000-4000-8000-000000000001"
#define FUZZ_P2   "11111111-0000-4000-8000-000000000002"
#define FUZZ_P3   "11111111-0000-4000-8000-000000000003"
#define FUZZ_P4   "11111111-0000-4000-8000-000000000004"

// In what is nobody else's to read; no input may hold it.
#define FUZZ_SECRET "zqsecret"
// In what is sent; no statement may hold it.
#define FUZZ_MARK "zq"

#endif
