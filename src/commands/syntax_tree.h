// A command's arguments as a tree, read from the line of documentation that its table row has: what COMMAND DOCS
// answers and redis-cli shows as hints.
//
// The line is written as Redis's documentation writes it: WORD is a token, word a value, [a] optional, <a | b> and [a |
// b] a choice, [a ...] a repetition of what stands before it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "commands/command.h"

namespace tidemark::commands {

struct Argument {
  enum class Type { kString, kInteger, kDouble, kKey, kPattern, kUnixTime, kPureToken, kOneOf, kBlock };

  Type type = Type::kString;
  std::string name;   // "unix-time-seconds"; of tokens in lower case
  std::string token;  // the word that introduces it; may be empty
  bool optional = false;
  bool multiple = false;
  bool multiple_token = false;  // the token is repeated too
  std::vector<Argument> parts;  // of kOneOf and kBlock
};

// As COMMAND DOCS names the type.
std::string_view TypeName(Argument::Type type);

// `syntax` comes from the table; one that does not parse stops the process (a test reads them all).
std::vector<Argument> ParseSyntax(std::string_view syntax);

}  // namespace tidemark::commands
