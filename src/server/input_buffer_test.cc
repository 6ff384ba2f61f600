#include "server/input_buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace tidemark::server {
namespace {

// One read of a socket that has `bytes` waiting; returns how many it took.
size_t ReadOnce(InputBuffer& buffer, std::string_view bytes, size_t wanted = 1) {
  buffer.MakeRoom(wanted);
  EXPECT_GT(buffer.room_size(), 0u);
  const size_t taken = std::min(bytes.size(), buffer.room_size());
  std::memcpy(buffer.room(), bytes.data(), taken);
  buffer.Arrived(taken);
  return taken;
}

TEST(InputBuffer, KeepsEveryByteWhateverTheReadsAndTheConsumers) {
  std::string sent;
  for (int i = 0; i < 20000; ++i) sent += std::to_string(i) + ",";
  InputBuffer buffer;
  std::string taken;
  size_t position = 0;
  for (size_t step = 1; taken.size() < sent.size(); ++step) {
    position += ReadOnce(buffer, std::string_view(sent).substr(position, step * 37 % 5000));
    const size_t use = std::min(buffer.size(), step * 53 % 4000);
    taken += buffer.view().substr(0, use);
    buffer.Consume(use);
    if (step % 7 == 0) buffer.Shrink();
  }
  EXPECT_EQ(taken, sent);
}

TEST(InputBuffer, GrowsWithWhatArrivesNotWithWhatIsClaimed) {
  InputBuffer buffer;
  ReadOnce(buffer, "*2\r\n$4\r\nECHO\r\n$4294967296\r\nab", 4294967296);
  EXPECT_EQ(buffer.capacity(), InputBuffer::kSmallest);
  const std::string piece(100, 'x');
  for (int i = 0; i < 100; ++i) ReadOnce(buffer, piece, 4294967296);
  EXPECT_LE(buffer.capacity(), 4 * buffer.size());
}

TEST(InputBuffer, ManySmallCommandsDoNotGrowItPastOneOrdinaryRead) {
  InputBuffer buffer;
  const std::string flood(1 << 20, 'x');
  for (int i = 0; i < 100; ++i) {
    ReadOnce(buffer, flood);
    buffer.Consume(buffer.size());
  }
  EXPECT_LE(buffer.capacity(), InputBuffer::kOrdinary);
}

TEST(InputBuffer, GivesItsMemoryBackWhenIdle) {
  InputBuffer buffer;
  const std::string large(10 << 20, 'x');
  for (size_t position = 0; position < large.size();) {
    position += ReadOnce(buffer, std::string_view(large).substr(position), large.size() - position);
  }
  EXPECT_EQ(buffer.view(), large);
  buffer.Consume(large.size() - 3);
  buffer.Shrink();
  EXPECT_EQ(buffer.view(), "xxx");
  EXPECT_EQ(buffer.capacity(), InputBuffer::kSmallest);
}

}  // namespace
}  // namespace tidemark::server
