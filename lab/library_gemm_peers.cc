#include "library_gemm_peers.h"

#include <blis.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <utility>

namespace dray::lab {
namespace {

using dnnl::memory;

dnnl::engine& Engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}
dnnl::stream& Stream() {
  static dnnl::stream stream(Engine());
  return stream;
}

// Random weights of both signs.
std::vector<float> SomeWeights(int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  uint32_t state = 1;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(state >> 8) * 0x1p-24f - 0.5f;
  }
  return values;
}

class OneDnn : public LibraryLinear {
 public:
  OneDnn(const Shape& shape, memory::data_type type)
      : shape_(shape), type_(type), values_(SomeWeights(shape.out_features * shape.in_features)) {}

  void Run(const float* x, int64_t rows, float* out) override {
    Prepared& prepared = Prepare(rows);
    memory source = prepared.source;
    if (type_ == memory::data_type::f32) {
      source.set_data_handle(const_cast<float*>(x));
    } else if (type_ == memory::data_type::bf16) {
      memory floats({{rows, shape_.in_features}, memory::data_type::f32, memory::format_tag::ab},
                    Engine(), const_cast<float*>(x));
      prepared.convert.execute(Stream(), floats, source);
    } else {
      Quantize(x, rows, static_cast<int8_t*>(source.get_data_handle()));
    }
    memory result({{rows, shape_.out_features}, memory::data_type::f32, memory::format_tag::ab},
                  Engine(), out);
    prepared.product.execute(
        Stream(),
        {{DNNL_ARG_SRC, source}, {DNNL_ARG_WEIGHTS, prepared.weights}, {DNNL_ARG_DST, result}});
    Stream().wait();
  }

 private:
  struct Prepared {
    dnnl::matmul product;
    dnnl::reorder convert;
    memory weights;
    memory source;
  };

  // Quantizes each row by its largest magnitude, as dynamic quantization does.
  void Quantize(const float* x, int64_t rows, int8_t* to) const {
    for (int64_t r = 0; r < rows; ++r) {
      const float* row = x + r * shape_.in_features;
      float peak = 0;
      for (int64_t c = 0; c < shape_.in_features; ++c) peak = std::max(peak, std::fabs(row[c]));
      const float inverse = peak > 0 ? 127.0f / peak : 0.0f;
      for (int64_t c = 0; c < shape_.in_features; ++c) {
        to[r * shape_.in_features + c] = static_cast<int8_t>(std::lrintf(row[c] * inverse));
      }
    }
  }

  Prepared& Prepare(int64_t rows) {
    const auto found = prepared_.find(rows);
    if (found != prepared_.end()) return found->second;
    const memory::desc source({rows, shape_.in_features}, type_, memory::format_tag::ab);
    const memory::desc any({shape_.in_features, shape_.out_features}, type_,
                           memory::format_tag::any);
    const memory::desc out({rows, shape_.out_features}, memory::data_type::f32,
                           memory::format_tag::ab);
    const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(source, any, out), Engine());
    Prepared made;
    made.product = dnnl::matmul(description);
    made.source = memory(source, Engine());
    made.weights = Weights(description.weights_desc());
    if (type_ == memory::data_type::bf16) {
      const memory::desc floats({rows, shape_.in_features}, memory::data_type::f32,
                                memory::format_tag::ab);
      made.convert =
          dnnl::reorder(dnnl::reorder::primitive_desc(Engine(), floats, Engine(), source));
    }
    return prepared_.emplace(rows, std::move(made)).first->second;
  }

  // The weights in the order that the product needs. Different numbers of rows may share an order.
  memory Weights(const memory::desc& wanted) {
    for (const memory& known : packed_) {
      if (known.get_desc() == wanted) return known;
    }
    const memory floats(
        {{shape_.in_features, shape_.out_features}, memory::data_type::f32, memory::format_tag::ba},
        Engine(), values_.data());
    memory packed(wanted, Engine());
    dnnl::primitive_attr scale;
    if (type_ == memory::data_type::s8) scale.set_output_scales(0, {254.0f});
    dnnl::reorder(dnnl::reorder::primitive_desc(floats, packed, scale))
        .execute(Stream(), const_cast<memory&>(floats), packed);
    Stream().wait();
    packed_.push_back(packed);
    return packed;
  }

  Shape shape_;
  memory::data_type type_;
  std::vector<float> values_;
  std::vector<memory> packed_;
  std::map<int64_t, Prepared> prepared_;
};

class Blis : public LibraryLinear {
 public:
  explicit Blis(const Shape& shape)
      : shape_(shape), values_(SomeWeights(shape.out_features * shape.in_features)) {}

  void Run(const float* x, int64_t rows, float* out) override {
    float one = 1, zero = 0;
    bli_sgemm(BLIS_NO_TRANSPOSE, BLIS_TRANSPOSE, rows, shape_.out_features, shape_.in_features,
              &one, const_cast<float*>(x), shape_.in_features, 1, values_.data(),
              shape_.in_features, 1, &zero, out, shape_.out_features, 1);
  }

 private:
  Shape shape_;
  std::vector<float> values_;
};

}  // namespace

std::unique_ptr<LibraryLinear> MakeOneDnn(const Shape& shape, std::string_view format) {
  if (format == "f32") return std::make_unique<OneDnn>(shape, memory::data_type::f32);
  if (format == "bf16") return std::make_unique<OneDnn>(shape, memory::data_type::bf16);
  if (format == "int8") return std::make_unique<OneDnn>(shape, memory::data_type::s8);
  return nullptr;
}

std::unique_ptr<LibraryLinear> MakeBlis(const Shape& shape, std::string_view format) {
  if (format != "f32") return nullptr;
  return std::make_unique<Blis>(shape);
}

void SetLibraryThreads(int num_threads) {
  setenv("OMP_NUM_THREADS", std::to_string(num_threads).c_str(), 1);
  bli_thread_set_num_threads(num_threads);
}

}  // namespace dray::lab
