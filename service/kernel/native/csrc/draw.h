// Draws and scores tokens from one row of logits.
//
// A draw is an exponential race (the Gumbel-max trick): token v arrives at E_v / p_v with
// E_v = -log(1 - w_v), w_v from the counter hash of random_numbers.py, and the earliest wins. In
// logarithms: the winner has the largest s_v - log E_v, where s_v is the logit over the temperature.
// Since E_v >= w_v, s_v - log w_v bounds that from above, and a float's own bits bound log w_v from
// below; the exact value, in float64, is computed only for the few tokens whose bound beats the
// leader.
// What is done for the options, and in what order, is told in interface.py (`Sampling`); it is
// what filters.py and sampling.py do for the torch kernel. Knows no network and no sequences.
#pragma once

#include <algorithm>
#include <cmath>

#include "steps.h"
#include "vectors.h"

namespace {

constexpr float NEVER = -__builtin_inff();
// Logits beyond are refused like those that are not finite: with all of them inside, differences,
// penalties and the borders below keep their meaning, and there is a token to draw.
constexpr float LARGEST_LOGIT = 1e30f;
constexpr float BELOW_ALL = -3e38f;  // less than any logit, more than NEVER
constexpr float COLDEST = 1e-6f;    // a temperature below is taken for this
constexpr float NEARLY = 1e-3f;     // room for the rounding of bounds to float32
constexpr uint32_t GOLDEN = 0x9E3779B9u;

struct Candidate {
  float value;  // a logit, then what became of it
  int32_t id;
};

UNROLL_INLINE bool before(const Candidate& one, const Candidate& other) {
  return one.value > other.value || (one.value == other.value && one.id < other.id);
}

UNROLL_INLINE u32x16 mixed(u32x16 value) {  // "lowbias32"
  value = (value ^ (value >> 16)) * splat(uint32_t(0x7FEB352D));
  value = (value ^ (value >> 15)) * splat(uint32_t(0x846CA68B));
  return value ^ (value >> 16);
}

// w of 16 neighboring tokens, the first of which is `id`
UNROLL_INLINE f32x16 uniforms(uint64_t key, u32x16 ids) {
  u32x16 hash = mixed(ids * splat(GOLDEN) + splat(uint32_t(key)));
  hash = mixed(hash + splat(uint32_t(key >> 32)));
  return to_float(hash) * splat(0x1p-32f) + splat(0x1p-33f);
}

UNROLL_INLINE u32x16 ids_from(int32_t first) {
  const u32x16 lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return lanes + splat(uint32_t(first));
}

// At most log w, and at least log w - 0.06: between two powers of 2 the bits of a float run
// straight while the logarithm is curved above them.
UNROLL_INLINE f32x16 logarithm_at_least(f32x16 w) {
  const f32x16 log2 = fused(to_float(bits<i32x16>(w)), splat(0x1p-23f), splat(-127.0f));
  return log2 * splat(0.693147181f);
}

// s - log E, exactly
inline double arrival(double scaled, float uniform) {
  const double w = std::min<double>(uniform, 1.0 - 0x1p-33);
  return scaled - std::log(-std::log1p(-w));
}

// Whether fewer than all tokens are left by top_k; whether any filter can take one away.
inline bool cuts(const Draw& ask) { return ask.top_k > 0 && ask.top_k < ask.vocabulary; }
inline bool filters(const Draw& ask) { return cuts(ask) || ask.top_p < 1.0f || ask.min_p > 0.0f; }

// Logits side by side, up to a multiple of 16; what is there beyond `count` is set to NEVER.
class Span {
 public:
  Span(float* logits, int count) : logits_(logits), padded_((count + LANES - 1) / LANES * LANES) {
    for (int place = count; place < padded_; ++place) logits_[place] = NEVER;
  }

  int padded() const { return padded_; }

  // Whether each of `count` logits is a number that can be worked with, and in the same pass the
  // highest of all. Not-a-number fails the comparison.
  bool usable(int count, float* highest) const {
    f32x16 found = splat(NEVER);
    i32x16 wrong{};
    for (int place = 0; place < padded_; place += LANES) {
      const f32x16 value = load<f32x16>(logits_ + place);
      found = larger(value, found);
      i32x16 fits = (value <= splat(LARGEST_LOGIT)) & (value >= splat(-LARGEST_LOGIT));
      if (place + LANES > count) fits |= bits<i32x16>(ids_from(place)) >= splat(int32_t(count));
      wrong |= ~fits;
    }
    *highest = largest(found);
    return !any(wrong);
  }

  float highest() const {
    f32x16 found = splat(NEVER);
    for (int place = 0; place < padded_; place += LANES)
      found = larger(load<f32x16>(logits_ + place), found);
    return largest(found);
  }

  // Sum of exp((logit - highest) * inverse).
  double mass(float highest, float inverse) const {
    f32x16 sums{};
    for (int place = 0; place < padded_; place += LANES) {
      const f32x16 scaled = (load<f32x16>(logits_ + place) - splat(highest)) * splat(inverse);
      const f32x16 weight = exponential(scaled);
      sums += scaled > splat(-87.0f) ? weight : f32x16{};
    }
    return total(sums);
  }

  // The first place that holds `highest`.
  int32_t place_of(float highest) const {
    int32_t place = 0;
    while (logits_[place] != highest) ++place;
    return place;
  }

  // The place that arrives first. `first`: what the first place counts as in the random numbers.
  int32_t race(float highest, float inverse, uint64_t key, int32_t first, double& best) const {
    int32_t winner = place_of(highest);
    best = arrival(0.0, uniforms(key, ids_from(first + winner))[0]);
    for (int place = 0; place < padded_; place += LANES) {
      const f32x16 scaled = (load<f32x16>(logits_ + place) - splat(highest)) * splat(inverse);
      const f32x16 uniform = uniforms(key, ids_from(first + place));
      const i32x16 ahead = scaled - logarithm_at_least(uniform) > splat(float(best) - NEARLY);
      if (!any(ahead)) continue;
      for (int lane = 0; lane < LANES; ++lane) {
        if (!ahead[lane]) continue;
        const double time = arrival(scaled[lane], uniform[lane]);
        if (time > best || (time == best && place + lane < winner))
          best = time, winner = place + lane;
      }
    }
    return winner;
  }

 private:
  float* const logits_;
  const int padded_;
};

class Row {
 public:
  Row(Draw& ask, void* scratch)
      : ask_(ask),
        logits_(ask.logits),
        span_(ask.logits, ask.vocabulary),
        padded_(span_.padded()),
        raw_(static_cast<float*>(scratch)),
        candidates_(reinterpret_cast<Candidate*>(raw_ + ask.vocabulary)) {}

  void answer() {
    ask_.failed = !span_.usable(ask_.vocabulary, &highest_);
    if (ask_.failed) return;
    const bool reports = ask_.score >= 0 || ask_.logprob || ask_.top > 0 || ask_.distribution;
    if (reports) report();
    if (!ask_.draw) return;
    change();
    ask_.failed = !std::isfinite(highest_);  // a penalty can still leave float32
    if (ask_.failed) return;
    ask_.token = ask_.temperature <= 0 ? span_.place_of(highest_) : drawn();
    if (reports) ask_.token_logprob = raw(ask_.token) - log_total_;
  }

 private:
  void report() {
    log_total_ = ask_.normalized ? 0.0f : highest_ + float(std::log(span_.mass(highest_, 1.0f)));
    if (ask_.score >= 0) ask_.score_logprob = logits_[ask_.score] - log_total_;
    if (ask_.distribution != nullptr)
      for (int id = 0; id < ask_.vocabulary; ++id)
        ask_.distribution[id] = logits_[id] - log_total_;
    if (ask_.top > 0) {
      const int count = keep_largest(std::min(ask_.top, ask_.vocabulary));
      std::sort(candidates_, candidates_ + count, before);
      for (int place = 0; place < count; ++place) {
        ask_.top_tokens[place] = candidates_[place].id;
        ask_.top_logprobs[place] = candidates_[place].value - log_total_;
      }
    }
  }

  // The repetition penalty (Keskar et al., CTRL, 2019) and the tokens that are not drawn.
  void change() {
    if (penalised()) {
      for (int place = 0; place < ask_.seen_count; ++place) {
        float& logit = logits_[ask_.seen[place]];
        raw_[place] = logit;
        logit = logit > 0 ? logit / ask_.penalty : logit * ask_.penalty;
      }
    }
    for (int place = 0; place < ask_.never_count; ++place) logits_[ask_.never[place]] = NEVER;
    highest_ = span_.highest();
  }

  bool penalised() const { return ask_.penalty != 1.0f && ask_.seen_count > 0; }

  // The logit before change().
  float raw(int32_t id) const {
    if (penalised())
      for (int place = 0; place < ask_.seen_count; ++place)
        if (ask_.seen[place] == id) return raw_[place];
    return logits_[id];
  }

  int32_t drawn() {
    inverse_ = 1.0f / std::max(ask_.temperature, COLDEST);
    double time;
    if (!filters(ask_)) return span_.race(highest_, inverse_, ask_.key, 0, time);
    const bool cut = cuts(ask_);
    int count = cut ? keep_largest(ask_.top_k) : 0;
    const double all = ask_.top_p >= 1.0f ? 0.0 : cut ? weigh(count) : span_.mass(highest_, inverse_);
    if (ask_.top_p < 1.0f) {
      count = cut ? nucleus(count, all) : nucleus_of_all(all);
    } else if (!cut) {
      count = gather(lowest_for(ask_.min_p));
    }
    return race_among(count);
  }

  // The smallest logit whose weight is at least this share of the likeliest token's.
  float lowest_for(float share) const {
    return share > 0 ? highest_ + std::log(share) / inverse_ - 1e-5f / inverse_ : BELOW_ALL;
  }

  // Candidates with at least this logit, by id; how many.
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

  // The `wanted` largest become the candidates, lower ids first on ties; how many there are.
  int keep_largest(int wanted) {
    float gap = 1.0f;  // below the highest: wide enough for those wanted, and few more
    while (gap < 1e6f && how_many(highest_ - gap) < wanted) gap *= 1.5f;
    const int count = gather(gap < 1e6f ? highest_ - gap : BELOW_ALL);
    if (count <= wanted) return count;
    std::nth_element(candidates_, candidates_ + wanted, candidates_ + count, before);
    return wanted;
  }

  float weight(float logit) const { return std::exp((logit - highest_) * inverse_); }

  double weigh(int count) const {
    double sum = 0;
    for (int place = 0; place < count; ++place) sum += weight(candidates_[place].value);
    return sum;
  }

  // The fewest candidates whose mass reaches top_p of `all`; how many.
  int nucleus(int count, double all) {
    std::sort(candidates_, candidates_ + count, before);
    double sum = 0;
    for (int place = 0; place < count; ++place) {
      sum += weight(candidates_[place].value);
      if (sum >= double(ask_.top_p) * all) return place + 1;
    }
    return count;
  }

  int nucleus_of_all(double all) {
    for (const float share : {1e-2f, 1e-4f}) {
      const int count = gather(lowest_for(share));
      if (weigh(count) >= double(ask_.top_p) * all) return nucleus(count, all);
    }
    return nucleus(gather(BELOW_ALL), all);
  }

  int32_t race_among(int count) const {
    const float least = ask_.min_p > 0 ? std::min(ask_.min_p, 1.0f) : 0.0f;
    int32_t winner = -1;
    double best = 0;
    for (int place = 0; place < count; ++place) {
      const Candidate& one = candidates_[place];
      if (least > 0 && weight(one.value) < least) continue;
      const double time = exact(one.value, one.id);
      const bool wins = winner < 0 || time > best || (time == best && one.id < winner);
      if (wins) best = time, winner = one.id;
    }
    return winner < 0 ? span_.place_of(highest_) : winner;
  }

  double exact(float logit, int32_t id) const {
    return arrival((logit - highest_) * inverse_, uniforms(ask_.key, ids_from(id))[0]);
  }

  Draw& ask_;
  float* const logits_;
  const Span span_;
  const int padded_;
  float* const raw_;
  Candidate* const candidates_;
  float highest_ = 0;
  float log_total_ = 0;
  float inverse_ = 1;
};
}  // namespace
