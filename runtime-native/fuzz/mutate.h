// Mutants of program files that mostly still are program files: a field changes, or a string, and header and lengths are made to agree.
#pragma once

#include <cstddef>
#include <cstdint>

/// Changes one to three things of a file in `room` bytes; gives the new size. The same seed gives the same mutant.
size_t cec_mutate(uint8_t* bytes, size_t size, size_t room, uint32_t seed);
