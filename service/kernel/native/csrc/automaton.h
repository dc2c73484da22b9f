// A constraint on sampled text; see TokenAutomaton in token_automaton.py. Python owns the arrays.
#pragma once

#include <cstdint>

struct Automaton {
  const uint8_t* joined;    // the bytes of all tokens
  const int32_t* begins;    // (vocabulary + 1)
  const uint8_t* class_of;  // (256)
  const int32_t* next;      // (states, classes): the state after a byte
  const uint32_t* allowed;  // (states between tokens, words): a bit for each token
  int32_t classes;
  int32_t words;

  const uint32_t* allowed_in(int32_t state) const { return allowed + int64_t(state) * words; }

  // The state after an allowed token.
  int32_t after(int32_t state, int32_t token) const {
    for (int32_t index = begins[token]; index < begins[token + 1]; ++index)
      state = next[int64_t(state) * classes + class_of[joined[index]]];
    return state;
  }
};
