// Samples and scores tokens from one row of logits.
//
// Sampling is an exponential race (the Gumbel-max trick): token v arrives at E_v / p_v with E_v =
// -log(1 - w_v), where w_v comes from the counter hash of counter_rng.py, and the earliest token
// wins. In logarithms, the winner has the largest s_v - log E_v, where s_v is the logit over the
// temperature. Since E_v >= w_v, s_v - log w_v is an upper bound, and the bits of a float give a
// lower bound on log w_v. The exact value, in float64, is computed only for the few tokens whose
// bound beats the leader.
//
// `Sampling` in interface.py defines the options and their order. filters.py and sampler.py do the
// same for the torch kernel.
#pragma once

#include <algorithm>
#include <cmath>

#include "steps.h"
#include "vectors.h"

namespace {

constexpr float MINUS_INFINITY = -__builtin_inff();
// Logits beyond this are refused like those that are not finite. Within it, differences, penalties
// and the bounds below stay finite, and there is a token to sample.
constexpr float LARGEST_LOGIT = 1e30f;
constexpr float BELOW_ALL = -3e38f;  // below any logit, above MINUS_INFINITY
constexpr float MIN_TEMPERATURE = 1e-6f;    // lower temperatures are replaced by this
constexpr float BOUND_MARGIN = 1e-3f;     // allows for the rounding of bounds to float32
constexpr uint32_t GOLDEN = 0x9E3779B9u;

struct Candidate {
  float value;  // a logit
  int32_t id;
};

UNROLL_INLINE bool before(const Candidate& a, const Candidate& b) {
  return a.value > b.value || (a.value == b.value && a.id < b.id);
}

UNROLL_INLINE u32x16 mixed(u32x16 value) {  // "lowbias32"
  value = (value ^ (value >> 16)) * splat(uint32_t(0x7FEB352D));
  value = (value ^ (value >> 15)) * splat(uint32_t(0x846CA68B));
  return value ^ (value >> 16);
}

UNROLL_INLINE u32x16 ids_from(int32_t first) {
  constexpr uint32_t lanes[LANES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return load<u32x16>(lanes) + splat(uint32_t(first));
}

// What `hashes` takes for 16 tokens. The next 16 are GOLDEN * 16 further.
UNROLL_INLINE u32x16 counters(uint64_t key, u32x16 ids) {
  return ids * splat(GOLDEN) + splat(uint32_t(key));
}

UNROLL_INLINE u32x16 hashes(uint64_t key, u32x16 counters) {
  return mixed(mixed(counters) + splat(uint32_t(key >> 32)));
}

// w of 16 hashes
UNROLL_INLINE f32x16 uniforms_of(u32x16 hash) {
  return to_float(hash) * splat(0x1p-32f) + splat(0x1p-33f);
}

// w of 16 tokens
UNROLL_INLINE f32x16 uniforms(uint64_t key, u32x16 ids) {
  return uniforms_of(hashes(key, counters(key, ids)));
}

// Selects the tokens that can arrive before the leader: those with s - log w > lead, where s is
// (logit - highest) * inverse. Between two powers of 2 the bits of a float are linear, and the
// logarithm lies above them by 0.06 at most. So the comparison is one of integers: the bits of w
// with those of a float that is at least e^(s - lead). Of w the upper 24 bits suffice.
class Contenders {
 public:
  Contenders(float highest, float inverse)
      : highest_(splat(highest)), slope_(splat(inverse * PER_UNIT)) {}

  void set_lead(float lead) {
    base_ = splat((127.0f + 24.0f) * 0x1p23f - (lead - BOUND_MARGIN) * PER_UNIT);
  }

  UNROLL_INLINE i32x16 operator()(f32x16 logits, u32x16 hash) const {
    const i32x16 drawn = bits<i32x16>(to_float(bits<i32x16>(hash >> 8)));
    return drawn < to_int(fused(logits - highest_, slope_, base_));
  }

 private:
  static constexpr float PER_UNIT = 0x1p23f / 0.693147181f;  // of a float's bits, per 1 of its log

  f32x16 highest_, slope_, base_{};
};

// s - log E, exactly
inline double arrival(double scaled, float uniform) {
  const double w = std::min<double>(uniform, 1.0 - 0x1p-33);
  return scaled - std::log(-std::log1p(-w));
}

// Whether top_k removes tokens; whether any filter can remove one.
inline bool has_top_k(const SamplerTask& task) {
  return task.top_k > 0 && task.top_k < task.vocabulary;
}
inline bool has_filters(const SamplerTask& task) {
  return has_top_k(task) || task.top_p < 1.0f || task.min_p > 0.0f;
}

// Whether a penalty or a bias can change a logit.
inline bool adjusts(const SamplerTask& task) {
  return task.penalty != 1.0f || task.presence != 0.0f || task.frequency != 0.0f ||
         task.bias_count > 0;
}

// Whether the token is sampled among all, with its own probability.
inline bool is_changed(const SamplerTask& task) {
  return adjusts(task) || task.allowed != nullptr || has_filters(task);
}

// Contiguous logits, padded to a multiple of 16 with MINUS_INFINITY.
class LogitSpan {
 public:
  LogitSpan(float* logits, int count)
      : logits_(logits), padded_((count + LANES - 1) / LANES * LANES) {
    for (int index = count; index < padded_; ++index) logits_[index] = MINUS_INFINITY;
  }

  int padded() const { return padded_; }

  // Whether each of `count` logits is within LARGEST_LOGIT, which NaN is not. Finds the highest
  // logit in the same pass.
  bool usable(int count, float* highest) const {
    f32x16 highest_lanes = splat(MINUS_INFINITY);
    i32x16 magnitude{};  // its order is that of the bits without the sign, in which NaN is the last
    const i32x16 without_sign = splat(int32_t(0x7FFFFFFF));
    for (int index = 0; index < padded_; index += LANES) {
      f32x16 value = load<f32x16>(logits_ + index);
      highest_lanes = larger(value, highest_lanes);
      if (index + LANES > count)
        value = where(bits<i32x16>(ids_from(index)) < splat(int32_t(count)), value, f32x16{});
      magnitude = larger(magnitude, bits<i32x16>(value) & without_sign);
    }
    *highest = largest(highest_lanes);
    return !any(magnitude > bits<i32x16>(splat(LARGEST_LOGIT)));
  }

  float highest() const {
    f32x16 highest_lanes = splat(MINUS_INFINITY);
    for (int index = 0; index < padded_; index += LANES)
      highest_lanes = larger(load<f32x16>(logits_ + index), highest_lanes);
    return largest(highest_lanes);
  }

  // Sum of exp((logit - highest) * inverse).
  double mass(float highest, float inverse) const {
    f32x16 sums{};
    for (int index = 0; index < padded_; index += LANES) {
      const f32x16 scaled = (load<f32x16>(logits_ + index) - splat(highest)) * splat(inverse);
      const f32x16 weight = exponential(scaled);
      sums += where(scaled > splat(-87.0f), weight, f32x16{});
    }
    return total(sums);
  }

  // The first index with the value `highest`.
  int32_t index_of(float highest) const {
    int32_t index = 0;
    while (logits_[index] != highest) ++index;
    return index;
  }

  // The index that arrives first. `first`: the counter of the first index in the random numbers.
  int32_t race(float highest, float inverse, uint64_t key, int32_t first, double& best) const {
    int32_t winner = index_of(highest);
    best = arrival(0.0, uniforms(key, ids_from(first + winner))[0]);
    Contenders contenders(highest, inverse);
    contenders.set_lead(float(best));
    u32x16 counter = counters(key, ids_from(first));
    for (int index = 0; index < padded_; index += LANES, counter += splat(GOLDEN * LANES)) {
      const f32x16 logits = load<f32x16>(logits_ + index);
      const u32x16 hash = hashes(key, counter);
      const i32x16 ahead = contenders(logits, hash);
      if (!any(ahead)) continue;
      const f32x16 scaled = (logits - splat(highest)) * splat(inverse);
      const f32x16 uniform = uniforms_of(hash);
      for (int lane = 0; lane < LANES; ++lane) {
        if (!ahead[lane]) continue;
        const double time = arrival(scaled[lane], uniform[lane]);
        if (time > best || (time == best && index + lane < winner))
          best = time, winner = index + lane;
      }
      contenders.set_lead(float(best));
    }
    return winner;
  }

 private:
  float* const logits_;
  const int padded_;
};

class RowSampler {
 public:
  RowSampler(SamplerTask& task, void* scratch)
      : task_(task),
        logits_(task.logits),
        span_(task.logits, task.vocabulary),
        padded_(span_.padded()),
        raw_(static_cast<float*>(scratch)),
        candidates_(reinterpret_cast<Candidate*>(raw_ + task.vocabulary)) {}

  void answer() {
    task_.failed = !span_.usable(task_.vocabulary, &highest_);
    if (task_.failed) return;
    const bool reports = task_.score >= 0 || task_.logprob || task_.top > 0 || task_.distribution;
    if (reports) report();
    if (!task_.sample) return;
    change();
    task_.failed = !std::isfinite(highest_);  // a penalty can overflow float32
    if (task_.failed) return;
    task_.token = task_.temperature <= 0 ? span_.index_of(highest_) : sampled();
    if (reports) task_.token_logprob = raw(task_.token) - log_total_;
  }

 private:
  void report() {
    log_total_ = task_.normalized ? 0.0f : highest_ + float(std::log(span_.mass(highest_, 1.0f)));
    if (task_.score >= 0) task_.score_logprob = logits_[task_.score] - log_total_;
    if (task_.distribution != nullptr)
      for (int id = 0; id < task_.vocabulary; ++id)
        task_.distribution[id] = logits_[id] - log_total_;
    if (task_.top > 0) {
      const int count = keep_largest(std::min(task_.top, task_.vocabulary));
      std::sort(candidates_, candidates_ + count, before);
      for (int index = 0; index < count; ++index) {
        task_.top_tokens[index] = candidates_[index].id;
        task_.top_logprobs[index] = candidates_[index].value - log_total_;
      }
    }
  }

  // Applies penalties and bias, and excludes suppressed tokens and those outside the constraint.
  void change() {
    bool moves = adjusts(task_);  // the highest logit
    if (moves) {
      std::copy_n(logits_, task_.vocabulary, raw_);
      adjust();
    }
    for (int index = 0; index < task_.suppressed_count; ++index) {
      float& logit = logits_[task_.suppressed[index]];
      moves = moves || logit == highest_;
      logit = MINUS_INFINITY;
    }
    if (task_.allowed != nullptr) {
      restrict_to(task_.allowed);
      moves = true;
    }
    if (moves) highest_ = span_.highest();
  }

  void restrict_to(const uint32_t* allowed) {
    constexpr uint32_t lanes[LANES] = {1 << 0, 1 << 1, 1 << 2,  1 << 3,  1 << 4,  1 << 5,
                                       1 << 6, 1 << 7, 1 << 8,  1 << 9,  1 << 10, 1 << 11,
                                       1 << 12, 1 << 13, 1 << 14, 1 << 15};
    const u32x16 own_bits = load<u32x16>(lanes);
    for (int id = 0; id < padded_; id += LANES) {
      const u32x16 bit = splat(allowed[id / 32] >> (id % 32)) & own_bits;
      const i32x16 holds = bits<i32x16>(bit) > splat(int32_t(0));
      const f32x16 value = load<f32x16>(logits_ + id);
      store(logits_ + id, where(holds, value, splat(MINUS_INFINITY)));
    }
  }

  // The repetition penalty is that of Keskar et al. (CTRL, 2019).
  void adjust() {
    if (task_.penalty != 1.0f) {
      for (int index = 0; index < task_.seen_count; ++index) {
        float& logit = logits_[task_.seen[index]];
        logit = logit > 0 ? logit / task_.penalty : logit * task_.penalty;
      }
    }
    if (task_.presence != 0.0f || task_.frequency != 0.0f) {
      for (int index = 0; index < task_.counted_count; ++index)
        logits_[task_.counted[index]] -= task_.presence + task_.frequency * task_.counts[index];
    }
    for (int index = 0; index < task_.bias_count; ++index)
      logits_[task_.bias_ids[index]] += task_.bias[index];
  }

  // The logit before change().
  float raw(int32_t id) const { return adjusts(task_) ? raw_[id] : logits_[id]; }

  int32_t sampled() {
    inverse_ = 1.0f / std::max(task_.temperature, MIN_TEMPERATURE);
    double time;
    if (!has_filters(task_)) return span_.race(highest_, inverse_, task_.key, 0, time);
    const bool cut = has_top_k(task_);
    int count = cut ? keep_largest(task_.top_k) : 0;
    double all = 0;
    if (task_.top_p < 1.0f) all = cut ? weigh(count) : span_.mass(highest_, inverse_);
    if (task_.top_p < 1.0f) {
      count = cut ? nucleus(count, all) : nucleus_of_all(all);
    } else if (!cut) {
      count = gather(lowest_for(task_.min_p));
    }
    return race_among(count);
  }

  // The smallest logit whose weight is at least this share of the largest weight.
  float lowest_for(float share) const {
    return share > 0 ? highest_ + std::log(share) / inverse_ - 1e-5f / inverse_ : BELOW_ALL;
  }

  // Collects candidates with at least this logit, by id. Returns their number.
  int gather(float lowest) {
    int count = 0;
    for (int id = 0; id < padded_; id += LANES) {
      const i32x16 enough = load<f32x16>(logits_ + id) >= splat(lowest);
      if (!any(enough)) continue;
      for (int lane = 0; lane < LANES; ++lane)
        if (enough[lane]) candidates_[count++] = {logits_[id + lane], id + lane};
    }
    return count;
  }

  int how_many(float lowest) const {
    i32x16 counts{};
    for (int id = 0; id < padded_; id += LANES)
      counts -= load<f32x16>(logits_ + id) >= splat(lowest);
    int count = 0;
    for (int lane = 0; lane < LANES; ++lane) count += counts[lane];
    return count;
  }

  // Collects the `wanted` largest logits, lower ids first on ties. Returns their number.
  int keep_largest(int wanted) {
    float gap = 1.0f;  // below the highest logit, with the wanted ones and few more
    while (gap < 1e6f && how_many(highest_ - gap) < wanted) gap *= 1.5f;
    const int count = gather(gap < 1e6f ? highest_ - gap : BELOW_ALL);
    if (count <= wanted) return count;
    std::nth_element(candidates_, candidates_ + wanted, candidates_ + count, before);
    return wanted;
  }

  float weight(float logit) const { return std::exp((logit - highest_) * inverse_); }

  double weigh(int count) const {
    double sum = 0;
    for (int index = 0; index < count; ++index) sum += weight(candidates_[index].value);
    return sum;
  }

  // The number of the fewest candidates whose mass reaches top_p of `all`.
  int nucleus(int count, double all) {
    std::sort(candidates_, candidates_ + count, before);
    double sum = 0;
    for (int index = 0; index < count; ++index) {
      sum += weight(candidates_[index].value);
      if (sum >= double(task_.top_p) * all) return index + 1;
    }
    return count;
  }

  int nucleus_of_all(double all) {
    for (const float share : {1e-2f, 1e-4f}) {
      const int count = gather(lowest_for(share));
      if (weigh(count) >= double(task_.top_p) * all) return nucleus(count, all);
    }
    return nucleus(gather(BELOW_ALL), all);
  }

  int32_t race_among(int count) const {
    const float least = task_.min_p > 0 ? std::min(task_.min_p, 1.0f) : 0.0f;
    int32_t winner = -1;
    double best = 0;
    for (int index = 0; index < count; ++index) {
      const Candidate& candidate = candidates_[index];
      if (least > 0 && weight(candidate.value) < least) continue;
      const double time = exact(candidate.value, candidate.id);
      const bool wins = winner < 0 || time > best || (time == best && candidate.id < winner);
      if (wins) best = time, winner = candidate.id;
    }
    return winner < 0 ? span_.index_of(highest_) : winner;
  }

  double exact(float logit, int32_t id) const {
    return arrival((logit - highest_) * inverse_, uniforms(task_.key, ids_from(id))[0]);
  }

  SamplerTask& task_;
  float* const logits_;
  const LogitSpan span_;
  const int padded_;
  float* const raw_;
  Candidate* const candidates_;
  float highest_ = 0;
  float log_total_ = 0;
  float inverse_ = 1;
};
}  // namespace
