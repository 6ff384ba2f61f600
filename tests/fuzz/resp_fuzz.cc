// Any bytes, cut anywhere: the request parser neither crashes nor reads outside its input, and what it makes of the
// bytes does not depend on how they were cut.
#include <cstdlib>
#include <string>
#include <vector>

#include "resp/parser.h"

namespace {

using tidemark::resp::Limits;
using tidemark::resp::Parser;
using tidemark::resp::ParseResult;
using tidemark::resp::Request;

struct Outcome {
  std::vector<std::vector<std::string>> requests;
  std::string error;
  bool operator==(const Outcome&) const = default;
};

// Every step sees a fresh copy of exactly the bytes it may touch, so that the address sanitizer sees any other.
Outcome Run(std::string_view input, size_t piece) {
  Limits limits;
  limits.max_line = 256;
  limits.max_bulk = 4096;
  Outcome outcome;
  Parser parser;
  Request request;
  std::vector<char> buffer;
  size_t sent = 0;
  while (true) {
    size_t consumed = 0;
    const ParseResult result = parser.Parse({buffer.data(), buffer.size()}, limits, &consumed, &request);
    if (result == ParseResult::kRequest) outcome.requests.emplace_back(request.args.begin(), request.args.end());
    if (result == ParseResult::kError) {
      outcome.error = parser.error();
      return outcome;
    }
    std::vector<char> rest(buffer.begin() + static_cast<std::ptrdiff_t>(consumed), buffer.end());
    if (result == ParseResult::kIncomplete) {
      if (sent == input.size()) return outcome;
      const std::string_view next = input.substr(sent, piece);
      rest.insert(rest.end(), next.begin(), next.end());
      sent += next.size();
    }
    rest.shrink_to_fit();
    buffer = std::move(rest);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t piece = 1 + data[0] % 32;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (!(Run(input, input.size() + 1) == Run(input, piece))) std::abort();
  return 0;
}
