#include "objstore/credentials.h"

#include <cstdlib>

#include "env/file.h"

namespace tidemark::objstore {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets variables
  return value == nullptr ? std::string() : std::string(value);
}

std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

}  // namespace

absl::StatusOr<Credentials> ParseCredentialsFile(std::string_view text, std::string_view profile) {
  Credentials credentials;
  bool in_profile = false;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = Trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.starts_with('[') && line.ends_with(']')) {
      std::string_view name = Trim(line.substr(1, line.size() - 2));
      // The spelling of ~/.aws/config, which people put into this file too.
      if (name.starts_with("profile ")) name = Trim(name.substr(8));
      in_profile = name == profile;
      continue;
    }
    const size_t equals = line.find('=');
    if (!in_profile || line.starts_with('#') || line.starts_with(';') || equals == std::string_view::npos) continue;
    const std::string_view name = Trim(line.substr(0, equals));
    const std::string value(Trim(line.substr(equals + 1)));
    if (name == "aws_access_key_id") credentials.access_key = value;
    if (name == "aws_secret_access_key") credentials.secret_access_key = value;
    if (name == "aws_session_token") credentials.session_token = value;
  }
  if (credentials.access_key.empty() || credentials.secret_access_key.empty()) {
    return Errorf(absl::StatusCode::kNotFound, "no aws_access_key_id and aws_secret_access_key of profile '{}'",
                  profile);
  }
  return credentials;
}

absl::StatusOr<Credentials> CredentialSource::Look() const {
  if (!fixed_.access_key.empty()) return fixed_;
  Credentials credentials{Environment("AWS_ACCESS_KEY_ID"), Environment("AWS_SECRET_ACCESS_KEY"),
                          Environment("AWS_SESSION_TOKEN")};
  if (!credentials.access_key.empty() && !credentials.secret_access_key.empty()) return credentials;
  std::string path = Environment("AWS_SHARED_CREDENTIALS_FILE");
  if (path.empty()) path = Environment("HOME") + "/.aws/credentials";
  // Relative to what depends on where the server was started, and it would be another file after the next start.
  if (!path.starts_with('/')) {
    return Errorf(absl::StatusCode::kPermissionDenied,
                  "no credentials: AWS_SHARED_CREDENTIALS_FILE needs the file's whole path, from / on, and is '{}'",
                  path);
  }
  std::string profile = Environment("AWS_PROFILE");
  if (profile.empty()) profile = "default";
  absl::Status why;
  if (const absl::StatusOr<std::string> text = ReadWholeFile(FileSystem::Posix(), path); text.ok()) {
    absl::StatusOr<Credentials> from_file = ParseCredentialsFile(*text, profile);
    if (from_file.ok()) return from_file;
    why = from_file.status();
  } else {
    why = text.status();
  }
  return Errorf(absl::StatusCode::kPermissionDenied,
                "no credentials: none in the URI, in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or in {} ({})", path,
                Message(why));
}

absl::StatusOr<Credentials> CredentialSource::Get() {
  const MutexLock lock(mutex_);
  if (found_.access_key.empty()) {
    TM_ASSIGN_OR_RETURN(found_, Look());
  }
  return found_;
}

bool CredentialSource::RefreshAfterRefusal(const Credentials& used) {
  const MutexLock lock(mutex_);
  if (found_ != used) return true;  // another thread has looked already
  absl::StatusOr<Credentials> again = Look();
  if (!again.ok() || *again == used) return false;
  found_ = *std::move(again);
  return true;
}

}  // namespace tidemark::objstore
