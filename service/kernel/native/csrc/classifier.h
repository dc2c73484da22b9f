// A document classifier: the logits of a batch of documents, computed in slices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "steps.h"

// The structures below are also in library.py. Memory belongs to the caller and outlives a batch.

// One recurrent layer in one direction.
struct DirectionDescription {
  Matrix input;
  Matrix hidden;
  const void* first_activation;  // (units)
  const float* first_hidden;     // (units)
  const float* first_cell;       // (units), or null
};

struct ClassifierDescription {
  Cell cell;
  Precision precision;
  int32_t layers, directions;
  int32_t hidden, units;              // units: `hidden`, padded
  const DirectionDescription* direction;  // (layers, directions)
  const float* scales;                // (layers): of a unit of the layer's activations
  const void* embedding;              // (vocabulary, embedding width): activations
  const float* embedding_scales;      // (vocabulary)
  int32_t embedding_width;            // `width`, padded
  int32_t width, vocabulary;
  const float* vectors;               // (vocabulary, width): word vectors
  const float* ngram_vectors;         // ((ngrams - 1) * ngram_buckets, width)
  int32_t ngrams, ngram_buckets;      // ngrams: the longest n; 1 for words alone
  int32_t pools_states, pools_words;  // whether maximum and mean over time are inputs of the MLP
  Matrix mlp, output;                 // float32
  int32_t labels;
  const float* linear_importance;     // (features); null without a linear part
  const float* linear_weights;        // (features, labels)
  const float* linear_biases;         // (labels)
  int32_t linear_ngrams, linear_buckets;
  int64_t worth_sharing;              // products of a slice from which several threads compute it
};

// The documents that are classified together. A document's numbers do not depend on the others.
class DocumentBatch {
 public:
  // `tokens`: those of all documents, one after the other. `lengths` (rows): each at least 1.
  // `logits` (rows, labels) is written at the end, and so is `features` (rows, features of the
  // pooled states and words), unless it is null.
  DocumentBatch(
      const ClassifierDescription& classifier, const Steps& steps, const int32_t* tokens,
      const int32_t* lengths, int rows, int threads, float* logits, float* features);

  // Continues for about `row_steps` steps of one row in one layer and direction. Fewer than eight
  // rows count as eight, since a step of eight takes little longer. Returns whether the logits are
  // complete.
  bool run(int64_t row_steps);

 private:
  class Reader;

  struct Document {
    int row;       // in the caller's order
    int length;
    size_t first;  // index of its first token in all tokens
  };

  void embed();
  void begin_layer();
  void begin_direction();
  void read(int begin, int end);
  void pool_words(const Document& document, float* maximum, float* mean) const;
  void compute_logits();
  int feature_count() const;

  const float* word_vector(size_t token) const;
  float* pooled(int document) { return pooled_.data() + size_t(document) * classifier_.mlp.inputs; }

  const ClassifierDescription& classifier_;
  const Steps& steps_;
  const int32_t* tokens_;
  const int threads_;
  float* const logits_;
  float* const features_;
  const size_t element_;  // bytes of an activation
  std::vector<Document> documents_;  // longest first
  size_t token_count_ = 0;

  std::vector<float> words_;        // (tokens, width): word vectors with n-grams
  std::vector<char> word_inputs_;   // their activations
  std::vector<float> word_scales_;  // (tokens)
  std::vector<char> inputs_, outputs_;  // (tokens, directions * units): activations of two layers
  std::vector<float> states_, cells_;   // (documents, units)
  std::vector<double> sums_;            // (documents, hidden) over time, of the last layer
  std::vector<float> pooled_;           // (documents, inputs of the MLP)
  int layer_ = 0, direction_ = 0, step_ = 0;
};
