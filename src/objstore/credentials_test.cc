#include "objstore/credentials.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace tidemark::objstore {
namespace {

// Names of what is in the environment and in the file, and the state before when the test ends.
class CredentialsTest : public testing::Test {
 protected:
  CredentialsTest() : path_(std::filesystem::temp_directory_path() / fmt::format("tidemark-credentials-{}", getpid())) {
    Clear();
    setenv("AWS_SHARED_CREDENTIALS_FILE", path_.c_str(), 1);
  }
  ~CredentialsTest() override {
    Clear();
    unsetenv("AWS_SHARED_CREDENTIALS_FILE");
    std::filesystem::remove(path_);
  }

  static void Clear() {
    for (const char* name : {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"})
      unsetenv(name);
  }
  void WriteFile(std::string_view text) { std::ofstream(path_, std::ios::trunc) << text; }

  const std::filesystem::path path_;
};

TEST_F(CredentialsTest, TheUriGoesBeforeTheEnvironmentAndThatBeforeTheFile) {
  WriteFile("[default]\naws_access_key_id = file\naws_secret_access_key = s\n");
  EXPECT_EQ(CredentialSource(Credentials{}).Get()->access_key, "file");
  setenv("AWS_ACCESS_KEY_ID", "environment", 1);
  setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
  setenv("AWS_SESSION_TOKEN", "t", 1);
  EXPECT_EQ(CredentialSource(Credentials{}).Get().value(), (Credentials{"environment", "s", "t"}));
  EXPECT_EQ(CredentialSource(Credentials{"uri", "s", ""}).Get().value(), (Credentials{"uri", "s", ""}));
}

TEST_F(CredentialsTest, TheProfileIsThatOfTheEnvironment) {
  WriteFile(
      "# mine\n[default]\naws_access_key_id=a\naws_secret_access_key=b=c\n\n[profile backup]\r\n"
      "aws_access_key_id = k\r\n aws_secret_access_key =s \r\naws_session_token= t\r\n");
  EXPECT_EQ(CredentialSource(Credentials{}).Get().value(), (Credentials{"a", "b=c", ""}));
  setenv("AWS_PROFILE", "backup", 1);
  EXPECT_EQ(CredentialSource(Credentials{}).Get().value(), (Credentials{"k", "s", "t"}));
}

TEST_F(CredentialsTest, ThatThereAreNoneIsSaidWithThePlaces) {
  const absl::Status status = CredentialSource(Credentials{}).Get().status();
  EXPECT_TRUE(absl::IsPermissionDenied(status));
  EXPECT_NE(Message(status).find(path_.string()), std::string_view::npos) << status;
  EXPECT_NE(Message(status).find("AWS_ACCESS_KEY_ID"), std::string_view::npos) << status;
}

TEST_F(CredentialsTest, ARelativePathIsRefusedForItIsAnotherFileAfterTheNextStart) {
  setenv("AWS_SHARED_CREDENTIALS_FILE", "credentials", 1);
  const absl::Status status = CredentialSource(Credentials{}).Get().status();
  EXPECT_TRUE(absl::IsPermissionDenied(status));
  EXPECT_NE(Message(status).find("whole path"), std::string_view::npos) << status;
}

TEST_F(CredentialsTest, RefusedOnesAreReadAgain) {
  WriteFile("[default]\naws_access_key_id = old\naws_secret_access_key = s\n");
  CredentialSource source(Credentials{});
  const Credentials old = source.Get().value();
  EXPECT_FALSE(source.RefreshAfterRefusal(old));
  WriteFile("[default]\naws_access_key_id = new\naws_secret_access_key = s\n");
  EXPECT_EQ(source.Get()->access_key, "old");
  EXPECT_TRUE(source.RefreshAfterRefusal(old));
  EXPECT_EQ(source.Get()->access_key, "new");
  EXPECT_TRUE(source.RefreshAfterRefusal(old));  // as when another thread was refused with the old ones
  CredentialSource fixed(Credentials{"uri", "s", ""});
  EXPECT_FALSE(fixed.RefreshAfterRefusal(fixed.Get().value()));
}

}  // namespace
}  // namespace tidemark::objstore
