#include "runtime/kv_layout.h"

#include <cstring>

namespace vhbm {
namespace {

std::optional<std::uint64_t> value_at(void** parameters, const KvPlace& place, KvNumber type) {
  const char* const at = static_cast<const char*>(parameters[place.argument]);
  if (at == nullptr) return std::nullopt;
  std::uint64_t value = 0;
  if (size_of(type) == sizeof value) {
    std::memcpy(&value, at + place.offset, sizeof value);
  } else {
    std::uint32_t half = 0;
    std::memcpy(&half, at + place.offset, sizeof half);
    value = type == KvNumber::int32
                ? static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(half)})
                : half;
  }
  const bool is_signed = type == KvNumber::int32 || type == KvNumber::int64;
  if (is_signed && static_cast<std::int64_t>(value) < 0) return std::nullopt;
  return value;
}

std::string wrong_place(const char* what, const KvPlace& place, std::uint32_t size,
                        const std::vector<std::uint32_t>& sizes) {
  const std::string where = std::string(what) + " is at argument " +
                            std::to_string(place.argument) +
                            (place.offset == 0 ? "" : " + " + std::to_string(place.offset));
  if (place.argument >= sizes.size()) {
    return where + ", but the kernel has " + std::to_string(sizes.size()) + " parameters";
  }
  if (std::uint64_t{place.offset} + size <= sizes[place.argument]) return {};
  return where + " and has " + std::to_string(size) + " bytes, but that parameter has " +
         std::to_string(sizes[place.argument]) + " in all";
}

}  // namespace

std::optional<std::uint64_t> KvQuantity::of(const KvLaunchShape& launch) const {
  std::uint64_t product = 1;
  for (const Factor& factor : factors) {
    std::optional<std::uint64_t> value = factor.number;
    switch (factor.kind) {
      case Factor::Kind::number:
        break;
      case Factor::Kind::argument:
        value = value_at(launch.parameters, factor.place, factor.type);
        break;
      case Factor::Kind::grid_x:
      case Factor::Kind::grid_y:
      case Factor::Kind::grid_z:
        value = launch.grid[static_cast<std::size_t>(factor.kind) -
                            static_cast<std::size_t>(Factor::Kind::grid_x)];
        break;
    }
    if (!value || __builtin_mul_overflow(product, *value, &product)) return std::nullopt;
  }
  return product;
}

bool matches(std::string_view pattern, std::string_view name) {
  // Where the last * stood, and from which letter on it may take one more.
  std::size_t star = std::string_view::npos, again = 0, p = 0, n = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      again = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p, ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++again;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::string misfit(const KvKernel& kernel, const std::vector<std::uint32_t>& sizes) {
  if (kernel.parameters && *kernel.parameters != sizes.size()) {
    return "parameters = " + std::to_string(*kernel.parameters) + ", but the kernel has " +
           std::to_string(sizes.size());
  }
  std::string why;
  const auto pointer = [&](const char* what, const std::optional<KvPlace>& place) {
    if (why.empty() && place) why = wrong_place(what, *place, sizeof(std::uint64_t), sizes);
  };
  const auto quantity = [&](const char* what, const KvQuantity& one) {
    for (const KvQuantity::Factor& factor : one.factors) {
      if (!why.empty() || factor.kind != KvQuantity::Factor::Kind::argument) continue;
      why = wrong_place(what, factor.place, size_of(factor.type), sizes);
    }
  };
  pointer("keys", kernel.keys);
  pointer("values", kernel.values);
  pointer("table", kernel.table);
  pointer("lengths", kernel.lengths);
  pointer("lines", kernel.lines);
  pointer("sequences_at", kernel.sequences_at);
  quantity("block_bytes", kernel.block_bytes);
  quantity("block_stride", kernel.block_stride);
  quantity("value_bytes", kernel.value_bytes);
  quantity("value_stride", kernel.value_stride);
  quantity("block_tokens", kernel.block_tokens);
  quantity("table_stride", kernel.table_stride);
  quantity("sequences", kernel.sequences);
  return why;
}

}  // namespace vhbm
