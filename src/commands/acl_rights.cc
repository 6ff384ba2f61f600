// One user: passwords, whether he may log in, and his selectors.
#include <openssl/evp.h>

#include <algorithm>

#include "base/check.h"
#include "commands/access.h"
#include "commands/acl_rules.h"

namespace tidemark::commands {
namespace {

constexpr size_t kHashDigits = 64;

absl::Status BadHash() {
  return absl::InvalidArgumentError(
      "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters");
}

bool IsHash(std::string_view text) {
  return text.size() == kHashDigits && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

absl::Status RemovePassword(std::vector<std::string>& passwords, std::string_view hash) {
  const auto found = std::find(passwords.begin(), passwords.end(), hash);
  if (found == passwords.end()) {
    return absl::InvalidArgumentError("The password you are trying to remove from the user does not exist");
  }
  passwords.erase(found);
  return absl::OkStatus();
}

absl::StatusOr<AclSelector> ParseSelector(std::string_view text, bool all_channels) {
  AclSelector selector(all_channels);
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    if (end > 0) TM_RETURN_IF_ERROR(selector.Apply(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return selector;
}

}  // namespace

std::string Sha256Hex(std::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  TM_CHECK(EVP_Digest(bytes.data(), bytes.size(), digest, &length, EVP_sha256(), nullptr) == 1);
  std::string hex;
  for (unsigned int i = 0; i < length; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

absl::StatusOr<std::vector<std::string>> JoinSelectors(std::span<const std::string_view> words) {
  std::vector<std::string> joined;
  bool open = false;
  size_t opened = 0;
  for (size_t i = 0; i < words.size(); ++i) {
    if (open) {
      joined.back().append(" ").append(words[i]);
    } else {
      joined.emplace_back(words[i]);
      opened = i;
    }
    open = (open || words[i].starts_with('(')) && !words[i].ends_with(')');
  }
  if (open) return InvalidArgument("Unmatched parenthesis in acl selector starting at '{}'.", words[opened]);
  return joined;
}

AclRights AclRights::New(bool all_channels) {
  AclRights rights;
  rights.selectors.emplace_back(all_channels);
  return rights;
}

absl::Status AclRights::Apply(std::string_view rule, bool all_channels) {
  if (EqualsIgnoreCase(rule, "on")) {
    enabled = true;
  } else if (EqualsIgnoreCase(rule, "off")) {
    enabled = false;
  } else if (EqualsIgnoreCase(rule, "nopass")) {
    nopass = true;
    passwords.clear();
  } else if (EqualsIgnoreCase(rule, "resetpass")) {
    nopass = false;
    passwords.clear();
  } else if (EqualsIgnoreCase(rule, "skip-sanitize-payload")) {
    payload = Payload::kSkip;
  } else if (EqualsIgnoreCase(rule, "sanitize-payload")) {
    payload = Payload::kSanitize;
  } else if (EqualsIgnoreCase(rule, "clearselectors")) {
    selectors.resize(1);
  } else if (EqualsIgnoreCase(rule, "reset")) {
    *this = New(all_channels);
    payload = Payload::kSanitize;
  } else if (rule.starts_with('>') || rule.starts_with('#')) {
    if (rule[0] == '#' && !IsHash(rule.substr(1))) return BadHash();
    const std::string hash = rule[0] == '#' ? std::string(rule.substr(1)) : Sha256Hex(rule.substr(1));
    if (std::find(passwords.begin(), passwords.end(), hash) == passwords.end()) passwords.push_back(hash);
    nopass = false;
  } else if (rule.starts_with('<') || rule.starts_with('!')) {
    if (rule[0] == '!' && !IsHash(rule.substr(1))) return BadHash();
    return RemovePassword(passwords, rule[0] == '!' ? std::string(rule.substr(1)) : Sha256Hex(rule.substr(1)));
  } else if (rule.starts_with('(') && rule.ends_with(')')) {
    TM_ASSIGN_OR_RETURN(AclSelector selector, ParseSelector(rule.substr(1, rule.size() - 2), all_channels));
    selectors.push_back(std::move(selector));
  } else {
    return selectors[0].Apply(rule);
  }
  return absl::OkStatus();
}

AclVerdict AclRights::Check(const CommandSpec& spec, Args args) const {
  AclVerdict nearest;
  for (const AclSelector& selector : selectors) {
    const AclVerdict verdict = selector.Check(spec, args);
    if (verdict.ok()) return verdict;
    const bool nearer =
        verdict.denial > nearest.denial || (verdict.denial == nearest.denial && verdict.place > nearest.place);
    if (nearer) nearest = verdict;
  }
  return nearest;
}

bool AclRights::AllowsChannel(std::string_view channel, bool is_pattern) const {
  return std::any_of(selectors.begin(), selectors.end(),
                     [&](const AclSelector& selector) { return selector.AllowsChannel(channel, is_pattern); });
}

bool AclRights::unrestricted() const { return selectors[0].unrestricted(); }

bool AclRights::Accepts(std::string_view password) const {
  if (nopass) return true;
  const std::string hash = Sha256Hex(password);
  bool accepted = false;
  for (const std::string& known : passwords) accepted |= SameSecret(hash, known);
  return accepted;
}

std::vector<std::string_view> AclRights::Flags() const {
  std::vector<std::string_view> flags = {enabled ? "on" : "off"};
  if (nopass) flags.emplace_back("nopass");
  if (payload == Payload::kSkip) flags.emplace_back("skip-sanitize-payload");
  if (payload == Payload::kSanitize) flags.emplace_back("sanitize-payload");
  return flags;
}

std::string AclRights::Describe() const {
  std::string text = fmt::format("{}", fmt::join(Flags(), " "));
  for (const std::string& password : passwords) text += " #" + password;
  text += " " + selectors[0].Describe();
  for (const AclSelector& selector : std::span(selectors).subspan(1)) text += fmt::format(" ({})", selector.Describe());
  return text;
}

}  // namespace tidemark::commands
