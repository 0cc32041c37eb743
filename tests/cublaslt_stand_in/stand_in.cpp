// Stands in for cuBLASLt in tests: the functions that Braid calls, on memory of the host. It takes
// nothing for granted: attributes of a wrong size, layouts that do not fit each other, algorithms
// found for something else, and addresses less aligned than was said are errors, as they are with
// the real one.
#include "tests/cublaslt_stand_in/stand_in.hpp"

#include <cublasLt.h>

#include <bit>
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
  cudaDataType type;
  std::uint64_t rows;
  std::uint64_t columns;
  std::int64_t stride;
};
// The alignments that are promised; the library's defaults are the highest. And the memory.
struct Preference {
  std::uint32_t alignments[4] = {256, 256, 256, 256};
  std::uint64_t workspace_bytes = 0;
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
    // Of float32, or sums in float32 of operands that are rounded already.
    if (a.type != b.type || out.type != CUDA_R_32F) return false;
    if (a.type != CUDA_R_32F && operation.arithmetic != CUBLAS_COMPUTE_32F) return false;
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
  Preference promised;
};
static_assert(sizeof(Found*) <= sizeof(cublasLtMatmulAlgo_t));

bool is_same(const Plan& a, const Plan& b) {
  const auto same = [](const Layout& x, const Layout& y) {
    return x.type == y.type && x.rows == y.rows && x.columns == y.columns && x.stride == y.stride;
  };
  return a.operation.arithmetic == b.operation.arithmetic && a.operation.of_a == b.operation.of_a &&
         a.operation.of_b == b.operation.of_b && a.operation.epilogue == b.operation.epilogue &&
         same(a.a, b.a) && same(a.b, b.b) && same(a.out, b.out);
}

bool is_aligned(const void* address, std::uint32_t alignment) {
  return reinterpret_cast<std::uintptr_t>(address) % alignment == 0;
}

// As matrix units round operands: to 10 bits of fraction with ties away from 0.
double rounded(cublasComputeType_t arithmetic, double x) {
  if (arithmetic == CUBLAS_COMPUTE_32F || x == 0 || !std::isfinite(x)) return x;
  const int exponent = std::ilogb(x) - 10;
  return std::ldexp(std::round(std::ldexp(x, -exponent)), exponent);
}

double element(const void* data, cudaDataType type, std::uint64_t index) {
  if (type == CUDA_R_32F) return static_cast<double>(static_cast<const float*>(data)[index]);
  const auto bits = static_cast<std::uint32_t>(static_cast<const std::uint16_t*>(data)[index]);
  return static_cast<double>(std::bit_cast<float>(bits << 16U));
}

struct Work {
  Plan plan;
  const void* a;
  const void* b;
  float* out;
  bool adds;
  void* workspace;
  std::size_t workspace_bytes;

  void run() const {
    // All of it may be used, so that nothing else can lie there.
    if (workspace_bytes > 0) std::memset(workspace, 0xFF, workspace_bytes);
    const Operation& operation = plan.operation;
    const auto at = [&](const void* data, const Layout& layout, cublasOperation_t is,
                        std::uint64_t row, std::uint64_t column) {
      const std::uint64_t r = is == CUBLAS_OP_N ? row : column;
      const std::uint64_t c = is == CUBLAS_OP_N ? column : row;
      return element(data, layout.type, r + c * static_cast<std::uint64_t>(layout.stride));
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
  // The real one takes CUBLAS_COMPUTE_32F_FAST_16BF, too, and rounds as it likes.
  if (arithmetic != CUBLAS_COMPUTE_32F && arithmetic != CUBLAS_COMPUTE_32F_FAST_TF32)
    return CUBLAS_STATUS_INVALID_VALUE;
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
  if (type != CUDA_R_32F && type != CUDA_R_16BF) return CUBLAS_STATUS_INVALID_VALUE;
  return create(handle, Layout{type, rows, columns, stride});
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
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return read(preference->workspace_bytes, from, bytes);
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
                                    *promised});
  if (!found->plan.fits()) return CUBLAS_STATUS_INVALID_VALUE;
  *count = 0;
  if (static_cast<int>(found->plan.operation.epilogue) == controls.refused_epilogue)
    return controls.refuses_by_status ? CUBLAS_STATUS_NOT_SUPPORTED : CUBLAS_STATUS_SUCCESS;
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
      b == nullptr || d == nullptr || algorithm == nullptr ||
      (workspace == nullptr) != (workspace_bytes == 0) || !is_aligned(workspace, 256)) {
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
    if (!is_aligned(addresses[i], found->promised.alignments[i]))
      return CUBLAS_STATUS_INVALID_VALUE;
  }
  // What was found may need all that was promised.
  if (workspace_bytes < found->promised.workspace_bytes) return CUBLAS_STATUS_INVALID_VALUE;
  if (controls.fails) return CUBLAS_STATUS_EXECUTION_FAILED;
  ++controls.products;
  if (plan.a.type == CUDA_R_16BF) ++controls.rounded_products;
  controls.workspace_bytes = workspace_bytes;
  const Work work{plan, a, b, static_cast<float*>(d), start != 0, workspace, workspace_bytes};
  controls.put_in_stream(stream, [work] { work.run(); });
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
