// Draws and scores tokens of an adaptive softmax (Grave et al., 2017), working on no tail without
// need: p(word) = p(tail) p(word | tail), and the head alone tells what any word of a tail can reach.
//
// Without penalty and filters a draw is a race in two rounds. In the first, the head's words race
// against the tails; a tail that wins holds a race of its words, with other random numbers. At
// temperature 1 a tail arrives as its entry in the head says. At others the sum of its words'
// weights decides, which is at most weight(entry), times words^(1 - 1 / temperature) above 1: its
// arrival with that weight is a bound, and the sum is worked out only if the bound beats the words.
// Greedy is the same with the largest weight in the place of the sum, and no random numbers.
// Everything else (filters, penalty, likeliest tokens, distributions) is done by draw.h on the
// log-probabilities of all words. Random numbers count the head's entries from 0, then the words of
// the tails. Knows no network and no sequences.
#pragma once

#include "draw.h"

namespace {

class AdaptiveRow {
 public:
  AdaptiveRow(Draw& ask, void* scratch)
      : ask_(ask),
        scratch_(static_cast<float*>(scratch)),
        listed_(ask.tails[0].begin),
        first_entry_(listed_ + 1),
        head_(ask.logits, first_entry_ + ask.tail_count),
        inverse_(1.0f / std::max(ask.temperature, COLDEST)) {}

  // Between the head and the tails.
  void choose() {
    ask_.needed = 0;
    ask_.failed = !head_.usable(first_entry_ + ask_.tail_count, &highest_);
    if (ask_.failed) return;
    ask_.head_total = highest_ + float(std::log(head_.mass(highest_, 1.0f)));
    if (wants_all()) ask_.needed = (1u << ask_.tail_count) - 1;
    for (int tail = 0; tail < ask_.tail_count; ++tail)
      if (holds(tail, ask_.score)) ask_.needed |= 1u << tail;
    if (!in_rounds()) return;
    race_of_words();
    for (int tail = 0; tail < ask_.tail_count; ++tail)
      if (is_ahead(bound(tail), tail)) ask_.needed |= 1u << tail;
  }

  // When all tails that are needed have their logits.
  void answer() {
    if (ask_.failed) return;
    highest_ = head_.highest();
    for (int tail = 0; tail < ask_.tail_count; ++tail)
      if (needs(tail)) sum_up(tail);
    if (ask_.failed) return;
    if (wants_all()) {
      answer_from_all();
    } else if (ask_.score >= 0) {
      ask_.score_logprob = logprob(ask_.score);
    }
    if (!in_rounds() || ask_.failed) return;
    settle_race();
    ask_.failed = ask_.token < 0 || ask_.token >= ask_.vocabulary;
    if (ask_.failed) return;
    ask_.token_logprob = logprob(ask_.token);
  }

 private:
  bool in_rounds() const { return ask_.draw && ask_.penalty == 1.0f && !filters(ask_); }

  bool wants_all() const {
    return ask_.top > 0 || ask_.distribution != nullptr || (ask_.draw && !in_rounds());
  }

  bool greedy() const { return ask_.temperature <= 0; }
  bool needs(int tail) const { return ask_.needed >> tail & 1; }
  int words(int tail) const { return ask_.tails[tail].end - ask_.tails[tail].begin; }
  float* logits(int tail) const { return ask_.logits + ask_.tails[tail].place; }
  float entry(int tail) const { return ask_.logits[first_entry_ + tail]; }

  bool holds(int tail, int32_t id) const {
    return id >= ask_.tails[tail].begin && id < ask_.tails[tail].end;
  }

  // Of one of the head's words.
  int32_t place_of(int32_t id) const { return id == ask_.vocabulary - 1 ? listed_ : id; }

  void race_of_words() {
    std::memcpy(scratch_, ask_.logits, sizeof(float) * first_entry_);
    const Span span(scratch_, first_entry_);
    for (int place = 0; place < ask_.never_count; ++place) {
      const int32_t id = ask_.never[place];
      if (id < listed_ || id == ask_.vocabulary - 1) scratch_[place_of(id)] = NEVER;
    }
    const float highest = span.highest();
    ask_.token = ask_.vocabulary;
    ask_.lead = NEVER;
    if (highest == NEVER) return;
    int32_t place = span.place_of(highest);
    const double behind = double(highest - highest_) * inverse_;
    if (!greedy()) place = span.race(highest, inverse_, ask_.key, 0, ask_.lead);
    ask_.lead = greedy() ? behind : ask_.lead + behind;
    ask_.token = place == listed_ ? ask_.vocabulary - 1 : place;
  }

  bool is_ahead(double time, int tail) const {
    return time > ask_.lead || (time == ask_.lead && ask_.tails[tail].begin < ask_.token);
  }

  // No word of this tail can arrive before.
  double bound(int tail) const {
    const double scaled = double(entry(tail) - highest_) * inverse_;
    if (greedy()) return scaled;
    const double most = inverse_ < 1.0f ? (1.0 - inverse_) * std::log(double(words(tail))) : 0.0;
    return arrival(scaled + most, uniforms(ask_.key, ids_from(first_entry_ + tail))[0]);
  }

  void sum_up(int tail) {
    const Span span(logits(tail), words(tail));
    float highest;
    const bool usable = span.usable(words(tail), &highest);
    ask_.failed = ask_.failed || !usable;
    totals_[tail] = highest + float(std::log(span.mass(highest, 1.0f)));
  }

  // The head has its entry, and the tail its logits.
  float logprob(int32_t id) const {
    for (int tail = 0; tail < ask_.tail_count; ++tail)
      if (holds(tail, id)) return inside(tail, id - ask_.tails[tail].begin);
    return ask_.logits[place_of(id)] - ask_.head_total;
  }

  float inside(int tail, int place) const {
    return (entry(tail) - ask_.head_total) + (logits(tail)[place] - totals_[tail]);
  }

  // The log-probabilities of all words are logits like any other.
  void answer_from_all() {
    for (int id = 0; id < listed_; ++id) scratch_[id] = ask_.logits[id] - ask_.head_total;
    for (int tail = 0; tail < ask_.tail_count; ++tail)
      for (int place = 0; place < words(tail); ++place)
        scratch_[ask_.tails[tail].begin + place] = inside(tail, place);
    scratch_[ask_.vocabulary - 1] = ask_.logits[listed_] - ask_.head_total;
    Draw all = ask_;
    all.logits = scratch_;
    all.normalized = true;
    all.draw = ask_.draw && !in_rounds();
    const int room = (ask_.vocabulary + LANES - 1) / LANES * LANES;
    Row(all, scratch_ + room).answer();
    ask_.failed = all.failed;
    ask_.score_logprob = all.score_logprob;
    if (!all.draw || all.failed) return;
    ask_.token = all.token;
    ask_.token_logprob = all.token_logprob;
  }

  void settle_race() {
    int winner = -1;
    for (int tail = 0; tail < ask_.tail_count; ++tail) {
      const double most = bound(tail);
      if (!is_ahead(most, tail)) continue;
      const double time = std::min(most, arrival_of(tail));
      if (!is_ahead(time, tail)) continue;
      ask_.lead = time;
      ask_.token = ask_.tails[tail].begin;
      winner = tail;
    }
    if (winner < 0) return;
    const int32_t begin = ask_.tails[winner].begin;
    const Span span(logits(winner), words(winner));
    const float highest = span.highest();
    const int32_t first = begin + 1 + ask_.tail_count;
    double time;
    ask_.token = begin + (greedy() ? span.place_of(highest)
                                   : span.race(highest, inverse_, ask_.key, first, time));
  }

  // When the first of its words that may be drawn arrives; takes the others out.
  double arrival_of(int tail) {
    bool whole = true;
    for (int place = 0; place < ask_.never_count; ++place) {
      if (!holds(tail, ask_.never[place])) continue;
      logits(tail)[ask_.never[place] - ask_.tails[tail].begin] = NEVER;
      whole = false;
    }
    if (whole && inverse_ == 1.0f) return bound(tail);
    const Span span(logits(tail), words(tail));
    const float highest = span.highest();
    if (highest == NEVER) return NEVER;
    const double behind = double(entry(tail) - highest_) + (highest - totals_[tail]);
    if (greedy()) return behind * inverse_;
    const double scaled = behind * inverse_ + std::log(span.mass(highest, inverse_));
    return arrival(scaled, uniforms(ask_.key, ids_from(first_entry_ + tail))[0]);
  }

  Draw& ask_;
  float* const scratch_;
  const int32_t listed_;       // words of the head but [END]
  const int32_t first_entry_;  // of the tails' in the head
  const Span head_;
  const float inverse_;
  float highest_ = 0;
  float totals_[MOST_TAILS] = {};  // logarithm of the sum over each tail
};

void choose(Draw& ask, void* scratch) {
  if (ask.tail_count > 0) AdaptiveRow(ask, scratch).choose();
}

void draw(Draw& ask, void* scratch) {
  return ask.tail_count > 0 ? AdaptiveRow(ask, scratch).answer() : Row(ask, scratch).answer();
}

}  // namespace
