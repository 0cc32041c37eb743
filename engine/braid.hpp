#pragma once
// Everything a program needs.
#include <braid/activation_function.hpp>
#include <braid/count.hpp>
#include <braid/device.hpp>
#include <braid/error.hpp>
#include <braid/initializer.hpp>
#include <braid/layers.hpp>
#include <braid/losses.hpp>
#include <braid/random.hpp>
#include <braid/regularizer.hpp>
#include <braid/shape.hpp>
#include <braid/symbolic.hpp>
#include <braid/tensor.hpp>
