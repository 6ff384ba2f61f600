// The link against a Redis that is played: what it says, and what comes of it in a sink.
#include "replication/psync_link.h"

#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <string>
#include <vector>

#include "format/rdb_writer.h"

namespace tidemark::replication {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kId(40, 'b');
const std::string kMark(40, 'm');

std::string Command(const std::vector<std::string>& words) {
  std::string bytes = fmt::format("*{}\r\n", words.size());
  for (const std::string& word : words) bytes += fmt::format("${}\r\n{}\r\n", word.size(), word);
  return bytes;
}

std::string Rdb() {
  std::string file;
  format::RdbFileWriter writer([&](std::string_view bytes) {
    file.append(bytes);
    return absl::OkStatus();
  });
  EXPECT_TRUE(writer.Begin("x", 1).ok());
  EXPECT_TRUE(writer.Database(1, 1, 0).ok());
  EXPECT_TRUE(writer.Key("k", 0).ok());
  EXPECT_TRUE(writer.value()->Begin(format::RdbKind::kString, 1).ok());
  EXPECT_TRUE(writer.value()->String("v").ok());
  EXPECT_TRUE(writer.value()->End().ok());
  EXPECT_TRUE(writer.Finish().ok());
  return file;
}

class MemorySink final : public CommandSink {
 public:
  absl::Status Apply(std::span<const PsyncCommand> commands, const std::optional<PsyncPosition>& position) override {
    const MutexLock lock(mutex_);
    for (const PsyncCommand& command : commands) {
      lines_.push_back(fmt::format("{}: {}", command.db, fmt::join(command.words, " ")));
    }
    position_ = position;
    changed_.SignalAll();
    return absl::OkStatus();
  }
  absl::StatusOr<std::optional<PsyncPosition>> Position() override {
    const MutexLock lock(mutex_);
    return position_;
  }
  std::vector<std::string> Await(size_t count) {
    const MutexLock lock(mutex_);
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (lines_.size() < count && changed_.WaitUntil(mutex_, until)) {
    }
    return lines_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
  std::optional<PsyncPosition> position_ ABSL_GUARDED_BY(mutex_);
};

// One connection: answers each command of the handshake, then PSYNC by `script`, and ends when that is all said, unless
// it stays.
class Played final : public ByteConnection {
 public:
  Played(std::string script, bool stays, std::string* heard, Mutex* heard_mutex)
      : script_(std::move(script)), stays_(stays), heard_(heard), heard_mutex_(heard_mutex) {}

  absl::StatusOr<size_t> Read(char* to, size_t max, std::chrono::milliseconds timeout) override {
    const MutexLock lock(mutex_);
    if (out_.empty() && !cancelled_) {
      if (said_ && !stays_) return absl::UnavailableError("it has closed the connection");
      changed_.WaitUntil(mutex_, std::chrono::steady_clock::now() + std::min(timeout, std::chrono::milliseconds(20)));
    }
    if (cancelled_) return absl::CancelledError("cancelled");
    // In pieces, as a network would.
    const size_t taken = out_.copy(to, std::min<size_t>(max, 7));
    out_.erase(0, taken);
    return taken;
  }
  absl::Status Write(std::string_view bytes) override {
    {
      const MutexLock lock(*heard_mutex_);
      heard_->append(bytes);
    }
    const MutexLock lock(mutex_);
    if (bytes.find("PSYNC") != std::string_view::npos) {
      out_ += script_;
      said_ = true;
    } else if (bytes.find("PING") != std::string_view::npos) {
      out_ += "+PONG\r\n";
    } else if (bytes.find("ACK") == std::string_view::npos && bytes != "\n") {
      out_ += "+OK\r\n";
    }
    return absl::OkStatus();
  }
  void Cancel() override {
    const MutexLock lock(mutex_);
    cancelled_ = true;
    changed_.SignalAll();
  }

 private:
  const std::string script_;
  const bool stays_;
  std::string* const heard_;
  Mutex* const heard_mutex_;
  Mutex mutex_;
  CondVar changed_;
  std::string out_ ABSL_GUARDED_BY(mutex_);
  bool said_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

class PsyncLinkTest : public ::testing::Test {
 protected:
  // The link meets one connection after the other; the last one stays.
  void Follow(std::deque<std::string> scripts) {
    scripts_ = std::move(scripts);
    PsyncOptions options;
    options.primary = {"redis", 1};
    options.announced = {"", 7777};
    options.upstream = [] { return UpstreamOptions{.user = "", .password = "secret"}; };
    options.connect = [this](const Endpoint&,
                             std::chrono::milliseconds) -> absl::StatusOr<std::unique_ptr<ByteConnection>> {
      if (scripts_.empty()) return absl::UnavailableError("refused");
      std::string script = scripts_.front();
      scripts_.pop_front();
      return std::make_unique<Played>(std::move(script), scripts_.empty(), &heard_, &mutex_);
    };
    options.sink = &sink_;
    options.retry = std::chrono::milliseconds(1);
    options.not_redis = [this] { not_redis_ = true; };
    link_ = std::make_unique<PsyncLink>(Clock::System(), std::move(options));
  }
  std::string heard() {
    const MutexLock lock(mutex_);
    return heard_;
  }

  MemorySink sink_;
  Mutex mutex_;
  std::string heard_;
  std::deque<std::string> scripts_;
  std::atomic<bool> not_redis_{false};
  std::unique_ptr<PsyncLink> link_;
};

TEST_F(PsyncLinkTest, AnRdbOfKnownLengthThenTheStream) {
  const std::string rdb = Rdb();
  const std::string set = Command({"SELECT", "0"}) + Command({"SET", "a", "1"});
  Follow({fmt::format("+FULLRESYNC {} 100\r\n\n\n${}\r\n{}{}", kId, rdb.size(), rdb, set)});
  EXPECT_THAT(sink_.Await(3), ElementsAre("0: FLUSHALL", "1: SET k v", "0: SET a 1"));
  link_->Stop();
  EXPECT_EQ(*sink_.Position().value(), (PsyncPosition{.id = kId, .offset = 100 + set.size(), .db = 0}));
  EXPECT_THAT(heard(), HasSubstr(Command({"AUTH", "secret"})));
  EXPECT_THAT(heard(), HasSubstr(Command({"REPLCONF", "listening-port", "7777"})));
  EXPECT_THAT(heard(), HasSubstr(Command({"PSYNC", "?", "-1"})));
}

TEST_F(PsyncLinkTest, AnRdbThatEndsWithAMark) {
  const std::string set = Command({"SET", "a", "1"});
  Follow({fmt::format("+FULLRESYNC {} 100\r\n$EOF:{}\r\n{}{}{}", kId, kMark, Rdb(), kMark, set)});
  EXPECT_THAT(sink_.Await(3), ElementsAre("0: FLUSHALL", "1: SET k v", "0: SET a 1"));
}

// A cut costs nothing but what was not whole.
TEST_F(PsyncLinkTest, AfterACutItGoesOnWhereItWas) {
  const std::string rdb = Rdb();
  const std::string set = Command({"SET", "a", "1"});
  const std::string torn = Command({"SET", "b", "2"});
  Follow({fmt::format("+FULLRESYNC {} 100\r\n${}\r\n{}{}{}", kId, rdb.size(), rdb, set, torn.substr(0, 9)),
          "+CONTINUE\r\n" + torn});
  EXPECT_THAT(sink_.Await(4), ElementsAre("0: FLUSHALL", "1: SET k v", "0: SET a 1", "0: SET b 2"));
  EXPECT_THAT(heard(), HasSubstr(Command({"PSYNC", kId, fmt::format("{}", 100 + set.size() + 1)})));
}

// A load that was cut leaves no position, so nothing goes on from a half.
TEST_F(PsyncLinkTest, ACutLoadBeginsAnew) {
  const std::string rdb = Rdb();
  Follow({fmt::format("+FULLRESYNC {} 100\r\n${}\r\n{}", kId, rdb.size(), rdb.substr(0, rdb.size() - 3)),
          fmt::format("+FULLRESYNC {} 200\r\n${}\r\n{}", kId, rdb.size(), rdb)});
  EXPECT_THAT(sink_.Await(3), ElementsAre("0: FLUSHALL", "0: FLUSHALL", "1: SET k v"));
  EXPECT_THAT(heard(), Not(HasSubstr(kId)));
}

TEST_F(PsyncLinkTest, WhoDoesNotKnowPsyncIsNoRedis) {
  Follow({"-ERR unknown command 'PSYNC', with args beginning with: '?'\r\n"});
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!not_redis_ && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_TRUE(not_redis_);
  EXPECT_FALSE(link_->up());
}

}  // namespace
}  // namespace tidemark::replication
