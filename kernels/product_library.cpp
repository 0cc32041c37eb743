#include "kernels/product_library.hpp"

#if defined(BRAID_HAS_CUBLASLT)
#include <cublasLt.h>
#include <dlfcn.h>

#include <array>
#include <map>
#include <mutex>
#include <optional>

#include "engine/core/error.hpp"

namespace braid::kernels {
namespace {

// The functions of the library that are used.
struct Functions {
  decltype(&cublasLtCreate) create;
  decltype(&cublasLtDestroy) destroy;
  decltype(&cublasLtGetStatusName) name_of_status;
  decltype(&cublasLtMatmulDescCreate) create_operation;
  decltype(&cublasLtMatmulDescDestroy) destroy_operation;
  decltype(&cublasLtMatmulDescSetAttribute) set_of_operation;
  decltype(&cublasLtMatrixLayoutCreate) create_layout;
  decltype(&cublasLtMatrixLayoutDestroy) destroy_layout;
  decltype(&cublasLtMatmulPreferenceCreate) create_preference;
  decltype(&cublasLtMatmulPreferenceDestroy) destroy_preference;
  decltype(&cublasLtMatmulPreferenceSetAttribute) set_of_preference;
  decltype(&cublasLtMatmulAlgoGetHeuristic) find;
  decltype(&cublasLtMatmul) multiply;
};

// Absent if one of them is missing. What was loaded stays, for as long as the program.
std::optional<Functions> load(const char* file) {
  void* const library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return std::nullopt;
  Functions found{};
  bool complete = true;
  const auto get = [&]<class Function>(Function& function, const char* name) {
    function = reinterpret_cast<Function>(dlsym(library, name));
    complete = complete && function != nullptr;
  };
  get(found.create, "cublasLtCreate");
  get(found.destroy, "cublasLtDestroy");
  get(found.name_of_status, "cublasLtGetStatusName");
  get(found.create_operation, "cublasLtMatmulDescCreate");
  get(found.destroy_operation, "cublasLtMatmulDescDestroy");
  get(found.set_of_operation, "cublasLtMatmulDescSetAttribute");
  get(found.create_layout, "cublasLtMatrixLayoutCreate");
  get(found.destroy_layout, "cublasLtMatrixLayoutDestroy");
  get(found.create_preference, "cublasLtMatmulPreferenceCreate");
  get(found.destroy_preference, "cublasLtMatmulPreferenceDestroy");
  get(found.set_of_preference, "cublasLtMatmulPreferenceSetAttribute");
  get(found.find, "cublasLtMatmulAlgoGetHeuristic");
  get(found.multiply, "cublasLtMatmul");
  if (!complete) return std::nullopt;
  return found;
}

std::string described(const LibraryProduct& product) {
  const std::int64_t depth = product.a_transposed ? product.a.rows : product.a.columns;
  return "product [" + std::to_string(product.out.rows) + ", " + std::to_string(depth) + "] . [" +
         std::to_string(depth) + ", " + std::to_string(product.out.columns) + "]";
}

// A descriptor of the library's, given back at the end.
template <class Descriptor>
class Owned {
 public:
  explicit Owned(cublasStatus_t (*destroy)(Descriptor)) : destroy_(destroy) {}
  ~Owned() {
    if (value != nullptr) static_cast<void>(destroy_(value));
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;

  Descriptor value = nullptr;

 private:
  cublasStatus_t (*destroy_)(Descriptor);
};

// Rounding to bfloat16 is not left to the library: CUBLAS_COMPUTE_32F_FAST_16BF may mean tf32.
cublasComputeType_t arithmetic_of(Precision precision) {
  return precision == Precision::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
}
cudaDataType_t type_of_operands(Precision precision) {
  return precision == Precision::bfloat16 ? CUDA_R_16BF : CUDA_R_32F;
}

// What the epilogue reads, or writes; null without one.
const void* vector_of(const LibraryProduct& product) {
  return product.column_sums != nullptr ? product.column_sums : product.bias;
}

cublasLtEpilogue_t epilogue_of(const LibraryProduct& product) {
  if (product.column_sums != nullptr) return CUBLASLT_EPILOGUE_BGRADA;
  return product.bias != nullptr ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
}

// Up to 256, the alignment that the library takes for granted.
std::uint32_t alignment_of(const void* address) {
  std::uint32_t alignment = 256;
  while (reinterpret_cast<std::uintptr_t>(address) % alignment != 0) alignment /= 2;
  return alignment;
}

// The library counts in columns. A matrix in rows is its own transpose in columns, so that
// out^T = b^T . a^T is what it is asked for: its A is b, its B is a.
class CublasLt final : public ProductLibrary {
 public:
  CublasLt(const Functions& functions, cublasLtHandle_t handle, std::int64_t least_size)
      : ProductLibrary(least_size), call_(functions), handle_(handle) {}
  ~CublasLt() override { static_cast<void>(call_.destroy(handle_)); }
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;

  bool multiply(void* stream, const LibraryProduct& product) override {
    const Call call{call_, product};
    Owned operation(call_.destroy_operation);
    call.check(
        call_.create_operation(&operation.value, arithmetic_of(product.precision), CUDA_R_32F),
        "cublasLtMatmulDescCreate");
    const auto set = [&](cublasLtMatmulDescAttributes_t attribute, const auto& value) {
      call.check(call_.set_of_operation(operation.value, attribute, &value, sizeof(value)),
                 "cublasLtMatmulDescSetAttribute");
    };
    set(CUBLASLT_MATMUL_DESC_TRANSA, product.b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, product.a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    const cublasLtEpilogue_t epilogue = epilogue_of(product);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
    const void* const vector = vector_of(product);
    if (vector != nullptr) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, vector);

    Owned a(call_.destroy_layout);
    Owned b(call_.destroy_layout);
    Owned out(call_.destroy_layout);
    const auto lay_out = [&](auto& layout, const auto& matrix, cudaDataType_t type) {
      call.check(
          call_.create_layout(&layout.value, type, static_cast<std::uint64_t>(matrix.columns),
                              static_cast<std::uint64_t>(matrix.rows), matrix.stride),
          "cublasLtMatrixLayoutCreate");
    };
    lay_out(a, product.b, type_of_operands(product.precision));
    lay_out(b, product.a, type_of_operands(product.precision));
    lay_out(out, product.out, CUDA_R_32F);

    const auto algorithm = find(call, operation.value, a.value, b.value, out.value);
    if (!algorithm) return false;
    const float one = 1;
    const float start = product.accumulate ? 1.0F : 0.0F;
    call.check(call_.multiply(handle_, operation.value, &one, product.b.data, a.value,
                              product.a.data, b.value, &start, product.out.data, out.value,
                              product.out.data, out.value, &*algorithm, product.workspace.data,
                              static_cast<std::size_t>(product.workspace.bytes),
                              static_cast<cudaStream_t>(stream)),
               "cublasLtMatmul");
    return true;
  }

 private:
  using Algorithm = std::optional<cublasLtMatmulAlgo_t>;
  // What the choice of an algorithm depends on.
  using Key = std::array<std::int64_t, 17>;

  struct Call {
    const Functions& functions;
    const LibraryProduct& product;
    void check(cublasStatus_t status, const char* name) const {
      if (status == CUBLAS_STATUS_SUCCESS) return;
      throw DeviceError(std::string(name) + " of the " + described(product) + ": " +
                        functions.name_of_status(status));
    }
  };

  static Key key_of(const LibraryProduct& product) {
    const void* const vector = vector_of(product);
    return {product.out.rows,
            product.out.columns,
            product.a.rows,
            product.a.columns,
            product.a.stride,
            product.b.stride,
            product.out.stride,
            product.a_transposed ? 1 : 0,
            product.b_transposed ? 1 : 0,
            product.accumulate ? 1 : 0,
            static_cast<std::int64_t>(epilogue_of(product)),
            static_cast<std::int64_t>(product.precision),
            alignment_of(product.a.data),
            alignment_of(product.b.data),
            alignment_of(product.out.data),
            vector == nullptr ? 0 : alignment_of(vector),
            product.workspace.bytes};
  }

  // Asks the library once for each kind of product.
  Algorithm find(const Call& call, cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t a,
                 cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t out) {
    const std::lock_guard lock(mutex_);
    const Key key = key_of(call.product);
    const auto known = found_.find(key);
    if (known != found_.end()) return known->second;
    const Algorithm answer = ask(call, operation, a, b, out);
    found_[key] = answer;
    return answer;
  }

  Algorithm ask(const Call& call, cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t a,
                cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t out) const {
    const LibraryProduct& product = call.product;
    Owned preference(call_.destroy_preference);
    call.check(call_.create_preference(&preference.value), "cublasLtMatmulPreferenceCreate");
    const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
      call.check(call_.set_of_preference(preference.value, attribute, &value, sizeof(value)),
                 "cublasLtMatmulPreferenceSetAttribute");
    };
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(product.b.data));
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(product.a.data));
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(product.out.data));
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(product.out.data));
    set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
        static_cast<std::uint64_t>(product.workspace.bytes));
    cublasLtMatmulHeuristicResult_t result{};
    int count = 0;
    const cublasStatus_t status =
        call_.find(handle_, operation, a, b, out, out, preference.value, 1, &result, &count);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED) return std::nullopt;
    call.check(status, "cublasLtMatmulAlgoGetHeuristic");
    if (count == 0 || result.state != CUBLAS_STATUS_SUCCESS) return std::nullopt;
    return result.algo;
  }

  Functions call_;
  cublasLtHandle_t handle_;
  std::mutex mutex_;
  std::map<Key, Algorithm> found_;
};

}  // namespace

std::unique_ptr<ProductLibrary> ProductLibrary::open(const std::vector<std::string>& files,
                                                     std::int64_t least_size) {
  for (const std::string& file : files) {
    const std::optional<Functions> functions = load(file.c_str());
    if (!functions) continue;
    cublasLtHandle_t handle = nullptr;
    if (functions->create(&handle) == CUBLAS_STATUS_SUCCESS)
      return std::make_unique<CublasLt>(*functions, handle, least_size);
  }
  return nullptr;
}

}  // namespace braid::kernels

#else

namespace braid::kernels {

std::unique_ptr<ProductLibrary> ProductLibrary::open(const std::vector<std::string>&,
                                                     std::int64_t) {
  return nullptr;
}

}  // namespace braid::kernels

#endif
