// Who we are to an S3 store: from the URI, else from the environment, else from AWS's file of credentials.
//
// Secrets stay in here and in the requests: nothing of this is ever part of a message.
//
// Threads: any; one mutex guards what was read.
#pragma once

#include <string>
#include <string_view>

#include "base/mutex.h"
#include "base/status.h"

namespace tidemark::objstore {

struct Credentials {
  std::string access_key;
  std::string secret_access_key;
  std::string session_token;
  bool operator==(const Credentials&) const = default;
};

class CredentialSource {
 public:
  // `fixed` are those of the URI; with an empty access key they are looked for.
  explicit CredentialSource(Credentials fixed) : fixed_(std::move(fixed)) {}

  // PERMISSION_DENIED, with the places where they were looked for, where there are none.
  absl::StatusOr<Credentials> Get();

  // After the store refused `used`: looks again. True when there are others now, so that another attempt makes sense.
  bool RefreshAfterRefusal(const Credentials& used);

 private:
  absl::StatusOr<Credentials> Look() const;

  const Credentials fixed_;
  Mutex mutex_;
  Credentials found_ ABSL_GUARDED_BY(mutex_);
};

// The keys of `profile` in a file of AWS's credentials ("Configuration and credential file settings" of its command
// line's guide). NOT_FOUND where the profile or one of its keys is missing. For CredentialSource and its tests.
absl::StatusOr<Credentials> ParseCredentialsFile(std::string_view text, std::string_view profile);

}  // namespace tidemark::objstore
