// Memory that two processes have: what one exports with cuIpcGetMemHandle the other one opens,
// while either pages other memory.
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "gpu_test.h"
#include "sharing_peer.h"

namespace {

constexpr std::size_t piece = 7 * mebibyte;
constexpr unsigned lazily = CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS;

class SharingTest : public GpuTest {
 protected:
  ~SharingTest() override {
    for (const CUdeviceptr memory : pressure_) EXPECT_CUDA(cuMemFree(memory));
  }

  // More than HBM holds beside what is shared, used by turns until some of it moved.
  bool page() {
    while (pressure_.size() < 5) {
      CUdeviceptr memory = 0;
      EXPECT_CUDA(cuMemAlloc(&memory, piece));
      fill(memory, piece, 100);
      pressure_.push_back(memory);
    }
    const std::uint64_t before = stat("promoted_bytes") + stat("evicted_bytes");
    for (int i = 0; i < 4000; ++i) {
      add(pressure_[static_cast<std::size_t>(i / 20) % pressure_.size()], piece, 0);
      EXPECT_CUDA(cuStreamSynchronize(stream_));
      if (stat("promoted_bytes") + stat("evicted_bytes") > before) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  }
  bool pressure_is_whole() {
    for (const CUdeviceptr memory : pressure_) {
      if (!holds(memory, piece, 100)) return false;
    }
    return true;
  }
  CUdeviceptr filled(std::size_t size, std::uint32_t seed) {
    CUdeviceptr memory = 0;
    EXPECT_CUDA(cuMemAlloc(&memory, size));
    fill(memory, size, seed);
    EXPECT_CUDA(cuStreamSynchronize(stream_));
    return memory;
  }
  static CUipcMemHandle handle_of(CUdeviceptr memory) {
    CUipcMemHandle handle{};
    EXPECT_CUDA(cuIpcGetMemHandle(&handle, memory));
    return handle;
  }
  static bool same(const CUipcMemHandle& one, const CUipcMemHandle& other) {
    return std::equal(std::begin(one.reserved), std::end(one.reserved), std::begin(other.reserved));
  }
  static std::size_t sockets() {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(std::getenv("VHBM_STATE_DIR"))) {
      if (entry.path().extension() == ".share") ++count;
    }
    return count;
  }
  // The peer's memory as this process has it.
  struct Theirs {
    CUdeviceptr there = 0, here = 0;
    CUipcMemHandle handle{};
  };
  static Theirs memory_of(Peer& peer, std::size_t size, std::uint32_t seed) {
    const Message made = peer.ask({Order::allocate, {}, 0, size, seed});
    EXPECT_CUDA(made.result);
    const Message shared = peer.ask({Order::share, {}, made.address});
    EXPECT_CUDA(shared.result);
    return {made.address, 0, shared.handle};
  }
  static Message with_handle(Order order, const CUipcMemHandle& handle) {
    Message message;
    message.order = order;
    message.handle = handle;
    return message;
  }

  std::vector<CUdeviceptr> pressure_;
};

TEST_F(SharingTest, BothProcessesUseWhatTheOtherExportsWhileBothPage) {
  const CUdeviceptr ours = filled(piece, 1);
  ASSERT_TRUE(page());
  Peer peer;
  const Message opened = peer.ask(with_handle(Order::open, handle_of(ours)));
  ASSERT_CUDA(opened.result);
  Theirs theirs = memory_of(peer, piece, 2);
  ASSERT_CUDA(cuIpcOpenMemHandle(&theirs.here, theirs.handle, lazily));
  for (std::uint32_t round = 0; round < 2; ++round) {
    ASSERT_TRUE(page());
    ASSERT_CUDA(peer.ask({Order::page}).result);
    add(ours, piece, 10);
    add(theirs.here, piece, 20);
    ASSERT_CUDA(cuStreamSynchronize(stream_));
    const std::uint32_t before_ours = round * 40, before_theirs = round * 60;
    ASSERT_CUDA(peer.ask({Order::check, {}, opened.address, piece, 1, before_ours + 10}).result);
    ASSERT_CUDA(peer.ask({Order::check, {}, theirs.there, piece, 2, before_theirs + 20}).result);
    ASSERT_CUDA(peer.ask({Order::add, {}, opened.address, piece, 30}).result);
    ASSERT_CUDA(peer.ask({Order::add, {}, theirs.there, piece, 40}).result);
    ASSERT_TRUE(holds(ours, piece, 1, before_ours + 40));
    ASSERT_TRUE(holds(theirs.here, piece, 2, before_theirs + 60));
  }
  EXPECT_TRUE(pressure_is_whole());
  EXPECT_EQ(stat("gathered_bytes"), 8 * mebibyte);
  EXPECT_LE(stat("hbm_bytes"), hbm_limit);
  EXPECT_CUDA(cuIpcCloseMemHandle(theirs.here));
  EXPECT_CUDA(peer.ask({Order::close, {}, opened.address}).result);
  EXPECT_CUDA(peer.ask({Order::free, {}, theirs.there}).result);
  EXPECT_TRUE(peer.end());
  EXPECT_CUDA(cuMemFree(ours));
  EXPECT_EQ(stat("gathered_bytes"), 0u);
}

TEST_F(SharingTest, AHandleIsTheAllocationsAndIsNotOpenedInItsOwnProcess) {
  const CUdeviceptr region = filled(piece, 3), small = filled(mebibyte, 4);
  for (const CUdeviceptr memory : {region, small}) {
    SCOPED_TRACE(memory == region ? "a region" : "native memory");
    const CUipcMemHandle handle = handle_of(memory);
    EXPECT_TRUE(same(handle, handle_of(memory)));
    EXPECT_TRUE(same(handle, handle_of(memory + 4096)));
    CUdeviceptr opened = 0;
    EXPECT_EQ(cuIpcOpenMemHandle(&opened, handle, lazily), CUDA_ERROR_INVALID_CONTEXT);
    EXPECT_EQ(cuIpcOpenMemHandle(&opened, handle, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(cuIpcGetMemHandle(nullptr, memory), CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(cuIpcCloseMemHandle(memory), CUDA_ERROR_INVALID_VALUE);
    bool capable = false;
    EXPECT_CUDA(
        cuPointerGetAttribute(&capable, CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE, memory));
    EXPECT_TRUE(capable);
    EXPECT_CUDA(cuMemFree(memory));
  }
}

TEST_F(SharingTest, WhatIsOpenedTwiceIsClosedTwiceAndTellsOfItselfAsNativeMemoryDoes) {
  Peer peer;
  const std::size_t odd = piece - 4096;
  for (const std::size_t size : {odd, mebibyte}) {
    SCOPED_TRACE(size == odd ? "a region" : "native memory");
    Theirs theirs = memory_of(peer, size, 5);
    CUdeviceptr again = 0, base = 0;
    std::size_t told = 0;
    ASSERT_CUDA(cuIpcOpenMemHandle(&theirs.here, theirs.handle, lazily));
    ASSERT_CUDA(cuIpcOpenMemHandle(&again, theirs.handle, lazily));
    EXPECT_EQ(again, theirs.here);
    EXPECT_CUDA(cuMemGetAddressRange(&base, &told, again + 12));
    EXPECT_EQ(base, again);
    EXPECT_EQ(told, size);
    if (size == odd) {
      EXPECT_NE(cuMemGetAddressRange(&base, &told, again + size), CUDA_SUCCESS);
    }
    unsigned type = 0;
    CUcontext context = nullptr;
    EXPECT_CUDA(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, again + size - 1));
    EXPECT_EQ(type, unsigned{CU_MEMORYTYPE_DEVICE});
    EXPECT_CUDA(cuPointerGetAttribute(&context, CU_POINTER_ATTRIBUTE_CONTEXT, again));
    EXPECT_EQ(context, context_);
    CUipcMemHandle handle{};
    EXPECT_EQ(cuIpcGetMemHandle(&handle, again), CUDA_ERROR_INVALID_VALUE) << "it is the peer's";
    EXPECT_NE(cuMemFree(again), CUDA_SUCCESS);
    EXPECT_NE(cuIpcCloseMemHandle(again + 4096), CUDA_SUCCESS);
    EXPECT_CUDA(cuIpcCloseMemHandle(again));
    EXPECT_TRUE(holds(theirs.here, size, 5));
    EXPECT_CUDA(cuIpcCloseMemHandle(theirs.here));
    EXPECT_EQ(cuIpcCloseMemHandle(theirs.here), CUDA_ERROR_INVALID_VALUE);
    EXPECT_NE(cuMemGetAddressRange(&base, &told, theirs.here), CUDA_SUCCESS);
    EXPECT_CUDA(peer.ask({Order::free, {}, theirs.there}).result);
  }
}

TEST_F(SharingTest, AProcessWithoutVhbmIsRefusedByItsDriver) {
  const CUdeviceptr region = filled(piece, 6);
  Peer peer(Peer::Preload::no);
  EXPECT_EQ(peer.ask(with_handle(Order::open, handle_of(region))).result, CUDA_ERROR_INVALID_VALUE);
  EXPECT_TRUE(peer.end());
  EXPECT_TRUE(holds(region, piece, 6));
  EXPECT_CUDA(cuMemFree(region));
}

TEST_F(SharingTest, AHandleOfADeadProcessIsRefusedAndItsSocketGoesWithTheNext) {
  Peer peer;
  Theirs kept = memory_of(peer, piece, 7);
  const Theirs late = memory_of(peer, piece, 8);
  ASSERT_CUDA(cuIpcOpenMemHandle(&kept.here, kept.handle, lazily));
  peer.kill();
  const auto begin = std::chrono::steady_clock::now();
  CUdeviceptr opened = 0;
  EXPECT_EQ(cuIpcOpenMemHandle(&opened, late.handle, lazily), CUDA_ERROR_INVALID_VALUE);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  EXPECT_TRUE(holds(kept.here, piece, 7)) << "what is mapped keeps its memory";
  EXPECT_CUDA(cuIpcCloseMemHandle(kept.here));
  // Ours may be there, and the dead peer's is.
  const std::size_t before = sockets();
  EXPECT_GE(before, 1u);
  Peer next;
  ASSERT_CUDA(next.ask({Order::allocate, {}, 0, piece, 1}).result);
  EXPECT_EQ(sockets(), before - 1);
}

TEST_F(SharingTest, AWrongTokenAndAStaleHandleAreRefused) {
  Peer peer;
  Theirs theirs = memory_of(peer, piece, 9);
  CUdeviceptr opened = 0;
  // Every part of it but the first 8 bytes, which say whose handle it is, and the spare last ones.
  for (const std::size_t byte : {8u, 24u, 32u, 47u}) {
    CUipcMemHandle wrong = theirs.handle;
    wrong.reserved[byte] = static_cast<char>(wrong.reserved[byte] ^ 1);
    EXPECT_EQ(cuIpcOpenMemHandle(&opened, wrong, lazily), CUDA_ERROR_INVALID_VALUE)
        << "byte " << byte;
  }
  ASSERT_CUDA(peer.ask({Order::free, {}, theirs.there}).result);
  EXPECT_EQ(cuIpcOpenMemHandle(&opened, theirs.handle, lazily), CUDA_ERROR_INVALID_VALUE);
  const Theirs anew = memory_of(peer, piece, 10);
  ASSERT_EQ(anew.there, theirs.there) << "the same address, or this tests nothing";
  EXPECT_FALSE(same(anew.handle, theirs.handle));
  EXPECT_EQ(cuIpcOpenMemHandle(&opened, theirs.handle, lazily), CUDA_ERROR_INVALID_VALUE);
  ASSERT_CUDA(cuIpcOpenMemHandle(&opened, anew.handle, lazily));
  EXPECT_TRUE(holds(opened, piece, 10));
  EXPECT_CUDA(cuIpcCloseMemHandle(opened));
}

TEST_F(SharingTest, CopiesThatSynchronizeAreForMemoryThatIsHeld) {
  const CUdeviceptr region = filled(piece, 11);
  unsigned told = 7, on = 1, off = 0;
  EXPECT_CUDA(cuPointerGetAttribute(&told, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, region));
  EXPECT_EQ(told, 0u);
  EXPECT_EQ(cuPointerSetAttribute(&on, CU_POINTER_ATTRIBUTE_IS_MANAGED, region),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(stat("gathered_bytes"), 0u);
  EXPECT_CUDA(cuPointerSetAttribute(&on, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, region + 4096));
  EXPECT_EQ(stat("gathered_bytes"), 8 * mebibyte);
  EXPECT_CUDA(cuPointerGetAttribute(&told, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, region));
  EXPECT_EQ(told, 1u);
  EXPECT_CUDA(cuPointerSetAttribute(&off, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, region));
  EXPECT_CUDA(cuPointerGetAttribute(&told, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, region));
  EXPECT_EQ(told, 0u);
  EXPECT_TRUE(holds(region, piece, 11));
  EXPECT_CUDA(cuMemFree(region));
}

TEST_F(SharingTest, AFileOfARangeIsOfOnePieceThatIsHeld) {
  const CUdeviceptr region = filled(piece, 12);
  ASSERT_TRUE(page());
  int file = -1;
  constexpr auto dma_buf = CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD;
  EXPECT_EQ(cuMemGetHandleForAddressRange(&file, region, 64 * mebibyte, dma_buf, 0),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(stat("gathered_bytes"), 0u);
  ASSERT_CUDA(
      cuMemGetHandleForAddressRange(&file, region + mebibyte, piece - mebibyte, dma_buf, 0));
  EXPECT_GE(file, 0);
  close(file);
  EXPECT_EQ(stat("gathered_bytes"), 8 * mebibyte);
  ASSERT_TRUE(page());
  EXPECT_TRUE(holds(region, piece, 12));
  EXPECT_CUDA(cuMemFree(region));
}

// The other process: it does what it is told until the channel closes.
class SharingPeer : public SharingTest {};

TEST_F(SharingPeer, DISABLED_DoesWhatItIsTold) {
  Message message;
  while (Peer::receive(&message)) {
    switch (message.order) {
      case Order::allocate:
        message.address = filled(message.size, message.seed);
        break;
      case Order::share:
        message.result = cuIpcGetMemHandle(&message.handle, message.address);
        break;
      case Order::open:
        message.result = cuIpcOpenMemHandle(&message.address, message.handle, lazily);
        break;
      case Order::close:
        message.result = cuIpcCloseMemHandle(message.address);
        break;
      case Order::free:
        message.result = cuMemFree(message.address);
        break;
      case Order::add:
        add(message.address, message.size, message.seed);
        message.result = cuStreamSynchronize(stream_);
        break;
      case Order::check:
        if (const auto right = holds(message.address, message.size, message.seed, message.added);
            !right) {
          ADD_FAILURE() << right.message();
          message.result = CUDA_ERROR_UNKNOWN;
        }
        break;
      case Order::page:
        if (!page()) message.result = CUDA_ERROR_TIMEOUT;
        break;
    }
    Peer::answer(message);
  }
  EXPECT_TRUE(pressure_is_whole());
}

}  // namespace
