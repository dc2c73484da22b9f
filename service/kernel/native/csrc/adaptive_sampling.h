// Samples and scores tokens of an adaptive softmax (Grave et al., 2017). Only tails that can matter
// are computed: p(word) = p(tail) p(word | tail), and the head alone bounds the probability of any
// word of a tail.
//
// Without penalties, bias, constraint and filters a token is sampled by a race in two rounds. In the first round the
// head's words race against the tails. A tail that wins holds a second race of its words, with
// other random numbers. At temperature 1 the head's entry gives a tail's arrival. At other
// temperatures the sum of its words' weights decides, which is at most weight(entry), times
// words^(1 - 1 / temperature) above temperature 1. The arrival with that weight is a bound, and the
// sum is computed only if the bound beats the words. Greedy sampling uses the largest weight
// instead of the sum, and no random numbers. Filters, penalties, bias, constraints, likeliest tokens
// and distributions use sampling.h on the log-probabilities of all words. Random numbers count the
// head's entries from 0, then the words of the tails.
#pragma once

#include "sampling.h"

namespace {

class AdaptiveRowSampler {
 public:
  AdaptiveRowSampler(SamplerTask& task, void* scratch)
      : task_(task),
        scratch_(static_cast<float*>(scratch)),
        listed_(task.tails[0].begin),
        first_entry_(listed_ + 1),
        head_(task.logits, first_entry_ + task.tail_count),
        inverse_(1.0f / std::max(task.temperature, MIN_TEMPERATURE)) {}

  // Called between the head and the tails: selects the tails that are needed.
  void choose() {
    task_.needed = 0;
    task_.failed = !head_.usable(first_entry_ + task_.tail_count, &highest_);
    if (task_.failed) return;
    task_.head_total = highest_ + float(std::log(head_.mass(highest_, 1.0f)));
    if (wants_all()) task_.needed = (1u << task_.tail_count) - 1;
    for (int tail = 0; tail < task_.tail_count; ++tail)
      if (holds(tail, task_.score)) task_.needed |= 1u << tail;
    if (!in_rounds()) return;
    race_of_words();
    for (int tail = 0; tail < task_.tail_count; ++tail)
      if (is_ahead(bound(tail), tail)) task_.needed |= 1u << tail;
  }

  // Called once all needed tails have their logits.
  void answer() {
    if (task_.failed) return;
    highest_ = head_.highest();
    for (int tail = 0; tail < task_.tail_count; ++tail)
      if (needs(tail)) sum_up(tail);
    if (task_.failed) return;
    if (wants_all()) {
      answer_from_all();
    } else if (task_.score >= 0) {
      task_.score_logprob = logprob(task_.score);
    }
    if (!in_rounds() || task_.failed) return;
    settle_race();
    task_.failed = task_.token < 0 || task_.token >= task_.vocabulary;
    if (task_.failed) return;
    task_.token_logprob = logprob(task_.token);
  }

 private:
  bool in_rounds() const { return task_.sample && !is_changed(task_); }

  bool wants_all() const {
    return task_.top > 0 || task_.distribution != nullptr || (task_.sample && !in_rounds());
  }

  bool greedy() const { return task_.temperature <= 0; }
  bool needs(int tail) const { return task_.needed >> tail & 1; }
  int words(int tail) const { return task_.tails[tail].end - task_.tails[tail].begin; }
  float* logits(int tail) const { return task_.logits + task_.tails[tail].offset; }
  float entry(int tail) const { return task_.logits[first_entry_ + tail]; }

  bool holds(int tail, int32_t id) const {
    return id >= task_.tails[tail].begin && id < task_.tails[tail].end;
  }

  // The index of one of the head's words in the head.
  int32_t index_of(int32_t id) const { return id == task_.vocabulary - 1 ? listed_ : id; }

  void race_of_words() {
    std::memcpy(scratch_, task_.logits, sizeof(float) * first_entry_);
    const LogitSpan span(scratch_, first_entry_);
    for (int index = 0; index < task_.suppressed_count; ++index) {
      const int32_t id = task_.suppressed[index];
      if (id < listed_ || id == task_.vocabulary - 1) scratch_[index_of(id)] = MINUS_INFINITY;
    }
    const float highest = span.highest();
    task_.token = task_.vocabulary;
    task_.lead = MINUS_INFINITY;
    if (highest == MINUS_INFINITY) return;
    int32_t index = span.index_of(highest);
    const double behind = double(highest - highest_) * inverse_;
    if (!greedy()) index = span.race(highest, inverse_, task_.key, 0, task_.lead);
    task_.lead = greedy() ? behind : task_.lead + behind;
    task_.token = index == listed_ ? task_.vocabulary - 1 : index;
  }

  bool is_ahead(double time, int tail) const {
    return time > task_.lead || (time == task_.lead && task_.tails[tail].begin < task_.token);
  }

  // An upper bound on the score of any word of this tail.
  double bound(int tail) const {
    const double scaled = double(entry(tail) - highest_) * inverse_;
    if (greedy()) return scaled;
    const double most = inverse_ < 1.0f ? (1.0 - inverse_) * std::log(double(words(tail))) : 0.0;
    return arrival(scaled + most, uniforms(task_.key, ids_from(first_entry_ + tail))[0]);
  }

  void sum_up(int tail) {
    const LogitSpan span(logits(tail), words(tail));
    float highest;
    const bool usable = span.usable(words(tail), &highest);
    task_.failed = task_.failed || !usable;
    totals_[tail] = highest + float(std::log(span.mass(highest, 1.0f)));
  }

  // Requires the logits of the word's tail.
  float logprob(int32_t id) const {
    for (int tail = 0; tail < task_.tail_count; ++tail)
      if (holds(tail, id)) return inside(tail, id - task_.tails[tail].begin);
    return task_.logits[index_of(id)] - task_.head_total;
  }

  float inside(int tail, int index) const {
    return (entry(tail) - task_.head_total) + (logits(tail)[index] - totals_[tail]);
  }

  // Uses the log-probabilities of all words as logits.
  void answer_from_all() {
    for (int id = 0; id < listed_; ++id) scratch_[id] = task_.logits[id] - task_.head_total;
    for (int tail = 0; tail < task_.tail_count; ++tail)
      for (int index = 0; index < words(tail); ++index)
        scratch_[task_.tails[tail].begin + index] = inside(tail, index);
    scratch_[task_.vocabulary - 1] = task_.logits[listed_] - task_.head_total;
    SamplerTask all = task_;
    all.logits = scratch_;
    all.normalized = true;
    all.sample = task_.sample && !in_rounds();
    const int room = (task_.vocabulary + LANES - 1) / LANES * LANES;
    RowSampler(all, scratch_ + room).answer();
    task_.failed = all.failed;
    task_.score_logprob = all.score_logprob;
    if (!all.sample || all.failed) return;
    task_.token = all.token;
    task_.token_logprob = all.token_logprob;
  }

  void settle_race() {
    int winner = -1;
    for (int tail = 0; tail < task_.tail_count; ++tail) {
      const double most = bound(tail);
      if (!is_ahead(most, tail)) continue;
      const double time = std::min(most, arrival_of(tail));
      if (!is_ahead(time, tail)) continue;
      task_.lead = time;
      task_.token = task_.tails[tail].begin;
      winner = tail;
    }
    if (winner < 0) return;
    const int32_t begin = task_.tails[winner].begin;
    const LogitSpan span(logits(winner), words(winner));
    const float highest = span.highest();
    const int32_t first = begin + 1 + task_.tail_count;
    double time;
    task_.token = begin + (greedy() ? span.index_of(highest)
                                   : span.race(highest, inverse_, task_.key, first, time));
  }

  // The score of the tail's best word that may be sampled. Suppresses the others in place.
  double arrival_of(int tail) {
    bool whole = true;
    for (int index = 0; index < task_.suppressed_count; ++index) {
      if (!holds(tail, task_.suppressed[index])) continue;
      logits(tail)[task_.suppressed[index] - task_.tails[tail].begin] = MINUS_INFINITY;
      whole = false;
    }
    if (whole && inverse_ == 1.0f) return bound(tail);
    const LogitSpan span(logits(tail), words(tail));
    const float highest = span.highest();
    if (highest == MINUS_INFINITY) return MINUS_INFINITY;
    const double behind = double(entry(tail) - highest_) + (highest - totals_[tail]);
    if (greedy()) return behind * inverse_;
    const double scaled = behind * inverse_ + std::log(span.mass(highest, inverse_));
    return arrival(scaled, uniforms(task_.key, ids_from(first_entry_ + tail))[0]);
  }

  SamplerTask& task_;
  float* const scratch_;
  const int32_t listed_;       // words of the head, without [END]
  const int32_t first_entry_;  // index of the first tail's entry in the head
  const LogitSpan head_;
  const float inverse_;
  float highest_ = 0;
  float totals_[MAX_TAILS] = {};  // logarithm of the sum over each tail
};

void choose(SamplerTask& task, void* scratch) {
  if (task.tail_count > 0) AdaptiveRowSampler(task, scratch).choose();
}

void sample(SamplerTask& task, void* scratch) {
  if (task.tail_count > 0) return AdaptiveRowSampler(task, scratch).answer();
  RowSampler(task, scratch).answer();
}

}  // namespace
