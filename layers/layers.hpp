#pragma once
#include <braid/layers/dense.hpp>
#include <braid/layers/embedding.hpp>
#include <braid/layers/lstm.hpp>
#include <braid/layers/masking.hpp>
#include <braid/layers/merge.hpp>
#include <braid/layers/pointwise.hpp>
#include <braid/layers/reshaping.hpp>
