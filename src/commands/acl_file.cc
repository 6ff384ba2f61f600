// Users in files: the ACL file (aclfile), and `user` lines of the configuration. A line each, as ACL LIST shows them.
#include <algorithm>
#include <filesystem>
#include <utility>

#include "commands/acl.h"
#include "env/file.h"

namespace tidemark::commands {
namespace {

std::string_view Trimmed(std::string_view line) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = line.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return line.substr(begin, line.find_last_not_of(kSpace) - begin + 1);
}

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const size_t end = std::min(line.find(' '), line.size());
    if (end > 0) words.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return words;
}

// The errors of one user's rules, each with `where` before it; a mere mistake of syntax is told once.
std::string ApplyAll(std::span<const std::string> rules, bool all_channels, const std::string& where,
                     AclRights* rights) {
  std::string errors;
  bool syntax_told = false;
  for (const std::string& rule : rules) {
    const absl::Status applied = rights->Apply(rule, all_channels);
    if (applied.ok()) continue;
    if (Message(applied) != "Syntax error") {
      errors += fmt::format("{}: Error in applying operation '{}': {}. ", where, rule, Message(applied));
    } else if (!std::exchange(syntax_told, true)) {
      errors += fmt::format("{}: {}. ", where, Message(applied));
    }
  }
  return errors;
}

}  // namespace

absl::StatusOr<Acl::Users> Acl::ParseFile(const std::string& path, std::string_view text) const {
  Users users;
  std::string errors;
  int number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::vector<std::string_view> words = Words(Trimmed(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string where = fmt::format("{}:{}", path, ++number);
    if (words.empty()) continue;
    if (words[0] != "user" || words.size() < 2) {
      errors += fmt::format("{} should start with user keyword followed by the username. ", where);
      continue;
    }
    const auto [place, is_new] = users.emplace(words[1], AclRights::New(AllChannelsByDefault()));
    if (!is_new) {
      errors += fmt::format("WARNING: Duplicate user '{}' found on line {}. ", words[1], number);
      continue;
    }
    const absl::StatusOr<std::vector<std::string>> rules = JoinSelectors(std::span(words).subspan(2));
    errors += rules.ok() ? ApplyAll(*rules, AllChannelsByDefault(), where, &place->second)
                         : fmt::format("{}: Unmatched parenthesis in selector definition.", where);
  }
  if (errors.empty()) return users;
  return InvalidArgument("{}WARNING: ACL errors detected, no change to the previously active ACL rules was performed",
                         errors);
}

absl::Status Acl::LoadAtStart() {
  const std::vector<std::string> lines = config_.user_lines();
  if (!config_.Text("aclfile").empty()) {
    if (!lines.empty()) {
      return InvalidArgument(
          "aclfile: users are defined both in an ACL file and by `user` lines of the configuration; keep one of them");
    }
    return LoadFile(nullptr);
  }
  Users users;
  for (const std::string& line : lines) {
    const std::vector<std::string_view> words = Words(line);
    AclRights& rights = users.try_emplace(std::string(words[1]), AclRights::New(AllChannelsByDefault())).first->second;
    const absl::StatusOr<std::vector<std::string>> rules = JoinSelectors(std::span(words).subspan(2));
    if (!rules.ok()) return InvalidArgument("user {}: {}", words[1], Message(rules.status()));
    for (const std::string& rule : *rules) {
      const absl::Status applied = rights.Apply(rule, AllChannelsByDefault());
      if (!applied.ok()) return InvalidArgument("user {}: {}: {}", words[1], rule, Message(applied));
    }
  }
  if (!users.empty()) ReplaceAll(std::move(users), nullptr);
  return absl::OkStatus();
}

absl::Status Acl::LoadFile(const Client* self) {
  const std::string path = config_.Text("aclfile");
  const absl::StatusOr<std::string> text = ReadWholeFile(FileSystem::Posix(), path);
  if (!text.ok()) {
    const std::string_view why = absl::IsNotFound(text.status()) ? "No such file or directory" : Message(text.status());
    return InvalidArgument("Error loading ACLs, opening file '{}': {}", path, why);
  }
  absl::StatusOr<Users> users = ParseFile(path, *text);
  TM_RETURN_IF_ERROR(users.status());
  ReplaceAll(*std::move(users), self);
  return absl::OkStatus();
}

absl::Status Acl::SaveFile() const {
  std::string text;
  for (const std::string& line : Lines()) text.append(line).append("\n");
  const std::filesystem::path where(std::filesystem::absolute(config_.Text("aclfile")));
  const absl::Status saved =
      ReplaceWholeFile(FileSystem::Posix(), where.parent_path(), where.filename().string(), text);
  if (saved.ok()) return saved;
  return absl::InvalidArgumentError(
      "ERR There was an error trying to save the ACLs. Please check the server logs for more information");
}

}  // namespace tidemark::commands
