#include "objstore/uri.h"

#include <gtest/gtest.h>

#include "objstore/object_store.h"

namespace tidemark::objstore {
namespace {

TEST(UriTest, ReadsWhatBrWrites) {
  const auto location = ParseUri(
      "s3://backups/node/1/?access-key=AKIA%2FX&secret-access-key=a%2Bb%3D&session-token=t&"
      "endpoint=http%3A%2F%2F127.0.0.1%3A9000%2F&region=eu-west-1&force-path-style=false&storage-class=STANDARD_IA&"
      "sse=aws:kms&sse-kms-key-id=k");
  ASSERT_TRUE(location.ok()) << location.status();
  const S3Location& s3 = location->s3;
  EXPECT_EQ(location->kind, Location::Kind::kS3);
  EXPECT_EQ(s3.bucket, "backups");
  EXPECT_EQ(s3.prefix, "node/1");
  EXPECT_EQ(s3.access_key, "AKIA/X");
  EXPECT_EQ(s3.secret_access_key, "a+b=");
  EXPECT_EQ(s3.session_token, "t");
  EXPECT_EQ(s3.endpoint, "http://127.0.0.1:9000");
  EXPECT_EQ(s3.region, "eu-west-1");
  EXPECT_FALSE(s3.force_path_style);
  EXPECT_EQ(s3.storage_class, "STANDARD_IA");
  EXPECT_EQ(s3.sse, "aws:kms");
  EXPECT_EQ(s3.sse_kms_key_id, "k");
}

TEST(UriTest, ReadsFolders) {
  EXPECT_EQ(ParseUri("local:///var/backup/")->folder, "/var/backup");
  EXPECT_EQ(ParseUri("local:///my%20disk")->folder, "/my disk");
  EXPECT_EQ(ParseUri("local:///")->folder, "/");
}

TEST(UriTest, AMistakeIsAnErrorThatNamesItAndNoSecret) {
  for (const char* uri : {"",
                          "/var/backup",
                          "file:///x",
                          "local://relative",
                          "local:///x?a=b",
                          "s3://",
                          "s3:///prefix",
                          "s3://ab/p",
                          "s3://bucket/../x",
                          "s3://bucket?secret-access-key=SECRET",
                          "s3://bucket?access-key=SECRET",
                          "s3://bucket?access-key=SECRET&secret-access-key=%zz",
                          "s3://bucket?secret-acess-key=SECRET",
                          "s3://bucket?access-key=a&secret-access-key=SECRET%0d%0aHost:x",
                          "s3://bucket?force-path-style=SECRET",
                          "s3://bucket?session-token=SECRET",
                          "s3://bucket?endpoint=SECRET",
                          "s3://bucket?endpoint=http://a:SECRET@h",
                          "s3://bucket?endpoint=http://h/path",
                          "s3://bucket?sse=SECRET",
                          "s3://bucket?sse-kms-key-id=SECRET",
                          "s3://key:SECRET@bucket/p",
                          "s3://bucket?SECRET@=1"}) {
    const absl::Status status = ParseUri(uri).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << uri << " " << status;
    EXPECT_EQ(Message(status).find("SECRET"), std::string_view::npos) << status;
  }
  EXPECT_NE(Message(ParseUri("s3://bucket?acces-key=x").status()).find("acces-key"), std::string_view::npos);
}

TEST(UriTest, ShowsNoSecret) {
  EXPECT_EQ(
      RedactUri("s3://b/p?access-key=SECRET&endpoint=http://h&secret-access-key=SECRET&region=r&session-token=SECRET"),
      "s3://b/p?endpoint=http://h&region=r");
  EXPECT_EQ(RedactUri("s3://key:SECRET@bucket/p"), "s3://bucket/p");
  EXPECT_EQ(RedactUri("s3://b?secret%2Daccess-key=SECRET"), "s3://b");
  EXPECT_EQ(RedactUri("s3://b?endpoint=http://u:SECRET@h"), "s3://b");
  EXPECT_EQ(RedactUri("local:///var/backup"), "local:///var/backup");
}

TEST(UriTest, PercentEncodingIsAws) {
  EXPECT_EQ(PercentEncode("a/b c~-_.*+=&\xc3\xa4", true), "a/b%20c~-_.%2A%2B%3D%26%C3%A4");
  EXPECT_EQ(PercentEncode("a/b", false), "a%2Fb");
}

}  // namespace
}  // namespace tidemark::objstore
