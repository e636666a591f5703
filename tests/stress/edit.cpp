// The host's twin of kernels.cu and of the driver's copies and fills.
#include "edit.h"

#include <algorithm>

#include "words.h"

namespace stress {

Rows rows_of(const Edit& edit) {
  const std::size_t width = 1 + edit.value % 5000, pitch = width + edit.value / 5000 % 100;
  // In slices of three, where there are that many.
  const std::size_t height = edit.count / pitch / 3 * 3;
  return height == 0 ? Rows{edit.count, edit.count, 1} : Rows{width, pitch, height};
}

void apply(const Edit& edit) {
  Words& shadow = edit.buffer->shadow;
  const auto begin = shadow.begin() + static_cast<std::ptrdiff_t>(edit.first);
  const auto end = begin + static_cast<std::ptrdiff_t>(edit.count);
  switch (edit.kind) {
    case Operation::copy_in:
    case Operation::fill:
      for (std::size_t i = 0; i < edit.count; ++i) begin[i] = word_of(i, edit.value);
      break;
    case Operation::copy_rows:
    case Operation::set_rows: {
      const Rows rows = rows_of(edit);
      for (std::size_t y = 0; y < rows.height; ++y) {
        const auto to = begin + static_cast<std::ptrdiff_t>(y * rows.pitch);
        if (edit.kind == Operation::set_rows) {
          std::fill_n(to, rows.width, edit.value);
        } else {
          std::copy_n(edit.source->shadow.begin() +
                          static_cast<std::ptrdiff_t>(edit.source_first + y * rows.pitch),
                      rows.width, to);
        }
      }
      break;
    }
    case Operation::copy_between:
    case Operation::copy_batch:
      std::copy_n(edit.source->shadow.begin() + static_cast<std::ptrdiff_t>(edit.source_first),
                  edit.count, begin);
      break;
    case Operation::set_bytes:
      std::fill(begin, end, (edit.value & 0xff) * 0x01010101u);
      break;
    case Operation::set_words:
      std::fill(begin, end, edit.value);
      break;
    case Operation::add:
    case Operation::packed_add:
    case Operation::hidden_add:
      std::for_each(begin, end, [&](std::uint32_t& word) { word += edit.value; });
      break;
    case Operation::linger:
      for (std::size_t i = 0; i < edit.count; i += linger_stride) {
        begin[i] += edit.value * edit.rounds;
      }
      break;
    default:
      break;
  }
}

}  // namespace stress
