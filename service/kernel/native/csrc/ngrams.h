// N-grams of tokens, hashed into buckets: model/ngrams.py and model/linear_ngrams.py in C++.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

constexpr int64_t NGRAM_PRIME = 2147483647, NGRAM_FACTOR = 1000003;

// The bucket, below `buckets`, of the n-gram of length `n` around a position. It begins n / 2 tokens
// before the position; tokens outside the document count as 0, those inside as their id + 1.
inline int64_t ngram_bucket(
    const int32_t* tokens, int length, int position, int n, int64_t buckets) {
  int64_t hash = n;
  for (int index = position - n / 2; index < position + (n + 1) / 2; ++index) {
    const int64_t token = index < 0 || index >= length ? 0 : int64_t(tokens[index]) + 1;
    hash = (hash * NGRAM_FACTOR + token) % NGRAM_PRIME;
  }
  return hash % buckets;
}

// The linear classifier over the TF-IDF values of n-grams.
struct LinearPart {
  const float* importance;  // (features): tokens, then the buckets of each n from 2
  const float* weights;     // (features, labels)
  const float* biases;      // (labels)
  int32_t longest, buckets, vocabulary, labels;

  // Adds its logits of a document to `logits` (labels).
  void add(const int32_t* tokens, int length, float* logits) const {
    std::vector<int64_t> features = features_of(tokens, length);
    std::sort(features.begin(), features.end());
    std::vector<float> values;
    double square = 0;
    size_t distinct = 0;
    for (size_t begin = 0, end; begin < features.size(); begin = end) {
      for (end = begin + 1; end < features.size() && features[end] == features[begin];) ++end;
      const float value =
          (1.0f + std::log(float(end - begin))) * importance[features[begin]];
      values.push_back(value);
      square += double(value) * value;
      features[distinct++] = features[begin];
    }
    const float norm = std::max(float(std::sqrt(square)), 1e-12f);  // MIN_NORM
    std::vector<float> sums(labels);
    for (size_t index = 0; index < distinct; ++index) {
      const float* weight = weights + features[index] * labels;
      const float value = values[index] / norm;
      for (int label = 0; label < labels; ++label) sums[label] += value * weight[label];
    }
    for (int label = 0; label < labels; ++label) logits[label] += sums[label] + biases[label];
  }

 private:
  std::vector<int64_t> features_of(const int32_t* tokens, int length) const {
    std::vector<int64_t> features(tokens, tokens + length);
    features.reserve(size_t(length) * longest);
    for (int n = 2; n <= longest; ++n)
      for (int position = 0; position < length; ++position)
        features.push_back(
            vocabulary + int64_t(n - 2) * buckets +
            ngram_bucket(tokens, length, position, n, buckets));
    return features;
  }
};
