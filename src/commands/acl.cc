#include "commands/acl.h"

#include <algorithm>

#include "commands/client_registry.h"
#include "commands/pubsub.h"
#include "env/clock.h"

namespace tidemark::commands {
namespace {

constexpr std::string_view kDefault = "default";

bool BadName(std::string_view name) {
  return std::any_of(name.begin(), name.end(), [](char c) { return c == ' ' || (c >= '\t' && c <= '\r') || c == 0; });
}

std::string_view ContextName(AclContext context) {
  switch (context) {
    case AclContext::kMulti:
      return "multi";
    case AclContext::kLua:
      return "lua";
    case AclContext::kToplevel:
      break;
  }
  return "toplevel";
}

uint64_t NowMillis() { return Clock::System().WallMicros() / 1000; }

}  // namespace

Acl::Acl(config::Config& config, ClientRegistry& clients, Pubsub& pubsub)
    : config_(config),
      clients_(clients),
      pubsub_(pubsub),
      default_(std::make_shared<AclUser>(std::string(kDefault), AclRights::New(true))) {
  default_->SetRights(DefaultRights());
  users_.emplace(kDefault, default_);
  DefaultChanged();
  config.OnChange("requirepass", [this] {
    AclRights rights = *default_->rights();
    const std::string password = config_.Text("requirepass");
    rights.nopass = password.empty();
    rights.passwords.clear();
    if (!password.empty()) rights.passwords.push_back(Sha256Hex(password));
    Install(*default_, std::move(rights));
    return absl::OkStatus();
  });
  config.SetUserLines([this] { return LinesOfConfiguration(); });
}

bool Acl::AllChannelsByDefault() const { return config_.Text("acl-pubsub-default") == "allchannels"; }

AclRights Acl::DefaultRights() const {
  AclRights rights = AclRights::New(true);
  rights.enabled = true;
  const std::string password = config_.Text("requirepass");
  rights.nopass = password.empty();
  if (!password.empty()) rights.passwords.push_back(Sha256Hex(password));
  for (const std::string_view rule : {"~*", "+@all"}) rights.selectors[0].Apply(rule).IgnoreError();
  return rights;
}

void Acl::DefaultChanged() {
  const std::shared_ptr<const AclRights> rights = default_->rights();
  default_unrestricted_.store(rights->unrestricted(), std::memory_order_relaxed);
  default_has_password_.store(!rights->nopass, std::memory_order_relaxed);
  needs_login_.store(!rights->nopass || !rights->enabled, std::memory_order_relaxed);
}

void Acl::Install(AclUser& user, AclRights rights) {
  user.SetRights(std::move(rights));
  if (&user == default_.get()) DefaultChanged();
}

std::shared_ptr<const AclRights> Acl::RightsOf(const Client& client) const {
  return client.user == nullptr ? default_->rights() : client.user->rights();
}

std::string_view Acl::NameOf(const Client& client) {
  return client.user == nullptr ? kDefault : std::string_view(client.user->name());
}

AclVerdict Acl::Check(const Client& client, const CommandSpec& spec, Args args) const {
  if (Unrestricted(client)) return {};
  return RightsOf(client)->Check(spec, args);
}

AclVerdict Acl::CheckAndLog(const Client& client, const CommandSpec& spec, Args args, AclContext context) {
  const AclVerdict verdict = Check(client, spec, args);
  if (verdict.ok()) return verdict;
  const bool command = verdict.denial == AclDenial::kCommand;
  const uint64_t now = NowMillis();
  log_.Add({.reason = verdict.denial,
            .context = ContextName(context),
            .object = command ? CommandTable::Get().row(spec).full_name : std::string(args[verdict.place]),
            .user = std::string(NameOf(client)),
            .client = clients_.Describe(client, now),
            .when_ms = now},
           static_cast<size_t>(config_.Integer("acllog-max-len")));
  return verdict;
}

absl::Status Acl::Refusal(AclDenial denial, const CommandSpec& spec) {
  switch (denial) {
    case AclDenial::kNone:
      return absl::OkStatus();
    case AclDenial::kKey:
      return absl::InvalidArgumentError(
          "NOPERM this user has no permissions to access one of the keys used as arguments");
    case AclDenial::kChannel:
      return absl::InvalidArgumentError(
          "NOPERM this user has no permissions to access one of the channels used as arguments");
    default:
      return InvalidArgument("NOPERM this user has no permissions to run the '{}' command",
                             CommandTable::Get().row(spec).full_name);
  }
}

absl::Status Acl::RefusalAtExec(AclDenial denial) {
  std::string_view reason = "no permission to execute the command or subcommand";
  if (denial == AclDenial::kNone) return absl::OkStatus();
  if (denial == AclDenial::kKey) reason = "no permission to touch the specified keys";
  if (denial == AclDenial::kChannel) {
    reason = "no permission to access one of the channels used as arguments to the command";
  }
  return InvalidArgument(
      "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is "
      "no longer allowed for the following reason: {}",
      reason);
}

std::shared_ptr<const AclRights> Acl::Authenticate(std::string_view user, std::string_view password) const {
  const std::shared_ptr<AclUser> found = Find(user);
  if (found == nullptr) return nullptr;
  std::shared_ptr<const AclRights> rights = found->rights();
  return rights->enabled && rights->Accepts(password) ? rights : nullptr;
}

absl::Status Acl::LogIn(Client& client, std::string_view command, std::string_view user, std::string_view password) {
  if (Authenticate(user, password) == nullptr) {
    const uint64_t now = NowMillis();
    log_.Add({.reason = AclDenial::kAuth,
              .context = ContextName(client.in_multi ? AclContext::kMulti : AclContext::kToplevel),
              .object = std::string(command),
              .user = std::string(user),
              .client = clients_.Describe(client, now),
              .when_ms = now},
             static_cast<size_t>(config_.Integer("acllog-max-len")));
    return InvalidArgument("WRONGPASS invalid username-password pair or user is disabled.");
  }
  clients_.SetUser(client, user == kDefault ? nullptr : Find(user));
  client.authenticated = true;
  return absl::OkStatus();
}

void Acl::LogOut(Client& client) {
  clients_.SetUser(client, nullptr);
  client.authenticated = !NeedsLogin();
}

std::vector<std::string> Acl::Names() const {
  std::vector<std::string> names;
  const MutexLock lock(mutex_);
  for (const auto& [name, user] : users_) names.push_back(name);
  return names;
}

std::vector<std::string> Acl::Lines() const {
  std::vector<std::string> lines;
  const MutexLock lock(mutex_);
  for (const auto& [name, user] : users_) lines.push_back(fmt::format("user {} {}", name, user->rights()->Describe()));
  return lines;
}

// None while they stand in an ACL file, and none while there is only the default user as other options make him.
std::vector<std::string> Acl::LinesOfConfiguration() const {
  std::vector<std::string> lines = Lines();
  const bool plain = lines.size() == 1 && default_->rights()->Describe() == DefaultRights().Describe();
  if (plain || !config_.Text("aclfile").empty()) lines.clear();
  return lines;
}

std::shared_ptr<AclUser> Acl::Find(std::string_view name) const {
  const std::string key(name);
  const MutexLock lock(mutex_);
  const auto found = users_.find(key);
  return found == users_.end() ? nullptr : found->second;
}

absl::Status Acl::SetUser(std::string_view name, std::span<const std::string_view> rules, const Client& self) {
  if (BadName(name)) return InvalidArgument("ERR Usernames can't contain spaces or null characters");
  const absl::StatusOr<std::vector<std::string>> joined = JoinSelectors(rules);
  if (!joined.ok()) return InvalidArgument("ERR {}", Message(joined.status()));
  const MutexLock change(change_mutex_);
  const bool all_channels = AllChannelsByDefault();
  const std::shared_ptr<AclUser> known = Find(name);
  AclRights rights = known == nullptr ? AclRights::New(all_channels) : *known->rights();
  for (const std::string& rule : *joined) {
    if (const absl::Status applied = rights.Apply(rule, all_channels); !applied.ok()) {
      return InvalidArgument("ERR Error in ACL SETUSER modifier '{}': {}", rule, Message(applied));
    }
  }
  if (known != nullptr) {
    Install(*known, std::move(rights));
    EndUnfit(&self);
  } else {
    const MutexLock lock(mutex_);
    users_.emplace(name, std::make_shared<AclUser>(std::string(name), std::move(rights)));
  }
  return absl::OkStatus();
}

bool Acl::DeleteUser(std::string_view name, const Client& self) {
  const MutexLock change(change_mutex_);
  {
    const MutexLock lock(mutex_);
    if (users_.erase(std::string(name)) == 0) return false;
  }
  EndUnfit(&self);
  return true;
}

// Connections of users that are gone, and those that listen to what their users may not hear.
void Acl::EndUnfit(const Client* self) {
  const auto unfit = [this](const Client& client) {
    if (client.user != nullptr && Find(client.user->name()) != client.user) return true;
    const std::shared_ptr<const AclRights> rights = RightsOf(client);
    return pubsub_.Listens(client, [&](Pubsub::Kind kind, std::string_view channel) {
      return !rights->AllowsChannel(channel, kind == Pubsub::Kind::kPattern);
    });
  };
  clients_.EndIf(unfit, self);
}

void Acl::ReplaceAll(Users users, const Client* self) {
  const MutexLock change(change_mutex_);
  const auto of_default = users.find(kDefault);
  Install(*default_, of_default == users.end() ? DefaultRights() : of_default->second);
  {
    const MutexLock lock(mutex_);
    for (auto known = users_.begin(); known != users_.end();) {
      const bool stays = known->first == kDefault || users.contains(known->first);
      known = stays ? std::next(known) : users_.erase(known);
    }
    for (auto& [name, rights] : users) {
      std::shared_ptr<AclUser>& user = users_[name];
      if (user == nullptr) {
        user = std::make_shared<AclUser>(name, std::move(rights));
      } else if (user != default_) {
        user->SetRights(std::move(rights));
      }
    }
  }
  EndUnfit(self);
}

}  // namespace tidemark::commands
