// Every form of copy and memset over memory whose chunks lie in HBM and in host memory by turns:
// the right bytes, and the ranges that it is seen to touch. Compiled so that cuda.h declares each
// variant under its own name.
#include <algorithm>
#include <cstring>

#include "frozen_memory.h"

#if !defined(__CUDA_API_VERSION_INTERNAL)
#error "see CMakeLists.txt"
#endif

namespace {

// A box of bytes; a line is one row of one slice.
struct Layout {
  std::size_t pitch, rows;  // bytes from row to row, rows from slice to slice
};
struct Box {
  std::size_t width, height, depth;

  [[nodiscard]] std::size_t span(const Layout& in) const {
    return ((depth - 1) * in.rows + height - 1) * in.pitch + width;
  }
};
struct Copy {
  Box box;
  CUdeviceptr to, from;
  Layout to_layout, from_layout;
  CUcontext context;
  CUstream stream;  // null for those that have none
};

void* host(CUdeviceptr address) {
  return reinterpret_cast<void*>(address);
}

CUDA_MEMCPY2D plane(const Copy& c, CUmemorytype to, CUmemorytype from) {
  CUDA_MEMCPY2D made{};
  made.dstMemoryType = to;
  made.srcMemoryType = from;
  made.dstDevice = c.to;
  made.srcDevice = c.from;
  made.dstHost = host(c.to);
  made.srcHost = host(c.from);
  made.dstPitch = c.to_layout.pitch;
  made.srcPitch = c.from_layout.pitch;
  made.WidthInBytes = c.box.width;
  made.Height = c.box.height;
  return made;
}

template <typename Made>
Made volume(const Copy& c, CUmemorytype to, CUmemorytype from) {
  Made made{};
  made.dstMemoryType = to;
  made.srcMemoryType = from;
  made.dstDevice = c.to;
  made.srcDevice = c.from;
  made.dstHost = host(c.to);
  made.srcHost = host(c.from);
  made.dstPitch = c.to_layout.pitch;
  made.srcPitch = c.from_layout.pitch;
  made.dstHeight = c.to_layout.rows;
  made.srcHeight = c.from_layout.rows;
  made.WidthInBytes = c.box.width;
  made.Height = c.box.height;
  made.Depth = c.box.depth;
  if constexpr (requires { made.dstContext; }) made.dstContext = made.srcContext = c.context;
  return made;
}

constexpr CUmemorytype device = CU_MEMORYTYPE_DEVICE, unified = CU_MEMORYTYPE_UNIFIED,
                       on_host = CU_MEMORYTYPE_HOST;

#if CUDA_VERSION >= 12080
// Two copies, of a half each.
struct Batch {
  explicit Batch(const Copy& c) {
    sizes[0] = c.box.width / 2;
    sizes[1] = c.box.width - sizes[0];
    for (std::size_t i = 0; i < 2; ++i) {
      to[i] = c.to + i * sizes[0];
      from[i] = c.from + i * sizes[0];
    }
    attributes.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM;
  }
  CUdeviceptr to[2], from[2];
  std::size_t sizes[2], first = 0, failed = 0;
  CUmemcpyAttributes attributes{};
};

CUDA_MEMCPY3D_BATCH_OP volume_operation(const Copy& c) {
  CUDA_MEMCPY3D_BATCH_OP made{};
  made.dst.type = made.src.type = CU_MEMCPY_OPERAND_TYPE_POINTER;
  made.dst.op.ptr.ptr = c.to;
  made.dst.op.ptr.rowLength = c.to_layout.pitch;
  made.dst.op.ptr.layerHeight = c.to_layout.rows;
  made.src.op.ptr.ptr = c.from;
  made.src.op.ptr.rowLength = c.from_layout.pitch;
  made.src.op.ptr.layerHeight = c.from_layout.rows;
  made.extent = {c.box.width, c.box.height, c.box.depth};
  made.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM;
  return made;
}
#endif

enum class Shape { line, plane, volume };
enum class Side { region, host };

struct CopyForm {
  const char* name;
  Shape shape;
  Side to, from;
  CUresult (*run)(const Copy& c);
};

#define LIST(...) __VA_ARGS__
#define FORM(symbol, shape, to, from, setup, arguments)             \
  {#symbol, Shape::shape, Side::to, Side::from, [](const Copy& c) { \
     [[maybe_unused]] const std::size_t size = c.box.width;         \
     setup return symbol(LIST arguments);                           \
   }},
// A function and its variant for per-thread default streams.
#define BOTH(symbol, suffix, shape, to, from, setup, arguments) \
  FORM(symbol, shape, to, from, setup, arguments)               \
  FORM(symbol##suffix, shape, to, from, setup, arguments)
#define PLANE(symbol, suffix, to, from, to_type, from_type, ...)                              \
  BOTH(symbol, suffix, plane, to, from, const CUDA_MEMCPY2D d = plane(c, to_type, from_type); \
       , (&d __VA_ARGS__))
#define VOLUME(symbol, suffix, type, to, from, to_type, from_type, ...)                      \
  BOTH(symbol, suffix, volume, to, from, const type d = volume<type>(c, to_type, from_type); \
       , (&d __VA_ARGS__))

// clang-format off
constexpr CopyForm copy_forms[] = {
  BOTH(cuMemcpy, _ptds, line, region, region, , (c.to, c.from, size))
  BOTH(cuMemcpy, _ptds, line, region, host, , (c.to, c.from, size))
  BOTH(cuMemcpyAsync, _ptsz, line, region, region, , (c.to, c.from, size, c.stream))
  BOTH(cuMemcpyAsync, _ptsz, line, host, region, , (c.to, c.from, size, nullptr))
  BOTH(cuMemcpyHtoD_v2, _ptds, line, region, host, , (c.to, host(c.from), size))
  BOTH(cuMemcpyHtoDAsync_v2, _ptsz, line, region, host, , (c.to, host(c.from), size, c.stream))
  BOTH(cuMemcpyDtoH_v2, _ptds, line, host, region, , (host(c.to), c.from, size))
  BOTH(cuMemcpyDtoHAsync_v2, _ptsz, line, host, region, , (host(c.to), c.from, size, c.stream))
  BOTH(cuMemcpyDtoD_v2, _ptds, line, region, region, , (c.to, c.from, size))
  BOTH(cuMemcpyDtoDAsync_v2, _ptsz, line, region, region, , (c.to, c.from, size, c.stream))
  BOTH(cuMemcpyPeer, _ptds, line, region, region, , (c.to, c.context, c.from, c.context, size))
  BOTH(cuMemcpyPeerAsync, _ptsz, line, region, region, ,
       (c.to, c.context, c.from, c.context, size, c.stream))
  PLANE(cuMemcpy2D_v2, _ptds, region, region, device, device)
  PLANE(cuMemcpy2D_v2, _ptds, region, host, device, on_host)
  PLANE(cuMemcpy2DUnaligned_v2, _ptds, host, region, on_host, device)
  PLANE(cuMemcpy2DAsync_v2, _ptsz, region, host, unified, unified, , c.stream)
  VOLUME(cuMemcpy3D_v2, _ptds, CUDA_MEMCPY3D, region, region, device, device)
  VOLUME(cuMemcpy3D_v2, _ptds, CUDA_MEMCPY3D, host, region, on_host, device)
  VOLUME(cuMemcpy3DAsync_v2, _ptsz, CUDA_MEMCPY3D, region, host, device, on_host, , c.stream)
  VOLUME(cuMemcpy3DPeer, _ptds, CUDA_MEMCPY3D_PEER, region, region, device, device)
  VOLUME(cuMemcpy3DPeerAsync, _ptsz, CUDA_MEMCPY3D_PEER, region, region, device, device, , c.stream)
#if CUDA_VERSION >= 12080
  BOTH(cuMemcpyBatchAsync, _ptsz, line, region, region, Batch b(c);,
       (b.to, b.from, b.sizes, 2, &b.attributes, &b.first, 1, &b.failed, c.stream))
  BOTH(cuMemcpy3DBatchAsync, _ptsz, volume, region, region,
       CUDA_MEMCPY3D_BATCH_OP o = volume_operation(c); std::size_t failed = 0;,
       (1, &o, &failed, 0, c.stream))
#endif
#if CUDA_VERSION >= 13000
  BOTH(cuMemcpyBatchAsync_v2, _ptsz, line, region, host, Batch b(c);,
       (b.to, b.from, b.sizes, 2, &b.attributes, &b.first, 1, c.stream))
  BOTH(cuMemcpy3DBatchAsync_v2, _ptsz, volume, region, region,
       CUDA_MEMCPY3D_BATCH_OP o = volume_operation(c);, (1, &o, 0, c.stream))
#endif
};

struct Set {
  CUdeviceptr to;
  std::size_t pitch, count, height;  // elements in a row, rows
  std::uint32_t value;
  CUstream stream;
};
struct SetForm {
  const char* name;
  std::size_t element;
  bool rows;
  CUresult (*run)(const Set& s);
};
#define SET(symbol, type, rows, ...) \
  {#symbol, sizeof(type), rows, [](const Set& s) { \
     return symbol(s.to, LIST __VA_ARGS__); }},
#define SETS(bits, type)                                                                          \
  SET(cuMemsetD##bits##_v2, type, false, (static_cast<type>(s.value), s.count))                   \
  SET(cuMemsetD##bits##_v2_ptds, type, false, (static_cast<type>(s.value), s.count))              \
  SET(cuMemsetD##bits##Async, type, false, (static_cast<type>(s.value), s.count, s.stream))       \
  SET(cuMemsetD##bits##Async_ptsz, type, false, (static_cast<type>(s.value), s.count, nullptr))   \
  SET(cuMemsetD2D##bits##_v2, type, true, (s.pitch, static_cast<type>(s.value), s.count, s.height)) \
  SET(cuMemsetD2D##bits##_v2_ptds, type, true,                                                    \
      (s.pitch, static_cast<type>(s.value), s.count, s.height))                                   \
  SET(cuMemsetD2D##bits##Async, type, true,                                                       \
      (s.pitch, static_cast<type>(s.value), s.count, s.height, s.stream))                         \
  SET(cuMemsetD2D##bits##Async_ptsz, type, true,                                                  \
      (s.pitch, static_cast<type>(s.value), s.count, s.height, nullptr))
constexpr SetForm set_forms[] = {
  SETS(8, unsigned char)
  SETS(16, unsigned short)
  SETS(32, unsigned)
};
// clang-format on

using Bytes = std::vector<unsigned char>;

// Over two chunks at least, and not to their ends.
Box box_of(Shape shape) {
  if (shape == Shape::line) return {3 * mebibyte + 12, 1, 1};
  return shape == Shape::plane ? Box{300'000, 4, 1} : Box{100'000, 3, 3};
}
Layout layout_of(Shape shape, Side side) {
  if (side == Side::host) return {shape == Shape::line ? 0 : box_of(shape).width + 96, 4};
  return {shape == Shape::plane ? mebibyte : mebibyte / 4, 5};
}
constexpr std::size_t to_offset = 17 * chunk - 700'000, from_offset = 3 * chunk - 300'000;

class CopyForms : public FrozenMemory {
 protected:
  CopyForms() : host_(4 * mebibyte), known_(chunks * chunk) {
    fill(host_);
    fill(known_);
    EXPECT_CUDA(cuMemcpyHtoD_v2(region(), known_.data(), known_.size()));
  }
  void fill(Bytes& bytes) {
    for (std::size_t i = 0; i + 8 <= bytes.size(); i += 8) {
      state_ = state_ * 6364136223846793005u + 1442695040888963407u;
      std::memcpy(&bytes[i], &state_, 8);
    }
  }
  // What is there, with a margin on both sides, is what is known of it.
  bool holds(std::size_t offset, std::size_t length) {
    constexpr std::size_t margin = 65536;
    Bytes back(length + 2 * margin);
    EXPECT_CUDA(cuMemcpyDtoH_v2(back.data(), region() + offset - margin, back.size()));
    return std::equal(back.begin(), back.end(),
                      known_.begin() + static_cast<long>(offset - margin));
  }

  Bytes host_, known_;  // the application's own memory; what the region holds
  std::uint64_t state_ = 1;
};

TEST_F(CopyForms, Copies) {
  for (const CopyForm& form : copy_forms) {
    SCOPED_TRACE(form.name);
    fill(host_);
    const CUdeviceptr host = reinterpret_cast<CUdeviceptr>(host_.data());
    const Copy copy{box_of(form.shape),
                    form.to == Side::region ? region() + to_offset : host,
                    form.from == Side::region ? region() + from_offset : host,
                    layout_of(form.shape, form.to),
                    layout_of(form.shape, form.from),
                    context_,
                    stream_};
    const std::size_t to_span = copy.box.span(copy.to_layout);
    const std::size_t from_span = copy.box.span(copy.from_layout);
    Bytes known_host = host_;
    unsigned char* to = form.to == Side::region ? known_.data() + to_offset : known_host.data();
    const unsigned char* from =
        form.from == Side::region ? known_.data() + from_offset : host_.data();
    for (std::size_t z = 0; z < copy.box.depth; ++z) {
      for (std::size_t y = 0; y < copy.box.height; ++y) {
        std::memcpy(to + (z * copy.to_layout.rows + y) * copy.to_layout.pitch,
                    from + (z * copy.from_layout.rows + y) * copy.from_layout.pitch,
                    copy.box.width);
      }
    }
    const bool in_two = std::strstr(form.name, "cuMemcpyBatch") != nullptr;
    const auto side_in_place = [&](Side side, CUdeviceptr address, std::size_t span) {
      if (side == Side::host) return std::uint64_t{0};
      if (!in_two) return in_place(address, span);
      return in_place(address, span / 2) + in_place(address + span / 2, span - span / 2);
    };
    const std::uint64_t expected =
        side_in_place(form.to, copy.to, to_span) + side_in_place(form.from, copy.from, from_span);
    const std::uint64_t seen = counted([&] { ASSERT_CUDA(form.run(copy)); });
    EXPECT_EQ(seen, expected);
    EXPECT_EQ(host_, known_host);
    EXPECT_TRUE(form.to == Side::host || holds(to_offset, to_span));
  }
}

TEST_F(CopyForms, Sets) {
  std::uint32_t value = 0x1234567;
  for (const SetForm& form : set_forms) {
    SCOPED_TRACE(form.name);
    value = value * 2654435761u + 1;
    const Box box = box_of(form.rows ? Shape::plane : Shape::line);
    const Set set{region() + to_offset, mebibyte, box.width / form.element,
                  box.height,           value,    stream_};
    for (std::size_t y = 0; y < box.height; ++y) {
      for (std::size_t x = 0; x < box.width; ++x) {
        known_[to_offset + y * set.pitch + x] =
            static_cast<unsigned char>(value >> (8 * (x % form.element)));
      }
    }
    const std::size_t span = box.span({set.pitch, 1});
    const std::uint64_t seen = counted([&] { ASSERT_CUDA(form.run(set)); });
    EXPECT_EQ(seen, in_place(set.to, span));
    EXPECT_TRUE(holds(to_offset, span));
  }
}

}  // namespace
