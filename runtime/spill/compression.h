// How the bytes of a piece are packed on their way down, and unpacked on their way back.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "runtime/compression_choice.h"
#include "runtime/status.h"

namespace vhbm {

// Packs and unpacks for one thread, keeping what the codecs work with between pieces.
class Packer {
 public:
  explicit Packer(CompressionChoice choice);
  ~Packer();
  Packer(const Packer&) = delete;
  Packer& operator=(const Packer&) = delete;

  // Packs `plain` into `packed`, which is as long; returns the packed length. 0 where packing does
  // not pay (or was not asked for): such bytes are stored as they are.
  [[nodiscard]] std::size_t pack(std::span<const std::byte> plain, std::span<std::byte> packed);
  // Fills `plain`, and never writes past it.
  //   Errc::bytes_corrupted  `packed` is not what packs to exactly that many bytes
  [[nodiscard]] Status unpack(Codec codec, std::span<const std::byte> packed,
                              std::span<std::byte> plain);

 private:
  struct Contexts;
  const CompressionChoice choice_;
  std::unique_ptr<Contexts> contexts_;
};

}  // namespace vhbm
