// Stands in for cuBLASLt in tests: the functions that Braid calls, on memory of the host. It takes
// nothing for granted: attributes of a wrong size, layouts that do not fit each other, algorithms
// found for something else, and addresses less aligned than was said are errors, as they are with
// the real one.
#include "tests/cublaslt_stand_in/stand_in.hpp"

#include <cublasLt.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <typeindex>
#include <vector>

namespace {

braid::testing::StandInControls controls;

struct Operation {
  cublasComputeType_t arithmetic;
  cublasOperation_t of_a = CUBLAS_OP_N;
  cublasOperation_t of_b = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  void* vector = nullptr;
};
struct Layout {
  std::uint64_t rows;
  std::uint64_t columns;
  std::int64_t stride;
};
// The alignments that are promised; the library's defaults are the highest.
struct Preference {
  std::uint32_t alignments[4] = {256, 256, 256, 256};
};

// What lives, by its address.
std::mutex mutex;
std::map<const void*, std::type_index> living;

template <class Handle, class Content>
cublasStatus_t create(Handle* handle, Content content) {
  auto* const made = new Content(content);
  const std::lock_guard lock(mutex);
  living.emplace(made, typeid(Content));
  ++controls.descriptors;
  *handle = reinterpret_cast<Handle>(made);
  return CUBLAS_STATUS_SUCCESS;
}
template <class Content, class Handle>
Content* content_of(Handle handle) {
  const std::lock_guard lock(mutex);
  const auto found = living.find(handle);
  const bool is_one = found != living.end() && found->second == typeid(Content);
  return is_one ? reinterpret_cast<Content*>(handle) : nullptr;
}

template <class Content, class Handle>
cublasStatus_t destroy(Handle handle) {
  if (content_of<Content>(handle) == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  const std::lock_guard lock(mutex);
  living.erase(handle);
  --controls.descriptors;
  delete reinterpret_cast<Content*>(handle);
  return CUBLAS_STATUS_SUCCESS;
}
template <class Value>
cublasStatus_t read(Value& value, const void* from, std::size_t bytes) {
  if (from == nullptr || bytes != sizeof(Value)) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&value, from, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

// A product whose parts fit each other, all in columns: out[m, n] = a[m, k] . b[k, n].
struct Plan {
  Operation operation;
  Layout a;
  Layout b;
  Layout out;

  std::uint64_t m() const { return out.rows; }
  std::uint64_t n() const { return out.columns; }
  std::uint64_t k() const { return operation.of_a == CUBLAS_OP_N ? a.columns : a.rows; }

  bool fits() const {
    for (const Layout& layout : {a, b, out}) {
      if (layout.rows == 0 || layout.columns == 0 ||
          layout.stride < static_cast<std::int64_t>(layout.rows)) {
        return false;
      }
    }
    const bool a_as_is = operation.of_a == CUBLAS_OP_N;
    const bool b_as_is = operation.of_b == CUBLAS_OP_N;
    const bool wants_vector = operation.epilogue != CUBLASLT_EPILOGUE_DEFAULT;
    return (a_as_is ? a.rows : a.columns) == m() && (b_as_is ? b.rows : b.columns) == k() &&
           (b_as_is ? b.columns : b.rows) == n() && wants_vector == (operation.vector != nullptr);
  }
};

// What an algorithm was found for.
struct Found {
  Plan plan;
  std::uint32_t alignments[4];
};
static_assert(sizeof(Found*) <= sizeof(cublasLtMatmulAlgo_t));

bool is_same(const Plan& a, const Plan& b) {
  const auto same = [](const Layout& x, const Layout& y) {
    return x.rows == y.rows && x.columns == y.columns && x.stride == y.stride;
  };
  return a.operation.arithmetic == b.operation.arithmetic && a.operation.of_a == b.operation.of_a &&
         a.operation.of_b == b.operation.of_b && a.operation.epilogue == b.operation.epilogue &&
         same(a.a, b.a) && same(a.b, b.b) && same(a.out, b.out);
}

bool is_aligned(const void* address, std::uint32_t alignment) {
  return reinterpret_cast<std::uintptr_t>(address) % alignment == 0;
}

// As matrix units round operands: to 10 bits of fraction with ties away from 0, or to 7 with ties
// to even.
double rounded(cublasComputeType_t arithmetic, double x) {
  if (arithmetic == CUBLAS_COMPUTE_32F || x == 0 || !std::isfinite(x)) return x;
  const bool is_tf32 = arithmetic == CUBLAS_COMPUTE_32F_FAST_TF32;
  const int exponent = std::ilogb(x) - (is_tf32 ? 10 : 7);
  const double steps = std::ldexp(x, -exponent);
  return std::ldexp(is_tf32 ? std::round(steps) : std::nearbyint(steps), exponent);
}

struct Work {
  Plan plan;
  const float* a;
  const float* b;
  float* out;
  bool adds;

  void run() const {
    const Operation& operation = plan.operation;
    const auto at = [&](const float* data, const Layout& layout, cublasOperation_t is,
                        std::uint64_t row, std::uint64_t column) {
      const std::uint64_t r = is == CUBLAS_OP_N ? row : column;
      const std::uint64_t c = is == CUBLAS_OP_N ? column : row;
      return static_cast<double>(data[r + c * static_cast<std::uint64_t>(layout.stride)]);
    };
    for (std::uint64_t i = 0; i < plan.m(); ++i) {
      double sum_of_a = 0;
      for (std::uint64_t k = 0; k < plan.k(); ++k) sum_of_a += at(a, plan.a, operation.of_a, i, k);
      if (operation.epilogue == CUBLASLT_EPILOGUE_BGRADA)
        static_cast<float*>(operation.vector)[i] = static_cast<float>(sum_of_a);
      for (std::uint64_t j = 0; j < plan.n(); ++j) {
        float& to = out[i + j * static_cast<std::uint64_t>(plan.out.stride)];
        double sum = adds ? static_cast<double>(to) : 0;
        for (std::uint64_t k = 0; k < plan.k(); ++k) {
          sum += rounded(operation.arithmetic, at(a, plan.a, operation.of_a, i, k)) *
                 rounded(operation.arithmetic, at(b, plan.b, operation.of_b, k, j));
        }
        if (operation.epilogue == CUBLASLT_EPILOGUE_BIAS)
          sum += static_cast<double>(static_cast<const float*>(operation.vector)[i]);
        to = static_cast<float>(sum);
      }
    }
  }
};

}  // namespace

extern "C" {

braid::testing::StandInControls* braid_stand_in_controls() { return &controls; }

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) { return create(handle, int{1}); }
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return destroy<int>(handle); }
const char* cublasLtGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
    default: return "a status that the stand-in never gives";
  }
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* handle,
                                        cublasComputeType_t arithmetic, cudaDataType_t scale) {
  if (scale != CUDA_R_32F) return CUBLAS_STATUS_INVALID_VALUE;
  if (arithmetic != CUBLAS_COMPUTE_32F && arithmetic != CUBLAS_COMPUTE_32F_FAST_TF32 &&
      arithmetic != CUBLAS_COMPUTE_32F_FAST_16BF) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  return create(handle, Operation{.arithmetic = arithmetic});
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t handle) {
  return destroy<Operation>(handle);
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t handle,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void* from, size_t bytes) {
  auto* const operation = content_of<Operation>(handle);
  if (operation == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA: return read(operation->of_a, from, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB: return read(operation->of_b, from, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE: return read(operation->epilogue, from, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return read(operation->vector, from, bytes);
    default: return CUBLAS_STATUS_INVALID_VALUE;
  }
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* handle, cudaDataType type,
                                          uint64_t rows, uint64_t columns, int64_t stride) {
  if (type != CUDA_R_32F) return CUBLAS_STATUS_INVALID_VALUE;
  return create(handle, Layout{rows, columns, stride});
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t handle) {
  return destroy<Layout>(handle);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* handle) {
  return create(handle, Preference{});
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t handle) {
  return destroy<Preference>(handle);
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t handle,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* from, size_t bytes) {
  auto* const preference = content_of<Preference>(handle);
  if (preference == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
      return read(preference->alignments[0], from, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
      return read(preference->alignments[1], from, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
      return read(preference->alignments[2], from, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      return read(preference->alignments[3], from, bytes);
    default: return CUBLAS_STATUS_INVALID_VALUE;
  }
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle,
                                              cublasLtMatmulDesc_t operation,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int* count) {
  const auto* const promised = content_of<Preference>(preference);
  if (content_of<int>(handle) == nullptr || content_of<Operation>(operation) == nullptr ||
      content_of<Layout>(a) == nullptr || content_of<Layout>(b) == nullptr || c != d ||
      content_of<Layout>(d) == nullptr || promised == nullptr || wanted < 1 || results == nullptr ||
      count == nullptr) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  ++controls.searches;
  auto found =
      std::make_unique<Found>(Found{{*content_of<Operation>(operation), *content_of<Layout>(a),
                                     *content_of<Layout>(b), *content_of<Layout>(d)},
                                    {}});
  if (!found->plan.fits()) return CUBLAS_STATUS_INVALID_VALUE;
  *count = 0;
  if (static_cast<int>(found->plan.operation.epilogue) == controls.refused_epilogue)
    return controls.refuses_by_status ? CUBLAS_STATUS_NOT_SUPPORTED : CUBLAS_STATUS_SUCCESS;
  std::memcpy(found->alignments, promised->alignments, sizeof(found->alignments));
  const Found* const kept = found.get();
  static std::vector<std::unique_ptr<Found>> all;
  {
    const std::lock_guard lock(mutex);
    all.push_back(std::move(found));
  }
  results[0] = {};
  std::memcpy(results[0].algo.data, static_cast<const void*>(&kept), sizeof(kept));
  *count = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                              const void* alpha, const void* a, cublasLtMatrixLayout_t a_layout,
                              const void* b, cublasLtMatrixLayout_t b_layout, const void* beta,
                              const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t* algorithm, void* workspace,
                              size_t workspace_bytes, cudaStream_t stream) {
  if (content_of<int>(handle) == nullptr || content_of<Operation>(operation) == nullptr ||
      content_of<Layout>(a_layout) == nullptr || content_of<Layout>(b_layout) == nullptr ||
      content_of<Layout>(d_layout) == nullptr || c_layout != d_layout || c != d || a == nullptr ||
      b == nullptr || d == nullptr || algorithm == nullptr || workspace != nullptr ||
      workspace_bytes != 0) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  const float factor = *static_cast<const float*>(alpha);
  const float start = *static_cast<const float*>(beta);
  if (factor != 1 || (start != 0 && start != 1)) return CUBLAS_STATUS_INVALID_VALUE;
  const Plan plan{*content_of<Operation>(operation), *content_of<Layout>(a_layout),
                  *content_of<Layout>(b_layout), *content_of<Layout>(d_layout)};
  const Found* found = nullptr;
  std::memcpy(static_cast<void*>(&found), algorithm->data, sizeof(found));
  if (!plan.fits() || found == nullptr || !is_same(plan, found->plan))
    return CUBLAS_STATUS_INVALID_VALUE;
  const void* const addresses[] = {a, b, c, d};
  for (int i = 0; i < 4; ++i) {
    if (!is_aligned(addresses[i], found->alignments[i])) return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (controls.fails) return CUBLAS_STATUS_EXECUTION_FAILED;
  ++controls.products;
  const Work work{plan, static_cast<const float*>(a), static_cast<const float*>(b),
                  static_cast<float*>(d), start != 0};
  controls.put_in_stream(stream, [work] { work.run(); });
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
