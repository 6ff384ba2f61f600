// Replies in RESP2 and RESP3 (redis.io, "Redis serialization protocol specification"). One writer a connection: the
// command says what it means (a map, a null, a double) and the writer spells it in the protocol the client chose.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tidemark::resp {

// Appends to one string; never fails, allocates only when that string grows. Used by one thread at a time.
class Writer {
 public:
  // 2 or 3, as HELLO sets it; 2 at the start. Takes effect with the next reply.
  void SetProtocol(int version);
  int protocol() const { return protocol_; }

  // What is written and not yet sent. The owner may take it, swap it or clear it between replies.
  std::string& buffer() { return buffer_; }
  const std::string& buffer() const { return buffer_; }
  size_t size() const { return buffer_.size(); }
  // Drops everything behind `mark`, a former size(): an error takes back a half-written reply.
  void Truncate(size_t mark);

  void Simple(std::string_view text);
  void Ok() { buffer_.append("+OK\r\n"); }
  // `text` begins with its code ("ERR syntax error"). Line breaks inside become spaces: they would end the reply.
  void Error(std::string_view text);
  void Integer(int64_t value);
  void Bulk(std::string_view bytes);
  // The decimal digits of `value` as a bulk string.
  void BulkInteger(int64_t value);
  void Null();
  // Where RESP2 has a null of arrays (a timed-out BLPOP, an aborted EXEC); RESP3 has one null.
  void NullArray();

  // Headers; the caller then writes that many elements (a map: pairs, key then value).
  void Array(size_t elements) { Header('*', elements); }
  void Map(size_t pairs) { protocol_ == 2 ? Header('*', pairs * 2) : Header('%', pairs); }
  void Set(size_t elements) { Header(protocol_ == 2 ? '*' : '~', elements); }
  void Push(size_t elements) { Header(protocol_ == 2 ? '*' : '>', elements); }
  // RESP3 only: RESP2 has no place for attributes, the caller leaves them out.
  void Attribute(size_t pairs);

  // RESP2: a bulk string with 17 significant digits.
  void Double(double value);
  // RESP2: a bulk string; digits as FormatLongDouble gives them.
  void HumanDouble(long double value);
  // RESP2: 1 or 0.
  void Bool(bool value);
  // `digits` is a decimal integer of any length; RESP2: a bulk string.
  void BigNumber(std::string_view digits);
  // `format` has three characters ("txt", "mkd"); RESP2: a bulk string of the text alone.
  void Verbatim(std::string_view format, std::string_view text);
  // Bytes that already are RESP.
  void Raw(std::string_view bytes) { buffer_.append(bytes); }

  // For a reply whose length is known only after its elements: Begin, write the elements, End with their number.
  // Nested ones end in the reverse order. End moves the elements behind the header it puts before them.
  enum class Kind { kArray, kMap, kSet, kPush };
  struct DeferredLength {
    Kind kind;
    size_t position;
  };
  DeferredLength BeginDeferred(Kind kind) const { return {kind, buffer_.size()}; }
  // `count` elements; of a map, pairs.
  void EndDeferred(DeferredLength deferred, size_t count);

 private:
  void Header(char type, size_t count);
  void Line(char type, std::string_view text);

  std::string buffer_;
  int protocol_ = 2;
};

}  // namespace tidemark::resp
