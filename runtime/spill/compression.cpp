#include "runtime/spill/compression.h"

#include <lz4.h>
#include <zstd.h>

#include <algorithm>

namespace vhbm {
namespace {

// What saves less than a sixteenth is not worth the unpacking.
std::size_t most_that_pays(std::size_t plain) {
  return plain - plain / 16;
}

}  // namespace

// Made at first use: a direction that is not taken costs nothing.
struct Packer::Contexts {
  ~Contexts() {
    ZSTD_freeCCtx(packing);
    ZSTD_freeDCtx(unpacking);
  }
  ZSTD_CCtx* packing = nullptr;
  ZSTD_DCtx* unpacking = nullptr;
};

Packer::Packer(CompressionChoice choice)
    : choice_(choice), contexts_(std::make_unique<Contexts>()) {}

Packer::~Packer() = default;

std::size_t Packer::pack(std::span<const std::byte> plain, std::span<std::byte> packed) {
  const std::size_t room = most_that_pays(plain.size());
  switch (choice_.codec) {
    case Codec::none:
      return 0;
    case Codec::lz4: {
      const int size = LZ4_compress_default(reinterpret_cast<const char*>(plain.data()),
                                            reinterpret_cast<char*>(packed.data()),
                                            static_cast<int>(plain.size()), static_cast<int>(room));
      return size > 0 ? static_cast<std::size_t>(size) : 0;
    }
    case Codec::zstd: {
      if (contexts_->packing == nullptr) contexts_->packing = ZSTD_createCCtx();
      if (contexts_->packing == nullptr) return 0;
      const std::size_t size = ZSTD_compressCCtx(contexts_->packing, packed.data(), room,
                                                 plain.data(), plain.size(), choice_.level);
      return ZSTD_isError(size) ? 0 : size;
    }
  }
  return 0;
}

Status Packer::unpack(Codec codec, std::span<const std::byte> packed, std::span<std::byte> plain) {
  bool fits = false;
  switch (codec) {
    case Codec::none:
      fits = packed.size() == plain.size();
      if (fits) std::copy(packed.begin(), packed.end(), plain.begin());
      break;
    case Codec::lz4:
      fits = LZ4_decompress_safe(reinterpret_cast<const char*>(packed.data()),
                                 reinterpret_cast<char*>(plain.data()),
                                 static_cast<int>(packed.size()),
                                 static_cast<int>(plain.size())) == static_cast<int>(plain.size());
      break;
    case Codec::zstd:
      if (contexts_->unpacking == nullptr) contexts_->unpacking = ZSTD_createDCtx();
      if (contexts_->unpacking == nullptr) return {Errc::out_of_memory, "no memory to unpack with"};
      fits = ZSTD_decompressDCtx(contexts_->unpacking, plain.data(), plain.size(), packed.data(),
                                 packed.size()) == plain.size();
      break;
  }
  if (!fits) return {Errc::bytes_corrupted, "packed bytes do not unpack"};
  return {};
}

}  // namespace vhbm
