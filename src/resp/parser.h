// Cuts requests out of what a client sent: arrays of bulk strings ("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n") and inline
// commands ("GET k\r\n", with quotes). Grammar, limits and error texts are those of Redis 7.0.
//
// The bytes stay the caller's: one contiguous buffer that begins with the first byte no request has taken. A
// command that is not complete costs nothing twice, however many pieces it comes in: the parser remembers how far
// into the buffer it has seen, and a large value is not looked at at all before it is all there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tidemark::resp {

// Bytes and counts that a client may send. The session sets `authenticated` and the configurable ones when they change.
struct Limits {
  size_t max_bulk = 512ULL << 20;    // proto-max-bulk-len
  size_t max_args = 1024ULL * 1024;  // words of one command
  size_t max_line = 64ULL << 10;     // an inline command, or the line of a length
  bool authenticated = true;         // false: the two limits below hold as well
  size_t unauthenticated_args = 10;
  size_t unauthenticated_bulk = 16384;
};

struct Request {
  // Never empty after Parse said kRequest. Views into the input, or into `unquoted` for an inline command: valid
  // until either changes. The vector is there to be used again.
  std::vector<std::string_view> args;
  std::string unquoted;
};

enum class ParseResult {
  kRequest,     // *out holds a request
  kIncomplete,  // more bytes are needed; call again with the same bytes and more behind them
  kError,       // error() says why; the stream cannot be understood from here on, answer and close
};

// The state of one connection's stream. Used by one thread at a time.
class Parser {
 public:
  // Looks for one request at the front of `input`. On return the caller drops *consumed bytes from the front of its
  // buffer, whatever the result (empty requests are skipped, so it may be positive without a request), no later than
  // it is done with the request. Between calls the buffer may move, but what was not consumed may not change.
  ParseResult Parse(std::string_view input, const Limits& limits, size_t* consumed, Request* out);

  // After kError: "Protocol error: …", to be sent behind "ERR ".
  const std::string& error() const { return error_; }

  // After kIncomplete: how many bytes, at least, are missing from the input before another call can succeed; 1 when
  // only a look can tell. Counts what a client claims: let the buffer grow as bytes come, up to this, never at once to
  // it.
  size_t BytesWanted() const { return bytes_wanted_; }

 private:
  struct Span {
    size_t offset;
    size_t length;
  };
  enum class Step { kDone, kNeedMore, kFailed };

  Step ParseInline(std::string_view input, const Limits& limits, Request* out);
  Step ParseMultibulk(std::string_view input, const Limits& limits, Request* out);
  Step ParseMultibulkHeader(std::string_view input, const Limits& limits);
  Step ParseBulkHeader(std::string_view input, const Limits& limits);
  Step TakeLine(std::string_view input, char end, size_t max_line, std::string_view too_long, std::string_view* line);
  Step Fail(std::string_view text);
  void FinishCommand();

  // All offsets count from the front of the input, where the command that is being read begins.
  size_t position_ = 0;              // the next part of the command
  size_t scanned_ = 0;               // up to here no end of line was found behind position_
  size_t args_left_ = 0;             // bulk strings still to come; 0: the command's header is next
  std::optional<size_t> bulk_size_;  // of the bulk string whose header has been read
  std::vector<Span> spans_;          // bulk strings read so far
  size_t bytes_wanted_ = 1;
  std::string error_;
};

}  // namespace tidemark::resp
