// What bindings check of their arguments; every message names the argument. After the checks the GIL is released.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <string>

namespace egopack {

namespace nb = nanobind;

// A contiguous array on the CPU, taken as it is.
template <typename T>
using Table = nb::ndarray<T, nb::c_contig, nb::device::cpu>;

[[noreturn]] inline void refuse(const std::string& message) { throw nb::value_error(message.c_str()); }

// For settings; a check of every row calls refuse() itself, so that its message is only written when needed.
inline void require(bool holds, const std::string& message) {
    if (!holds) refuse(message);
}

inline void check_length(size_t length, const std::string& name, size_t wanted, const std::string& of) {
    if (length != wanted)
        refuse(name + ": has " + std::to_string(length) + " rows, " + of + " has " + std::to_string(wanted));
}

}  // namespace egopack
