// The decoder's kernels. A row is one token of one sequence; a thread computes 32 columns of a row,
// or one head of a row's attention, in an order that depends on nothing else. So a token's values
// are the same bits in whatever batch, chunk or block it is computed.
//
// A KV block of one layer holds, for each head, its keys as [dimension][token] and then, for each
// head, its values as [token][dimension]. Launches are sized for a bucket of rows: threads beyond
// the step's count have nothing to do.
#include <math.h>

#include "decoder_batch.h"
#include "lanes.h"

namespace {

constexpr int tile = 32;            // columns a thread computes
constexpr int attention_tile = 16;  // tokens it scores at once; divides every block size

}  // namespace

// e^x for x from -87 to 0, to about 1e-7: 2^x by a polynomial and the exponent's bits. Without a
// branch, so that a host compiler makes vector code of it.
GPU_FUNCTION float exponential(float x) {
  const float t = x * 1.44269504f;
  const int whole = static_cast<int>(t - 0.5f);
  const float part = t - static_cast<float>(whole);
  float p = 1.5403530e-4f;
  p = p * part + 1.3333558e-3f;
  p = p * part + 9.6181291e-3f;
  p = p * part + 5.5504109e-2f;
  p = p * part + 2.4022651e-1f;
  p = p * part + 6.9314718e-1f;
  p = p * part + 1.0f;
  union {
    unsigned bits;
    float value;
  } power;
  power.bits = static_cast<unsigned>(whole + 127) << 23;
  return p * power.value;
}

// Below this exponential() would leave its range; what it gives there is nothing beside 1.
constexpr float lowest_exponent = -80.0f;

GPU_FUNCTION float larger(float a, float b) {
  return a > b ? a : b;
}

GPU_FUNCTION float silu(float x) {
  const float e = exponential(larger(x < 0.0f ? x : -x, lowest_exponent));
  return x * (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

// sums[c] = input · weights[:, c] for the 32 columns from `column`; weights are [inputs][columns].
GPU_FUNCTION void dot_columns(float* sums, const float* input, const float* weights, int inputs,
                              int columns, int column) {
  Lanes sum[tile / 4];
  for (int i = 0; i < tile / 4; ++i) sum[i] = lanes_of(0.0f);
  for (int i = 0; i < inputs; ++i) {
    add_scaled<tile / 4>(sum, weights + static_cast<size_t>(i) * columns + column, input[i]);
  }
  for (int i = 0; i < tile / 4; ++i) store_lanes(sums + 4 * i, sum[i]);
}

// The expert a token is sent to: by a hash of the token, as hash layers do.
GPU_FUNCTION int expert_of(int token, int layer, int experts) {
  unsigned h =
      static_cast<unsigned>(token) * 0x9e3779b1u + static_cast<unsigned>(layer) * 0x85ebca6bu;
  h = (h ^ (h >> 15)) * 0x2c1b3c6du;
  h = (h ^ (h >> 13)) * 0x297a2d39u;
  return static_cast<int>((h ^ (h >> 16)) % static_cast<unsigned>(experts));
}

// What the simulated GPU prices: the first block of a launch declares what the whole launch reads,
// each byte once.
GPU_FUNCTION bool declares() {
  return gpu::priced() && blockIdx.x == 0;
}

// The weights of the experts that the step's tokens are sent to.
GPU_FUNCTION void reads_experts(const float* weights, size_t expert_floats, int experts, int layer,
                                const DecoderBatch& batch) {
  const int rows = batch.counts[0];
  for (int row = 0; row < rows; ++row) {
    const int expert = expert_of(batch.token[row], layer, experts);
    bool seen = false;
    for (int i = 0; i < row && !seen; ++i) {
      seen = expert_of(batch.token[i], layer, experts) == expert;
    }
    if (seen) continue;
    gpu::reads(weights + static_cast<size_t>(expert) * expert_floats,
               expert_floats * sizeof *weights);
  }
}

// The KV blocks of each sequence, up to its last row.
GPU_FUNCTION void reads_kv(const float* cache, int hidden, unsigned long long block_stride,
                           const DecoderBatch& batch) {
  const int rows = batch.counts[0];
  const size_t block_floats = static_cast<size_t>(hidden) * batch.block_tokens * 2;
  for (int row = 0; row < rows; ++row) {
    const int sequence = batch.sequence[row];
    if (row + 1 < rows && batch.sequence[row + 1] == sequence) continue;
    const int* table = batch.block_table + static_cast<size_t>(sequence) * batch.table_width;
    for (int block = 0; block <= batch.position[row] / batch.block_tokens; ++block) {
      gpu::reads(cache + static_cast<size_t>(table[block]) * block_stride,
                 block_floats * sizeof *cache);
    }
  }
}

// state[row] = the embedding of the row's token.
GPU_KERNEL embed(float* state, const float* embedding, int hidden, DecoderBatch batch) {
  const int tiles = hidden / tile;
  const int rows = batch.counts[0];
  GPU_THREADS {
    const int id = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const int row = id / tiles;
    if (row >= rows) continue;
    const int column = id % tiles * tile;
    const float* from = embedding + static_cast<size_t>(batch.token[row]) * hidden + column;
    float* to = state + static_cast<size_t>(row) * hidden + column;
    for (int c = 0; c < tile; ++c) to[c] = from[c];
  }
}

// output[row] = state[row] scaled to a root mean square of `gain`. With `gather`, output row r is
// made of state row gather[r], for as many rows as logits are wanted of.
GPU_KERNEL rms_norm(float* output, const float* state, const float* gain, const int* gather,
                    int hidden, DecoderBatch batch) {
  const int rows = batch.counts[gather ? 1 : 0];
  GPU_THREADS {
    const int row = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (row >= rows) continue;
    const float* x = state + static_cast<size_t>(gather ? gather[row] : row) * hidden;
    float* y = output + static_cast<size_t>(row) * hidden;
    float squares[tile];
    for (int c = 0; c < tile; ++c) squares[c] = 0.0f;
    for (int i = 0; i < hidden; i += tile) {
      for (int c = 0; c < tile; ++c) squares[c] += x[i + c] * x[i + c];
    }
    float sum = 0.0f;
    for (int c = 0; c < tile; ++c) sum += squares[c];
    const float scale = 1.0f / sqrtf(sum / static_cast<float>(hidden) + 1e-6f);
    for (int i = 0; i < hidden; ++i) y[i] = x[i] * scale * gain[i];
  }
}

// output[row] (+)= input[row] · weights. `count` says which of the batch's counts are the rows.
GPU_KERNEL linear(float* output, const float* input, const float* weights, int inputs, int columns,
                  int accumulate, int count, DecoderBatch batch) {
  const int tiles = columns / tile;
  const int rows = batch.counts[count];
  if (declares()) gpu::reads(weights, static_cast<size_t>(inputs) * columns * sizeof *weights);
  GPU_THREADS {
    const int id = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const int row = id / tiles;
    if (row >= rows) continue;
    const int column = id % tiles * tile;
    alignas(16) float sums[tile];
    dot_columns(sums, input + static_cast<size_t>(row) * inputs, weights, inputs, columns, column);
    float* to = output + static_cast<size_t>(row) * columns + column;
    if (accumulate) {
      for (int c = 0; c < tile; ++c) to[c] += sums[c];
    } else {
      for (int c = 0; c < tile; ++c) to[c] = sums[c];
    }
  }
}

// Stores the keys and values of the step's rows in their blocks of this layer.
GPU_KERNEL store_kv(float* cache, const float* projected, int hidden, int head_size,
                    unsigned long long block_stride, DecoderBatch batch) {
  const int heads = hidden / head_size;
  const int rows = batch.counts[0];
  GPU_THREADS {
    const int id = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const int row = id / heads;
    if (row >= rows) continue;
    const int head = id % heads;
    const int position = batch.position[row];
    const int* table =
        batch.block_table + static_cast<size_t>(batch.sequence[row]) * batch.table_width;
    const int offset = position % batch.block_tokens;
    float* keys = cache + static_cast<size_t>(table[position / batch.block_tokens]) * block_stride +
                  static_cast<size_t>(head) * head_size * batch.block_tokens;
    float* values = keys + static_cast<size_t>(hidden) * batch.block_tokens;
    const float* key =
        projected + static_cast<size_t>(row) * 3 * hidden + hidden + head * head_size;
    const float* value = key + hidden;
    for (int d = 0; d < head_size; ++d)
      keys[static_cast<size_t>(d) * batch.block_tokens + offset] = key[d];
    for (int d = 0; d < head_size; ++d)
      values[static_cast<size_t>(offset) * head_size + d] = value[d];
  }
}

GPU_FUNCTION float largest(const float* score) {
  float lanes[4];
  for (int c = 0; c < 4; ++c) lanes[c] = score[c];
  for (int t = 4; t < attention_tile; t += 4) {
    for (int c = 0; c < 4; ++c) lanes[c] = larger(lanes[c], score[t + c]);
  }
  return larger(larger(lanes[0], lanes[1]), larger(lanes[2], lanes[3]));
}

// Causal attention of one head of one row over all KV of its sequence up to itself, found through
// the block table: softmax kept running over tiles of 16 tokens, distance as a linear bias (ALiBi).
template <int head_size>
GPU_FUNCTION void attend(float* output, const float* query, const float* cache, const int* table,
                         int head, int heads, int position, unsigned long long block_stride,
                         int block_tokens) {
  const float scale = 1.0f / sqrtf(static_cast<float>(head_size));
  const float slope = 1.0f / static_cast<float>(2 << (head * 8 / heads));
  Lanes mixed[head_size / 4];
  for (int i = 0; i < head_size / 4; ++i) mixed[i] = lanes_of(0.0f);
  float highest = -1e30f;
  float total = 0.0f;
  for (int start = 0; start <= position; start += attention_tile) {
    const float* keys = cache + static_cast<size_t>(table[start / block_tokens]) * block_stride +
                        static_cast<size_t>(head) * head_size * block_tokens;
    const int offset = start % block_tokens;
    const float* values = keys + static_cast<size_t>(heads) * head_size * block_tokens +
                          static_cast<size_t>(offset) * head_size;
    Lanes dots[attention_tile / 4];
    for (int i = 0; i < attention_tile / 4; ++i) dots[i] = lanes_of(0.0f);
    for (int d = 0; d < head_size; ++d) {
      const float* k = keys + static_cast<size_t>(d) * block_tokens + offset;
      add_scaled<attention_tile / 4>(dots, k, query[d]);
    }
    alignas(16) float score[attention_tile];
    for (int i = 0; i < attention_tile / 4; ++i) store_lanes(score + 4 * i, dots[i]);
    const int distance = position - start;  // of the tile's first token
    for (int t = 0; t < attention_tile; ++t) {
      score[t] = score[t] * scale - slope * static_cast<float>(distance - t);
    }
    // What lies behind the row itself is another step's, or nothing.
    const int valid = distance + 1 < attention_tile ? distance + 1 : attention_tile;
    for (int t = valid; t < attention_tile; ++t) score[t] = -1e30f;
    const float new_highest = larger(highest, largest(score));
    const float correction = exponential(larger(highest - new_highest, lowest_exponent));
    for (int t = 0; t < attention_tile; ++t) {
      score[t] = larger(score[t] - new_highest, lowest_exponent);
    }
    for (int t = 0; t < attention_tile; ++t) score[t] = exponential(score[t]);
    float tile_total = 0.0f;
    for (int i = 0; i < head_size / 4; ++i) mixed[i] = scaled(mixed[i], correction);
    for (int t = 0; t < valid; ++t) {
      tile_total += score[t];
      add_scaled<head_size / 4>(mixed, values + t * head_size, score[t]);
    }
    total = total * correction + tile_total;
    highest = new_highest;
  }
  for (int i = 0; i < head_size / 4; ++i) {
    store_lanes(output + 4 * i, scaled(mixed[i], 1.0f / total));
  }
}

// A block takes one head of as many rows as it has threads: mostly one sequence's, and the same KV.
template <int head_size>
GPU_FUNCTION void attend_rows(float* output, const float* projected, const float* cache, int heads,
                              unsigned long long block_stride, const DecoderBatch& batch, int block,
                              int row_in_block, int rows_per_block) {
  const int row = block / heads * rows_per_block + row_in_block;
  if (row >= batch.counts[0]) return;
  const int head = block % heads;
  const size_t hidden = static_cast<size_t>(heads) * head_size;
  const int* table =
      batch.block_table + static_cast<size_t>(batch.sequence[row]) * batch.table_width;
  attend<head_size>(output + row * hidden + head * head_size,
                    projected + row * 3 * hidden + head * head_size, cache, table, head, heads,
                    batch.position[row], block_stride, batch.block_tokens);
}

GPU_KERNEL attention_16(float* output, const float* projected, const float* cache, int heads,
                        unsigned long long block_stride, DecoderBatch batch) {
  if (declares()) reads_kv(cache, heads * 16, block_stride, batch);
  GPU_THREADS {
    attend_rows<16>(output, projected, cache, heads, block_stride, batch, blockIdx.x, threadIdx.x,
                    blockDim.x);
  }
}

GPU_KERNEL attention_32(float* output, const float* projected, const float* cache, int heads,
                        unsigned long long block_stride, DecoderBatch batch) {
  if (declares()) reads_kv(cache, heads * 32, block_stride, batch);
  GPU_THREADS {
    attend_rows<32>(output, projected, cache, heads, block_stride, batch, blockIdx.x, threadIdx.x,
                    blockDim.x);
  }
}

GPU_KERNEL attention_64(float* output, const float* projected, const float* cache, int heads,
                        unsigned long long block_stride, DecoderBatch batch) {
  if (declares()) reads_kv(cache, heads * 64, block_stride, batch);
  GPU_THREADS {
    attend_rows<64>(output, projected, cache, heads, block_stride, batch, blockIdx.x, threadIdx.x,
                    blockDim.x);
  }
}

// inner[row] = silu(input[row] · up), with the weights of the expert that the row's token is sent
// to.
GPU_KERNEL expert_up(float* inner, const float* input, const float* up, int hidden, int inner_size,
                     int experts, int layer, DecoderBatch batch) {
  const int tiles = inner_size / tile;
  const int rows = batch.counts[0];
  const size_t expert_floats = static_cast<size_t>(hidden) * inner_size;
  if (declares()) reads_experts(up, expert_floats, experts, layer, batch);
  GPU_THREADS {
    const int id = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const int row = id / tiles;
    if (row >= rows) continue;
    const int column = id % tiles * tile;
    const size_t expert = expert_of(batch.token[row], layer, experts);
    alignas(16) float sums[tile];
    dot_columns(sums, input + static_cast<size_t>(row) * hidden, up + expert * expert_floats, hidden,
                inner_size, column);
    float* to = inner + static_cast<size_t>(row) * inner_size + column;
    for (int c = 0; c < tile; ++c) to[c] = silu(sums[c]);
  }
}

// state[row] += inner[row] · down, of the same expert.
GPU_KERNEL expert_down(float* state, const float* inner, const float* down, int hidden,
                       int inner_size, int experts, int layer, DecoderBatch batch) {
  const int tiles = hidden / tile;
  const int rows = batch.counts[0];
  const size_t expert_floats = static_cast<size_t>(inner_size) * hidden;
  if (declares()) reads_experts(down, expert_floats, experts, layer, batch);
  GPU_THREADS {
    const int id = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const int row = id / tiles;
    if (row >= rows) continue;
    const int column = id % tiles * tile;
    const size_t expert = expert_of(batch.token[row], layer, experts);
    alignas(16) float sums[tile];
    dot_columns(sums, inner + static_cast<size_t>(row) * inner_size,
                down + expert * expert_floats, inner_size, hidden, column);
    float* to = state + static_cast<size_t>(row) * hidden + column;
    for (int c = 0; c < tile; ++c) to[c] += sums[c];
  }
}

// next[r] = the column of the largest of logits[r], the first if several are. A block a row, of 256
// threads.
GPU_KERNEL choose_token(int* next, const float* logits, int vocabulary, DecoderBatch batch) {
  GPU_SHARED float best_value[256];
  GPU_SHARED int best_column[256];
  const int row = static_cast<int>(blockIdx.x);
  if (row >= batch.counts[1]) return;
  const float* values = logits + static_cast<size_t>(row) * vocabulary;
  GPU_THREADS {
    float value = -3.4e38f;
    int column = vocabulary;
    for (int c = static_cast<int>(threadIdx.x); c < vocabulary; c += 256) {
      if (values[c] > value) {
        value = values[c];
        column = c;
      }
    }
    best_value[threadIdx.x] = value;
    best_column[threadIdx.x] = column;
  }
  GPU_BARRIER();
  GPU_THREADS {
    if (threadIdx.x != 0) continue;
    float value = best_value[0];
    int column = best_column[0];
    for (int t = 1; t < 256; ++t) {
      if (best_value[t] > value || (best_value[t] == value && best_column[t] < column)) {
        value = best_value[t];
        column = best_column[t];
      }
    }
    next[row] = column;
  }
}

GPU_MODULE(GPU_ENTRY(embed), GPU_ENTRY(rms_norm), GPU_ENTRY(linear), GPU_ENTRY(store_kv),
           GPU_ENTRY(attention_16), GPU_ENTRY(attention_32), GPU_ENTRY(attention_64),
           GPU_ENTRY(expert_up), GPU_ENTRY(expert_down), GPU_ENTRY(choose_token))
