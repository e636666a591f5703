// What kernels know of a step: which tokens it computes and where their KV lies. The arrays are in
// device memory and change from step to step; their addresses do not, so graphs can be reused.
#pragma once

struct DecoderBatch {
  const int* counts;       // [0]: rows (tokens) of this step; [1]: rows whose logits are wanted
  const int* token;        // of each row
  const int* position;     // of each row in its sequence
  const int* sequence;     // of each row: index into block_table
  const int* logit_row;    // rows whose logits are wanted
  const int* block_table;  // a line of table_width block ids for each sequence
  int table_width;
  int block_tokens;
};
