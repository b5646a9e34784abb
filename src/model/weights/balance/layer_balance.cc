#include "model/weights/balance/layer_balance.h"

#include <algorithm>
#include <initializer_list>
#include <span>
#include <utility>

#include "model/weights/balance/head_channels.h"
#include "model/weights/balance/layer_weights.h"

namespace dray::model {
namespace {

void AddTo(Sizes& sums, std::span<const double> more) {
  for (size_t i = 0; i < sums.size(); ++i) sums[i] += more[i];
}

// The step of inputs whose peaks are divided by the factors: a 127th of the largest.
float InputStep(std::span<const float> peaks, std::span<const float> factors) {
  float peak = 0;
  for (size_t i = 0; i < peaks.size(); ++i) {
    peak = std::max(peak, factors.empty() ? peaks[i] : peaks[i] / factors[i]);
  }
  return peak / 127.0f;
}

struct NormSlots {
  Slot weight;
  Slot bias;
};
constexpr NormSlots kAttentionNorm = {Slot::kAttentionNormWeight, Slot::kAttentionNormBias};
constexpr NormSlots kFfnNorm = {Slot::kFfnNormWeight, Slot::kFfnNormBias};
constexpr NormSlots kFinalNorm = {Slot::kFinalNormWeight, Slot::kFinalNormBias};

class LayerBalancer {
 public:
  LayerBalancer(const BalanceContext& context, int64_t layer, kernels::Packer& packer)
      : config_(context.config),
        stack_(context.config.stack),
        options_(context.options),
        layer_(layer),
        weights_(context.config, context.plan, layer, packer) {}

  LayerFactors OfEnds() {
    if (IsWanted(options_.tables)) BalanceFinalNorm();
    return std::move(factors_);
  }

  LayerFactors OfLayer() {
    const bool wanted = IsWanted(options_.layers);
    if (!wanted && !options_.int8_cache) return {};
    const Slot read[] = {Slot::kQkv, Slot::kAttentionOut, Slot::kFfnIn, Slot::kFfnOut};
    weights_.Prefetch(std::span(read).first(wanted ? 4 : 2));
    const bool one_norm = stack_.residual == ResidualForm::kParallelOneNorm;
    const Sizes attention_in = InputSizes(kAttentionNorm);
    const MeasuredMatrix qkv = weights_.Measure(Slot::kQkv, attention_in);
    const MeasuredMatrix attention_out =
        weights_.Measure(Slot::kAttentionOut, Ones(stack_.query_width()));
    if (qkv.squares) BalanceHeads(qkv, attention_out);
    if (!wanted) return std::move(factors_);
    const Sizes ffn_in_sizes = one_norm ? attention_in : InputSizes(kFfnNorm);
    const MeasuredMatrix ffn_in = weights_.Measure(Slot::kFfnIn, ffn_in_sizes);
    const MeasuredMatrix ffn_out = weights_.Measure(Slot::kFfnOut, Ones(stack_.ffn));
    if (one_norm) {
      BalanceNorm(kAttentionNorm, {&qkv, &ffn_in});
    } else {
      BalanceNorm(kAttentionNorm, {&qkv});
      BalanceNorm(kFfnNorm, {&ffn_in});
    }
    BalanceFeedForward(ffn_in, ffn_out);
    if (options_.calibration != nullptr) FixInputScales();
    return std::move(factors_);
  }

 private:
  // Whether all channels are balanced for matrices of this form. A calibration is for all forms.
  bool IsWanted(const kernels::WeightForm& form) const {
    return kernels::IsInteger(form.format) || options_.calibration != nullptr;
  }

  SlotFactors& Factors(Slot slot) { return factors_.slots[static_cast<size_t>(slot)]; }

  // The sizes of what a layer's matrices read. Ones if a layer does not begin with norms.
  Sizes InputSizes(const NormSlots& norm) const {
    const bool is_pre = stack_.norm_placement == NormPlacement::kPre;
    return is_pre ? weights_.NormSizes(norm.weight, norm.bias) : Ones(stack_.hidden);
  }

  // What the calibration says of the inputs of a slot; `sizes` if there is none.
  Sizes Calibrated(Slot slot, Sizes sizes) const {
    if (options_.calibration == nullptr) return sizes;
    const auto peaks = options_.calibration->Peaks(slot, layer_);
    return {peaks.begin(), peaks.end()};
  }

  void NoteUneven(Slot slot, const Sizes& sizes, const Sizes& readers) {
    const bool is_table = slot < kFirstLayerSlot;
    const kernels::WeightForm& form = is_table ? options_.tables : options_.layers;
    if (!kernels::IsInteger(form.format) || form.inputs != kernels::Inputs::kRounded) return;
    UnevenChannels uneven = FindUneven(sizes, readers);
    if (!uneven.channels.empty()) factors_.uneven.push_back({layer_, slot, std::move(uneven)});
  }

  void BalanceNorm(const NormSlots& norm, std::initializer_list<const MeasuredMatrix*> readers) {
    Sizes columns(static_cast<size_t>(stack_.hidden));
    for (const MeasuredMatrix* reader : readers) {
      if (!reader->squares) return;
      AddTo(columns, reader->squares.columns);
    }
    const MeasuredMatrix& first = **readers.begin();
    const Sizes sizes = Calibrated(first.slot, first.input_sizes);
    const Sizes reader_sizes = Roots(std::move(columns));
    const bool only_read_here = weights_.Has(norm.weight) && !stack_.residual_after_norm &&
                                stack_.norm_placement == NormPlacement::kPre;
    if (!only_read_here) {
      for (const MeasuredMatrix* reader : readers) NoteUneven(reader->slot, sizes, reader_sizes);
      return;
    }
    const std::vector<float> factors = BalanceFactors(sizes, reader_sizes, options_.alpha);
    for (const MeasuredMatrix* reader : readers) Factors(reader->slot).columns = factors;
    Factors(norm.weight).rows = Factors(norm.bias).rows = Inverses(factors);
  }

  void BalanceHeads(const MeasuredMatrix& qkv, const MeasuredMatrix& attention_out) {
    const HeadChannels heads(stack_);
    std::vector<float> rows(static_cast<size_t>(stack_.qkv_width()), 1.0f);
    BalanceKeys(qkv, heads, rows);
    if (attention_out.squares) BalanceValues(qkv, attention_out, heads, rows);
    Factors(Slot::kQkv).rows = Factors(Slot::kQkvBias).rows = std::move(rows);
  }

  // Norms of the heads undo factors of the rows before them, so these norms are divided instead.
  void BalanceKeys(const MeasuredMatrix& qkv, const HeadChannels& heads, std::span<float> rows) {
    if (stack_.qk_norm) {
      const auto width = static_cast<size_t>(stack_.head_dim);
      Sizes keys(width), queries(width);
      weights_.AddSquares(Slot::kKeyNorm, 0, keys);
      weights_.AddSquares(Slot::kQueryNorm, 0, queries);
      const auto factors =
          BalanceFactors(Roots(heads.SumPairs(keys)), Roots(heads.SumPairs(queries)), 0.5);
      Factors(Slot::kKeyNorm).rows = Inverses(factors);
      Factors(Slot::kQueryNorm).rows = factors;
      return;
    }
    const Sizes keys =
        weights_.OutputSquares(qkv, Slot::kQkvBias, stack_.query_width(), stack_.kv_width());
    const Sizes queries =
        heads.SumGroups(weights_.OutputSquares(qkv, Slot::kQkvBias, 0, stack_.query_width()));
    const auto factors =
        BalanceFactors(Roots(heads.SumPairs(keys)), Roots(heads.SumPairs(queries)), 0.5);
    std::ranges::copy(heads.ForQueries(factors), rows.begin());
    std::ranges::copy(Inverses(factors), rows.begin() + stack_.query_width());
  }

  void BalanceValues(const MeasuredMatrix& qkv, const MeasuredMatrix& attention_out,
                     const HeadChannels& heads, std::span<float> rows) {
    const int64_t begin = stack_.query_width() + stack_.kv_width();
    Sizes sizes = Roots(weights_.OutputSquares(qkv, Slot::kQkvBias, begin, stack_.kv_width()));
    if (options_.calibration != nullptr) {
      sizes = heads.LargestOfGroups(Calibrated(Slot::kAttentionOut, {}));
    }
    const auto factors = BalanceFactors(
        sizes, Roots(heads.SumGroups(attention_out.squares.columns)), options_.alpha);
    std::ranges::copy(Inverses(factors), rows.begin() + begin);
    Factors(Slot::kAttentionOut).columns = heads.ForQueries(factors);
  }

  // Of a gated layer, whose output is linear in the up projection, the gates stay as they are.
  void BalanceFeedForward(const MeasuredMatrix& in, const MeasuredMatrix& out) {
    if (!in.squares || !out.squares) return;
    const int64_t begin = stack_.gated ? stack_.ffn : 0;
    const Sizes sizes = Calibrated(
        Slot::kFfnOut, Roots(weights_.OutputSquares(in, Slot::kFfnInBias, begin, stack_.ffn)));
    const Sizes readers = Roots(out.squares.columns);
    if (!stack_.gated && stack_.activation != Activation::kRelu) {
      NoteUneven(Slot::kFfnOut, sizes, readers);
      return;
    }
    const auto factors = BalanceFactors(sizes, readers, options_.alpha);
    std::vector<float> rows(in.squares.rows.size(), 1.0f);
    std::ranges::copy(Inverses(factors), rows.begin() + begin);
    Factors(Slot::kFfnIn).rows = Factors(Slot::kFfnInBias).rows = std::move(rows);
    Factors(Slot::kFfnOut).columns = factors;
  }

  void FixInputScales() {
    for (const Slot slot : kCalibratedSlots) {
      Factors(slot).input_scale =
          InputStep(options_.calibration->Peaks(slot, layer_), Factors(slot).columns);
    }
  }

  void BalanceFinalNorm() {
    if (!weights_.Has(kFinalNorm.weight)) return;
    const Slot reader = weights_.Has(Slot::kProjectOut) ? Slot::kProjectOut
                        : weights_.Has(Slot::kHead)     ? Slot::kHead
                                                        : Slot::kTokenEmbedding;
    if (reader == Slot::kTokenEmbedding && !config_.tied_head) return;  // there is no head
    const MeasuredMatrix matrix =
        weights_.Measure(reader, weights_.NormSizes(kFinalNorm.weight, kFinalNorm.bias));
    if (!matrix.squares) return;
    const Sizes readers = Roots(matrix.squares.columns);
    if (reader == Slot::kTokenEmbedding) {
      NoteUneven(reader, matrix.input_sizes, readers);
      return;
    }
    const auto factors = BalanceFactors(matrix.input_sizes, readers, 0.5);
    Factors(reader).columns = factors;
    Factors(kFinalNorm.weight).rows = Factors(kFinalNorm.bias).rows = Inverses(factors);
  }

  const ModelConfig& config_;
  const StackConfig& stack_;
  const BalanceOptions& options_;
  const int64_t layer_;
  const LayerWeights weights_;
  LayerFactors factors_;
};

}  // namespace

LayerFactors BalanceLayer(const BalanceContext& context, int64_t layer, kernels::Packer& packer) {
  LayerBalancer balancer(context, layer, packer);
  return layer == kNoLayer ? balancer.OfEnds() : balancer.OfLayer();
}

}  // namespace dray::model
