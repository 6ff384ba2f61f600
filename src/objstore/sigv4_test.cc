// The examples that Amazon publishes with the algorithm ("Signature Calculations for the Authorization Header:
// Transferring Payload in a Single Chunk", Amazon S3 API reference).
#include "objstore/sigv4.h"

#include <gtest/gtest.h>

#include "objstore/digest.h"
#include "objstore/uri.h"

namespace tidemark::objstore {
namespace {

constexpr uint64_t k24May2013 = 1'369'353'600'000'000;

std::string SignatureOf(std::string_view method, std::string_view path, Query query, std::string_view payload,
                        Headers headers) {
  const SigningKey key{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "", "us-east-1"};
  headers.emplace_back("host", "examplebucket.s3.amazonaws.com");
  Sign(SigningDialect::kAmazon, key, k24May2013, method, PercentEncode(path, true), CanonicalQuery(std::move(query)),
       HexLower(Sha256(payload)), &headers);
  return headers.back().second;
}

TEST(SigV4Test, GetObject) {
  EXPECT_EQ(SignatureOf("GET", "/test.txt", {}, "", {{"range", "bytes=0-9"}}),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST(SigV4Test, PutObject) {
  const std::string signature =
      SignatureOf("PUT", "/test$file.text", {}, "Welcome to Amazon S3.",
                  {{"date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}});
  EXPECT_TRUE(signature.ends_with("98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")) << signature;
}

TEST(SigV4Test, ParameterWithoutValue) {
  const std::string signature = SignatureOf("GET", "/", {{"lifecycle", ""}}, "", {});
  EXPECT_TRUE(signature.ends_with("fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")) << signature;
}

TEST(SigV4Test, ListObjects) {
  const std::string signature = SignatureOf("GET", "/", {{"prefix", "J"}, {"max-keys", "2"}}, "", {});
  EXPECT_TRUE(signature.ends_with("34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")) << signature;
}

TEST(SigV4Test, TheSessionTokenIsSigned) {
  Headers headers = {{"host", "h"}};
  Sign(SigningDialect::kAmazon, {"a", "s", "token", "r"}, k24May2013, "GET", "/", "", kUnsignedPayload, &headers);
  EXPECT_NE(headers.back().second.find("SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,"),
            std::string::npos);
}

TEST(SigV4Test, GoogleHasNamesOfItsOwn) {
  Headers headers = {{"host", "storage.googleapis.com"}, {"x-goog-if-generation-match", "0"}};
  Sign(SigningDialect::kGoogle, {"a", "s", "", "auto"}, k24May2013, "PUT", "/b/k", "", kUnsignedPayload, &headers);
  const std::string& authorization = headers.back().second;
  EXPECT_TRUE(authorization.starts_with(
      "GOOG4-HMAC-SHA256 Credential=a/20130524/auto/storage/goog4_request, "
      "SignedHeaders=host;x-goog-content-sha256;x-goog-date;x-goog-if-generation-match, Signature="))
      << authorization;
  for (const auto& [name, value] : headers) EXPECT_FALSE(name.starts_with("x-amz")) << name;
}

TEST(DigestTest, KnownAnswers) {
  EXPECT_EQ(HexLower(Md5("abc")), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(HexLower(Sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Base64("any carnal pleas"), "YW55IGNhcm5hbCBwbGVhcw==");
  EXPECT_EQ(Base64(""), "");
}

}  // namespace
}  // namespace tidemark::objstore
