#include "bin/hide_secrets.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace tidemark::bin {
namespace {

constexpr std::array kSecretFlags = {std::string_view("--requirepass"), std::string_view("--masterauth"),
                                     std::string_view("--password")};
constexpr std::array kSecretParameters = {std::string_view("access-key="), std::string_view("session-token="),
                                          std::string_view("sse-kms-key-id=")};

void Hide(char* begin, const char* end) { std::fill(begin, const_cast<char*>(end), '*'); }

// "access-key=" stands in "secret-access-key=" too.
void HideParameters(char* argument) {
  const std::string_view text(argument);
  for (const std::string_view parameter : kSecretParameters) {
    for (size_t at = text.find(parameter); at != std::string_view::npos; at = text.find(parameter, at + 1)) {
      const size_t begin = at + parameter.size();
      const size_t end = std::min(text.find('&', begin), text.size());
      Hide(argument + begin, argument + end);
    }
  }
}

}  // namespace

std::vector<std::string> TakeArguments(int argc, char** argv) {
  std::vector<std::string> copy(argv, argv + argc);
  bool of_user = false;  // rules of --user, of which ">secret" is one
  for (int i = 1; i < argc; ++i) {
    const std::string_view text(argv[i]);
    if (text.starts_with("--")) of_user = text == "--user";
    if (of_user && text.starts_with('>')) Hide(argv[i] + 1, argv[i] + text.size());
    for (const std::string_view flag : kSecretFlags) {
      if (text == flag && i + 1 < argc) Hide(argv[i + 1], argv[i + 1] + copy[static_cast<size_t>(i) + 1].size());
      if (text.starts_with(flag) && text.size() > flag.size() && text[flag.size()] == '=') {
        Hide(argv[i] + flag.size() + 1, argv[i] + text.size());
      }
    }
    HideParameters(argv[i]);
  }
  return copy;
}

}  // namespace tidemark::bin
