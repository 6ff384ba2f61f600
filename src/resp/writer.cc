#include "resp/writer.h"

#include <charconv>

#include "base/check.h"
#include "base/numbers.h"

namespace tidemark::resp {
namespace {

// Type byte, sign, 20 digits, CR LF.
constexpr size_t kHeaderChars = 24;

template <typename T>
size_t FormatHeader(char type, T value, char* out) {
  out[0] = type;
  char* end = std::to_chars(out + 1, out + kHeaderChars, value).ptr;
  *end++ = '\r';
  *end++ = '\n';
  return static_cast<size_t>(end - out);
}

}  // namespace

void Writer::SetProtocol(int version) {
  TM_CHECK(version == 2 || version == 3, "RESP{}", version);
  protocol_ = version;
}

void Writer::Truncate(size_t mark) {
  TM_CHECK(mark <= buffer_.size(), "mark {} behind the end {}", mark, buffer_.size());
  buffer_.resize(mark);
}

void Writer::Header(char type, size_t count) {
  char header[kHeaderChars];
  buffer_.append(header, FormatHeader(type, count, header));
}

void Writer::Line(char type, std::string_view text) {
  buffer_.push_back(type);
  const size_t start = buffer_.size();
  buffer_.append(text);
  for (size_t i = start; i < buffer_.size(); ++i) {
    if (buffer_[i] == '\r' || buffer_[i] == '\n') buffer_[i] = ' ';
  }
  buffer_.append("\r\n");
}

void Writer::Simple(std::string_view text) { Line('+', text); }

void Writer::Error(std::string_view text) { Line('-', text); }

void Writer::Integer(int64_t value) {
  char line[kHeaderChars];
  buffer_.append(line, FormatHeader(':', value, line));
}

void Writer::Bulk(std::string_view bytes) {
  Header('$', bytes.size());
  buffer_.append(bytes);
  buffer_.append("\r\n", 2);
}

void Writer::BulkInteger(int64_t value) {
  char digits[kHeaderChars];
  const char* end = std::to_chars(digits, digits + kHeaderChars, value).ptr;
  Bulk({digits, static_cast<size_t>(end - digits)});
}

void Writer::Null() { buffer_.append(protocol_ == 2 ? "$-1\r\n" : "_\r\n"); }

void Writer::NullArray() { buffer_.append(protocol_ == 2 ? "*-1\r\n" : "_\r\n"); }

void Writer::Attribute(size_t pairs) {
  TM_CHECK(protocol_ == 3, "an attribute in RESP2");
  Header('|', pairs);
}

void Writer::Double(double value) {
  char digits[kDoubleChars];
  const std::string_view text(digits, FormatDouble(value, digits));
  protocol_ == 2 ? Bulk(text) : Line(',', text);
}

void Writer::HumanDouble(long double value) {
  const std::string text = FormatLongDouble(value);
  protocol_ == 2 ? Bulk(text) : Line(',', text);
}

void Writer::Bool(bool value) {
  if (protocol_ == 2) {
    buffer_.append(value ? ":1\r\n" : ":0\r\n");
  } else {
    buffer_.append(value ? "#t\r\n" : "#f\r\n");
  }
}

void Writer::BigNumber(std::string_view digits) { protocol_ == 2 ? Bulk(digits) : Line('(', digits); }

void Writer::Verbatim(std::string_view format, std::string_view text) {
  if (protocol_ == 2) return Bulk(text);
  TM_CHECK(format.size() == 3, "verbatim format \"{}\"", format);
  Header('=', text.size() + 4);
  buffer_.append(format);
  buffer_.push_back(':');
  buffer_.append(text);
  buffer_.append("\r\n", 2);
}

void Writer::EndDeferred(DeferredLength deferred, size_t count) {
  TM_CHECK(deferred.position <= buffer_.size());
  char type = '*';
  if (protocol_ == 3) {
    if (deferred.kind == Kind::kMap) type = '%';
    if (deferred.kind == Kind::kSet) type = '~';
    if (deferred.kind == Kind::kPush) type = '>';
  } else if (deferred.kind == Kind::kMap) {
    count *= 2;
  }
  char header[kHeaderChars];
  buffer_.insert(deferred.position, header, FormatHeader(type, count, header));
}

}  // namespace tidemark::resp
