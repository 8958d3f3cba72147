// Checked reading of array arguments and handing back of results. Every message names the argument.
#pragma once

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "checks.h"

namespace egopack {

using AnyArray = nb::ndarray<nb::ro>;

inline std::string dtype_name(nb::dlpack::dtype type) {
    std::string kind = "other";
    switch (static_cast<nb::dlpack::dtype_code>(type.code)) {
        case nb::dlpack::dtype_code::Int: kind = "int"; break;
        case nb::dlpack::dtype_code::UInt: kind = "uint"; break;
        case nb::dlpack::dtype_code::Float: kind = "float"; break;
        case nb::dlpack::dtype_code::Bfloat: kind = "bfloat"; break;
        case nb::dlpack::dtype_code::Complex: kind = "complex"; break;
        case nb::dlpack::dtype_code::Bool: return "bool";
        default: break;
    }
    return kind + std::to_string(type.bits);
}

inline std::string shape_name(const AnyArray& array) {
    std::string text = "[";
    for (size_t axis = 0; axis < array.ndim(); ++axis)
        text += (axis ? ", " : "") + std::to_string(array.shape(axis));
    return text + "]";
}

// A CPU array of exactly this type and shape; `columns` 0 stands for a vector. Strides may be any.
template <typename T>
AnyArray checked(nb::handle value, const std::string& name, size_t columns) {
    const std::string wanted = dtype_name(nb::dtype<T>()) + (columns ? " [N, " + std::to_string(columns) + "]" : " [N]");
    if (!nb::ndarray_check(value))
        throw nb::type_error((name + ": expected an array of " + wanted + ", got " +
                              nb::cast<std::string>(nb::str(value.type().attr("__name__")))).c_str());
    auto array = nb::cast<AnyArray>(value);
    if (array.device_type() != nb::device::cpu::value)
        throw nb::type_error((name + ": expected an array on the CPU").c_str());
    const std::string got = dtype_name(array.dtype()) + " " + shape_name(array);
    if (array.dtype() != nb::dtype<T>())
        throw nb::type_error((name + ": expected " + wanted + ", got " + got).c_str());
    const bool fits = columns ? array.ndim() == 2 && array.shape(1) == columns : array.ndim() == 1;
    if (!fits) throw nb::value_error((name + ": expected " + wanted + ", got " + got).c_str());
    return array;
}

template <typename T>
std::vector<T> read_column(const AnyArray& array, size_t column) {
    const auto* data = static_cast<const T*>(array.data()) + (array.ndim() == 2 ? column * array.stride(1) : 0);
    const int64_t step = array.stride(0);
    std::vector<T> values(array.shape(0));
    for (size_t i = 0; i < values.size(); ++i) values[i] = data[static_cast<int64_t>(i) * step];
    return values;
}

template <typename T>
std::vector<T> read_vector(nb::handle value, const std::string& name) {
    return read_column<T>(checked<T>(value, name, 0), 0);
}

template <typename T>
void check_finite(const std::vector<T>& values, const std::string& name) {
    for (size_t i = 0; i < values.size(); ++i)
        if (!std::isfinite(values[i]))
            refuse(name + ": row " + std::to_string(i) + " is " + std::to_string(values[i]));
}

// Starts and ends of the rows of [N, 2].
template <typename T>
void read_segments(nb::handle value, const std::string& name, std::vector<T>& start, std::vector<T>& end) {
    const auto array = checked<T>(value, name, 2);
    start = read_column<T>(array, 0);
    end = read_column<T>(array, 1);
    check_finite(start, name);
    check_finite(end, name);
    for (size_t i = 0; i < start.size(); ++i)
        if (start[i] > end[i])
            refuse(name + ": row " + std::to_string(i) + " ends before it starts: [" + std::to_string(start[i]) + ", " +
                   std::to_string(end[i]) + "]");
}

template <typename T>
auto to_numpy(std::vector<T>&& values, std::initializer_list<size_t> shape) {
    auto owned = std::make_unique<std::vector<T>>(std::move(values));
    T* data = owned->data();
    nb::capsule owner(owned.get(), [](void* pointer) noexcept { delete static_cast<std::vector<T>*>(pointer); });
    owned.release();
    return nb::ndarray<nb::numpy, T>(data, shape, owner);
}

}  // namespace egopack
